// The lab's pages: gradients at chosen points by hand and by finite differences, training as it was
// at each step, and pages that hold what the commands print.
#include "distill/lab.h"

#include <fmt/core.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "distill/simplex.h"
#include "engine/gradcheck.h"
#include "engine/safetensors.h"
#include "losses/divergence.h"
#include "tests/data/temporary.h"
#include "tests/distill/program.h"

using namespace retort;
using Catch::Contains;

namespace {

const std::string kTables = "tests/references/exact.safetensors";

double value_at(const std::string& name, const ThreeTokens& p, const std::vector<double>& logits) {
  Tensor teacher = log(Tensor::from({p.begin(), p.end()}, {1, 3}, Dtype::f64));
  return divergence(parse_divergence(name), teacher, Tensor::from(logits, {1, 3}, Dtype::f64))
      .values()[0];
}

// q after a step along -gradient of its logits.
ThreeTokens moved(const FieldArrow& a, double step) {
  ThreeTokens q;
  double sum = 0;
  for (size_t v = 0; v < 3; v++) sum += q[v] = a.q[v] * std::exp(-step * a.gradient[v]);
  for (double& x : q) x /= sum;
  return q;
}

std::string sweep(const Temporary& t, int rows) {
  std::string in = t.folder + "in.safetensors";
  save_safetensors(in, {{"teacher", random_tensor({rows, 5}, 1, 2)},
                        {"student", random_tensor({rows, 5}, 2, 2)}});
  return "sinkhorn --eps 0.5,0.1 --iters 2,30 --json --in " + in;
}

}  // namespace

TEST_CASE("lab: the field is the loss's gradient and the flow of softmax under it") {
  ThreeTokens p{0.5, 0.2, 0.3};
  for (const DivergenceInfo& d : divergences()) {
    std::vector<FieldArrow> field = gradient_field(d.name, p, 10);
    CHECK(field.size() == 36);
    for (const FieldArrow& a : field) {
      INFO(d.name << " at " << a.q[0] << " " << a.q[1] << " " << a.q[2]);
      std::vector<double> z{std::log(a.q[0]), std::log(a.q[1]), std::log(a.q[2])};
      CHECK(a.loss == Approx(value_at(d.name, p, z)).margin(1e-15));
      bool kink = d.name == "tvd" && (a.q[0] == p[0] || a.q[1] == p[1] || a.q[2] == p[2]);
      ThreeTokens before = moved(a, -1e-5), after = moved(a, 1e-5);
      for (size_t v = 0; v < 3 && !kink; v++) {
        std::vector<double> up = z, down = z;
        up[v] += 1e-5, down[v] -= 1e-5;
        CHECK(a.gradient[v] ==
              Approx((value_at(d.name, p, up) - value_at(d.name, p, down)) / 2e-5).margin(1e-8));
        CHECK(a.flow[v] == Approx((after[v] - before[v]) / 2e-5).margin(1e-8));
      }
      if (a.q == p && d.name != "engine")
        for (double x : a.gradient) CHECK(std::abs(x) < 1e-15);
    }
  }
}

TEST_CASE("lab: kl brings a dropped token back, rkl and js do not") {
  double p = 0.4;
  std::vector<double> q{1e-8, 1e-4, 0.2}, kl = dropped_gradient("kl", p, q),
                                          rkl = dropped_gradient("rkl", p, q),
                                          js = dropped_gradient("js", p, q);
  for (size_t i = 0; i < q.size(); i++) {
    double x = q[i], y = x * (1 - x);
    CHECK(kl[i] == Approx(p - x).epsilon(1e-12));
    CHECK(rkl[i] == Approx(y * (std::log(p / x) - std::log((1 - p) / (1 - x)))).epsilon(1e-12));
    CHECK(js[i] ==
          Approx(y / 2 * (std::log((p + x) / (2 * x)) - std::log((2 - p - x) / (2 - 2 * x))))
              .epsilon(1e-12));
  }
  CHECK(kl[0] / rkl[0] > 1e6);
}

TEST_CASE("lab: at a high temperature gradients are those of squared logits over T^2") {
  ThreeTokens p{0.55, 0.4, 0.05}, q{0.98, 0.01, 0.01};
  double T = 1e4, mean = 0, norm = 0;
  for (size_t v = 0; v < 3; v++) mean += std::log(q[v] / p[v]) / 3;
  for (size_t v = 0; v < 3; v++) norm += std::pow((std::log(q[v] / p[v]) - mean) / 3, 2);
  norm = std::sqrt(norm);  // Hinton et al. 2015, eq. 4
  for (auto [name, curvature] : {std::pair("kl", 1.0), {"rkl", 1.0}, {"js", 0.25}, {"chi2", 2.0}})
    CHECK(T * T * gradient_norms(name, p, q, {1, T})[1] == Approx(curvature * norm).epsilon(1e-3));
  // tvd: slopes 1/2, -1/2, -1/2 less their mean, by q = 1/3, over T.
  CHECK(T * gradient_norms("tvd", p, q, {T})[0] == Approx(std::sqrt(6.0) / 9).epsilon(1e-3));
  ThreeTokens soft = softened({0.64, 0.32, 0.04}, 2);
  double sum = 0.8 + std::sqrt(0.32) + 0.2;
  CHECK(soft[0] == Approx(0.8 / sum));
  CHECK(soft[2] == Approx(0.2 / sum));
}

