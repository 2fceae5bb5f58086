// The playground of two modes: the known outcome of each divergence, the counts of another program
// from the same starts, and bad options.
#include "distill/modes.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "distill/toml.h"
#include "engine/ops.h"
#include "engine/safetensors.h"

using namespace retort;

TEST_CASE("from stored starts each divergence ends where numpy's Adam does") {
  TensorFile file = load_safetensors("tests/references/exact.safetensors");
  Json all = Json::parse(file.metadata.at("modes"));
  CHECK(all.size() == 4);
  for (const auto& [name, want] : all.items()) {
    INFO(name);
    std::array<int, 3> expected{want["big"], want["small"], want["neither"]};
    CHECK(outcomes(modes(name, file.tensors.at("starts"))) == expected);
  }
}

TEST_CASE("KL averages, RKL collapses on the big mode, JS on either, TVD often on neither") {
  Tensor starts = modes_starts(20, 6, 1);
  for (const ModesEnd& e : modes("kl", starts)) CHECK(e.off_mode() > 0.9);
  CHECK(outcomes(modes("rkl", starts))[0] >= 19);
  auto js = outcomes(modes("js", starts));
  CHECK(js[0] > 0);
  CHECK(js[1] > 0);
  CHECK(js[2] == 0);
  std::vector<ModesEnd> tvd = modes("tvd", starts);
  CHECK(outcomes(tvd)[2] >= 4);
  for (const ModesEnd& e : tvd)  // a mode gets the teacher's weight, which may be below a half
    CHECK(std::max(e.mass[0] / 0.55, e.mass[1] / 0.40) == Approx(1).margin(0.15));
}

TEST_CASE("modes: risks are cross-entropies, starts do not depend on each other") {
  // KL's minimum is the product of the marginals, q_t(A) = w1 + (1 - w1 - w2) / 2.
  ModesOptions o;
  o.length = 4, o.weights = {0.6, 0.3};
  Tensor starts = modes_starts(3, 4, 5);
  std::vector<ModesEnd> ends = modes("kl", starts, o);
  double a = 0.6 + 0.1 / 2, b = 1 - a;
  for (const ModesEnd& e : ends) {
    CHECK(e.mass[0] == Approx(std::pow(a, 4)).epsilon(1e-6));
    CHECK(e.mass[1] == Approx(std::pow(b, 4)).epsilon(1e-6));
    CHECK(e.coverage_risk == Approx(-4 * (a * std::log(a) + b * std::log(b))).epsilon(1e-6));
  }
  ModesEnd p = modes_teacher(o);
  double big = 0.6 + 0.1 / 16, small = 0.3 + 0.1 / 16, rest = 0.1 / 16;
  double entropy = -big * std::log(big) - small * std::log(small) - 14 * rest * std::log(rest);
  CHECK(p.coverage_risk == Approx(entropy));
  CHECK(p.likelihood_risk == Approx(entropy));
  CHECK(modes_starts(2, 4, 5).values()[7] == starts.values()[7]);
  Tensor last = slice(starts, 0, 2, 1);
  o.steps = 200;
  CHECK(modes("rkl", last, o)[0].mass == modes("rkl", starts, o)[2].mass);
}

TEST_CASE("modes: options out of range are refused") {
  Tensor starts = modes_starts(1, 6, 1);
  auto says = [&](ModesOptions o, const std::string& what) {
    CHECK_THROWS_WITH(modes("kl", starts, o), Catch::Contains(what));
  };
  for (auto [a, b] : {std::pair(0.4, 0.5), {0.5, 0.5}, {1.0, 0.0}, {double(NAN), 0.1}}) {
    ModesOptions o;
    o.weights = {a, b};
    says(o, "weights");
  }
  for (int length : {0, 17, -1}) {
    ModesOptions o;
    o.length = length;
    says(o, "1 to 16");
  }
  ModesOptions o;
  o.length = 5;
  says(o, "starts f64 (N, 5)");
  o = {}, o.rate = 0;
  says(o, "learning rate");
  CHECK_THROWS_WITH(modes("kll", starts), Catch::Contains("did you mean \"kl\""));
}