TEST_CASE("modes: frames are what fewer steps lead to; letters are the mass by their count") {
  for (long steps : {0L, 1L, 7L, 3000L}) {
    std::vector<long> frames = frames_of(steps);
    CHECK(frames.front() == 0);
    CHECK(frames.back() == steps);
    CHECK(frames.size() <= 62);
    CHECK(std::is_sorted(frames.begin(), frames.end()));
  }
  ModesOptions o;
  o.length = 4, o.steps = 40;
  Tensor starts = modes_starts(2, 4, 3);
  ModesPath path = modes_path("js", starts, o, {0, 1, 25, 40});
  REQUIRE(path.size() == 4);
  for (size_t i = 0; i < path.size(); i++) {
    ModesOptions fewer = o;
    fewer.steps = std::array{0, 1, 25, 40}[i];
    std::vector<ModesEnd> ends = modes("js", starts, fewer);
    for (size_t n = 0; n < 2; n++) {
      const ModesEnd& e = path[i][n];
      CHECK(e.mass == ends[n].mass);
      CHECK(e.letters == ends[n].letters);
      CHECK(e.letters.size() == 5);
      CHECK(e.letters.front() == e.mass[0]);
      CHECK(e.letters.back() == e.mass[1]);
      double sum = 0;
      for (double x : e.letters) sum += x;
      CHECK(sum == Approx(1));
    }
  }
  double a = 1 / (1 + std::exp(starts.values()[0])), none = a;  // Q(A) at the first letter
  for (size_t t = 1; t < 4; t++) none *= 1 / (1 + std::exp(starts.values()[t]));
  CHECK(path[0][0].letters[0] == Approx(none));
  // Adam's first update is the rate against the gradient's sign, which for kl is Q(B) - P(B).
  double after = 1;
  for (size_t t = 0; t < 4; t++) {
    double theta = starts.values()[t], b = 1 / (1 + std::exp(-theta));
    after *= 1 / (1 + std::exp(theta - (b > 0.40 + 0.05 / 2 ? o.rate : -o.rate)));
  }
  CHECK(modes_path("kl", starts, o, {1})[0][0].mass[0] == Approx(after).epsilon(1e-6));
  CHECK_THROWS_WITH(modes_path("js", starts, o, {0, 41}), Contains("frames must rise from 0 to"));
  CHECK_THROWS_WITH(modes_path("js", starts, o, {5, 4}), Contains("frames must rise"));
}

TEST_CASE("lab: a frame of the page of modes is what modes prints at that step") {
  Temporary t;
  std::string page = t.folder + "modes.html";
  std::string command = "modes --loss rkl,gjs:0.2 --starts 7 --length 5 --steps ";
  Result with = run(command + "90 -o " + page), without = run(command + "90");
  INFO(with.text);
  REQUIRE(with.status == 0);
  CHECK(with.text == without.text);
  Json data = data_in(read_file(page));
  CHECK(data["kind"] == "modes");
  CHECK(data["shown"] == Json({"rkl", "gjs:0.2"}));
  std::vector<long> frames = data["frames"];
  REQUIRE(frames.size() > 20);
  for (size_t i : {size_t(0), frames.size() / 2, frames.size() - 1}) {
    Json printed = Json::parse(run(command + std::to_string(frames[i]) + " --json").text);
    for (const char* loss : {"rkl", "gjs:0.2"}) {
      const Json& frame = data["paths"][loss][i];
      CHECK(frame["mean"] == printed[loss]);
      CHECK(frame["mass"].size() == 7);
      CHECK(frame["letters"].size() == 5);
      double mass = 0;
      for (const Json& m : frame["mass"]) mass += m[0].get<double>() / 7;
      CHECK(mass == Approx(printed[loss]["big_mode"].get<double>()).epsilon(1e-5));
    }
    CHECK(data["teacher"]["big_mode"] == printed["teacher"]["big_mode"]);
  }
  CHECK(data["divergences"].size() == divergences().size());
}

TEST_CASE("lab: arrows on the page lie along the flow, their lengths are as its root") {
  ModesOptions o;
  o.steps = 1;
  Tensor starts = modes_starts(1, 6, 1);
  Json page = page_of_modes(o, {"kl"}, {modes_path("kl", starts, o, frames_of(1))});
  for (const Json& d : page["divergences"]) {
    INFO(d["name"]);
    double most = 0, longest = 0, ratio = 0;
    std::vector<std::pair<double, double>> sizes;
    for (const Json& a : d["field"]) {
      std::vector<double> q = a["q"], flow = a["flow"], from = a["from"], to = a["to"];
      CHECK(from[0] == Approx(q[1] + q[2] / 2));
      CHECK(from[1] == Approx(std::sqrt(0.75) * q[2]).margin(1e-5));
      double dx = flow[1] + flow[2] / 2, dy = std::sqrt(0.75) * flow[2], x = to[0] - from[0],
             y = to[1] - from[1];
      sizes.emplace_back(std::hypot(dx, dy), std::hypot(x, y));
      most = std::max(most, sizes.back().first), longest = std::max(longest, sizes.back().second);
      CHECK(std::abs(dx * y - dy * x) <= 1e-5 * std::hypot(dx, dy));
      CHECK(dx * x + dy * y >= 0);
    }
    CHECK(longest == Approx(1.0 / 14).epsilon(1e-4));
    for (auto [flow, length] : sizes)
      if (ratio = std::sqrt(flow / most); ratio > 0.01)
        CHECK(length / longest == Approx(ratio).epsilon(1e-2));
  }
}

TEST_CASE("lab: the page of exact holds what exact prints") {
  Temporary t;
  std::string page = t.folder + "exact.html", command = "exact --estimators 50 --in " + kTables;
  Result with = run(command + " -o " + page);
  INFO(with.text);
  REQUIRE(with.status == 0);
  CHECK(with.text == run(command).text);
  Json data = data_in(read_file(page)), printed = Json::parse(run(command + " --json").text);
  CHECK_THAT(with.text, Contains(data["facts"].get<std::string>()));
  for (const char* name : {"kl", "rkl", "js", "tvd"})
    CHECK(data["divergences"][name] == printed[name]);
  REQUIRE(data["estimators"].size() == printed["estimators"].size());
  for (size_t i = 0; i < data["estimators"].size(); i++) {
    Json e = data["estimators"][i];
    double mean = e["mean"], std = e["std"];
    CHECK(e["low"].get<double>() == Approx(mean - std));
    CHECK(e["high"].get<double>() == Approx(mean + std));
    e.erase("low"), e.erase("high");
    CHECK(e == printed["estimators"][i]);
  }
}

TEST_CASE("lab: the page of sinkhorn holds the sweep and its plans, of many rows the first 32") {
  Temporary t;
  for (int rows : {6, 40}) {
    std::string page = t.folder + "sinkhorn.html", command = sweep(t, rows);
    Result with = run(command + " --plan -o " + page);
    INFO(with.text);
    REQUIRE(with.status == 0);
    Json printed = Json::parse(with.text), data = data_in(read_file(page));
    CHECK(data["batch"] == rows);
    CHECK(run(command + " -o " + page).text == run(command).text);
    CHECK(data_in(read_file(page)) == data);
    REQUIRE(data["rows"].size() == 4);
    size_t n = size_t(std::min(rows, 32));
    double most = 0;
    for (size_t r = 0; r < 4; r++) {
      Json row = data["rows"][r];
      CHECK(row["gap_size"] == std::abs(row["gap"].get<double>()));
      REQUIRE(row["plan"].size() == n);
      for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
          double mass = printed[r]["plan"][i * size_t(rows) + j];
          CHECK(row["plan"][i][j].get<double>() == Approx(mass).epsilon(1e-5));
          most = std::max(most, mass);
        }
      for (const char* more : {"plan", "gap_size"}) row.erase(more), printed[r].erase(more);
      CHECK(row == printed[r]);
    }
    CHECK(data["most"].get<double>() == Approx(most).epsilon(1e-5));
  }
}

TEST_CASE("lab: a page that cannot be written is one line, before anything is computed") {
  Temporary t;
  std::string folder = t.folder;
  for (const std::string& command : {std::string("modes"), "exact --in " + kTables, sweep(t, 3)})
    for (auto [path, said] : {std::pair(folder + "none/p.html", "no such folder"),
                              {folder, "is no regular file"},
                              {std::string("/dev/null"), "is no regular file"},
                              {std::string("/dev/full/p.html"), "no such folder"}}) {
      Result r = run(command + " -o " + path);
      INFO(r.text);
      CHECK(r.status == 1);
      CHECK_THAT(r.text, Contains(path) && Contains(said));
      CHECK(std::count(r.text.begin(), r.text.end(), '\n') == 1);
    }
}
