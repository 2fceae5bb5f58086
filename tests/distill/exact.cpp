// Exact sequence divergences against numbers enumerated elsewhere (tests/references/make_exact.py),
// against each other, and on tables that are none.
#include "distill/estimators.h"

#include <fmt/core.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>

#include "data/text.h"
#include "distill/toml.h"
#include "engine/gradcheck.h"
#include "engine/ops.h"
#include "engine/safetensors.h"
#include "tests/engine/scratch.h"

using namespace retort;

namespace {

const char* kFile = "tests/references/exact.safetensors";

SequenceTables tables(const TensorFile& file, const std::string& prefix) {
  auto at = [&](const char* name) { return file.tensors.at(prefix + name); };
  return sequence_tables(at("teacher"), at("student"), at("tie"));
}
double value(const ExactDivergence& d, const std::string& key) {
  if (key == "exact") return d.exact;
  if (key == "stepwise") return d.stepwise;
  if (key == "stepwise_exact_mixture") return d.stepwise_exact_mixture.value();
  return key == "grad_cosine" ? d.grad_cosine.value() : d.grad_norm_ratio.value();
}

// What `retort exact --json` prints.
Json run_exact(const std::string& arguments) {
  const char* program = std::getenv("RETORT");
  std::string out = scratch("exact.json"),
              command = fmt::format("{} exact {} --json > {}", program ? program : "build/retort",
                                    arguments, out);
  REQUIRE(std::system(command.c_str()) == 0);
  return Json::parse(read_file(out));
}

}  // namespace

TEST_CASE("exact and step-wise divergences and gradients equal enumeration elsewhere") {
  TensorFile file = load_safetensors(kFile);
  Json toys = Json::parse(file.metadata.at("divergences"));
  CHECK(toys.size() == 6);
  for (const auto& [toy, want] : toys.items()) {
    auto got = exact_divergences(tables(file, toy));
    REQUIRE(got.size() == want.size());
    for (const auto& [name, numbers] : want.items())
      for (const auto& [key, x] : numbers.items()) {
        INFO(toy << " " << name << " " << key);
        CHECK(std::abs(value(got.at(name), key) - x.get<double>()) < 1e-9);
      }
  }
  Json printed = run_exact(std::string("--in ") + kFile);
  CHECK(printed.size() == 4);
  for (const auto& [name, numbers] : toys[""].items()) {
    CHECK(printed[name].size() == numbers.size());
    for (const auto& [key, x] : numbers.items())
      CHECK(std::abs(printed[name][key].get<double>() - x.get<double>()) < 1e-9);
  }
}

TEST_CASE("step-wise KL, RKL and JS with the exact mixture are the sequences'; the others bounds") {
  for (auto [V, L] : {std::pair(2, 1), {2, 5}, {2, 12}, {3, 4}, {5, 3}, {33, 2}, {1003, 1}})
    for (double spread : {1.0, 5.0, 30.0}) {
      int P = 0;
      for (int t = 0, level = 1; t < L; t++, level *= V) P += level;
      INFO("V " << V << " L " << L << " spread " << spread);
      auto d = exact_divergences(sequence_tables(random_tensor({P, V}, 1, spread).to(Dtype::f64),
                                                 random_tensor({P, V}, 2, spread).to(Dtype::f64)));
      for (const char* name : {"kl", "rkl"})
        CHECK(d[name].stepwise == Approx(d[name].exact).epsilon(1e-9));
      CHECK(*d["js"].stepwise_exact_mixture == Approx(d["js"].exact).epsilon(1e-9));
      CHECK(d["js"].stepwise >= d["js"].exact * (1 - 1e-12));
      CHECK(d["tvd"].stepwise >= d["tvd"].exact * (1 - 1e-12));
      CHECK(d["js"].exact <= std::log(2.0) * (1 + 1e-12));
      CHECK(d["tvd"].exact <= 1 + 1e-12);
      CHECK(*d["kl"].grad_cosine == Approx(1).epsilon(1e-9));
      CHECK(*d["kl"].grad_norm_ratio == Approx(1).epsilon(1e-9));
      if (L == 1)  // nothing is sampled: both are one thing
        for (const auto& [name, x] : d) {
          CHECK(x.stepwise == Approx(x.exact).epsilon(1e-9));
          CHECK(*x.grad_cosine == Approx(1).epsilon(1e-9));
        }
    }
}

TEST_CASE("a student that is the teacher: zeros, and no direction to compare") {
  Tensor logits = random_tensor({40, 3}, 1, 2).to(Dtype::f64);
  // The same distributions, written down with other logits.
  Tensor shifted = add(logits, random_tensor({40, 1}, 2, 3).to(Dtype::f64));
  for (const Tensor& student : {logits, shifted})
    for (const auto& [name, d] : exact_divergences(sequence_tables(logits, student))) {
      INFO(name);
      CHECK(std::abs(d.exact) < 1e-15);
      CHECK(std::abs(d.stepwise) < 1e-14);
      CHECK_FALSE(d.grad_cosine);
      CHECK_FALSE(d.grad_norm_ratio);
    }
  std::string path = scratch("same.safetensors");
  save_safetensors(path, {{"teacher", logits}, {"student", logits}});
  Json j = run_exact("--in " + path);
  for (const char* name : {"kl", "rkl", "js", "tvd"}) {
    CHECK(j[name]["exact"] == 0);
    CHECK(j[name]["stepwise"] == 0);
    CHECK(j[name]["grad_cosine"].is_null());
    CHECK(j[name]["grad_norm_ratio"].is_null());
  }
  CHECK(j["js"]["stepwise_exact_mixture"] == 0);
}

TEST_CASE("tables that do not fit are one line: which tensor, and what to do") {
  auto normal = [](int P, int V) { return random_tensor({P, V}, 1).to(Dtype::f64); };
  auto says = [](const Tensor& teacher, const Tensor& student, const Tensor& tie,
                 const std::string& what) {
    INFO(what);
    CHECK_THROWS_WITH(sequence_tables(teacher, student, tie),
                      Catch::Contains(what) && !Catch::Contains("\n"));
  };
  Tensor good = normal(7, 2);
  says({}, good, {}, "no tensor \"teacher\"");
  says(good, {}, {}, "no tensor \"student\"");
  says(good, good.to(Dtype::f32), {}, "tensor student must be F64 of shape (P, V), it is f32");
  says(normal(14, 1), normal(14, 1), {}, "V must be 2 or more");
  says(good, normal(3, 2), {}, "differ in shape");
  says(normal(8, 2), normal(8, 2), {}, "for L = 4: 15");
  says(normal(0, 2), normal(0, 2), {}, "for L = 1: 1");
  says(normal(1 + 1001, 1001), normal(1 + 1001, 1001), {}, "1001^2 = 1002001 sequences");
  for (double x : {double(NAN), double(INFINITY), -double(INFINITY)}) {
    std::vector<double> v = good.values();
    v[5] = x;
    says(good, Tensor::from(v, {7, 2}, Dtype::f64), {},
         "student: prefix 2, letter 1: the logit is");
  }
  says(good, good, Tensor::from(std::vector<int>(6), {6}), "must be I64 of shape (7)");
  says(good, good, Tensor::from(std::vector<int>{0, 1, 2, 3, 4, 5, 1}, {7}),
       "prefixes 1 and 6 have one number in tie");
  std::string path = scratch("tables.safetensors");
  save_safetensors(path, {{"teacher", good}, {"student", normal(8, 2)}});
  CHECK_THROWS_WITH(load_sequence_tables(path), Catch::StartsWith(path + ": teacher (7, 2)"));
  CHECK_THROWS_WITH(load_sequence_tables(scratch("absent")), Catch::Contains("absent"));
}

TEST_CASE("estimators stay finite where a student's probability is 0 in float64") {
  std::vector<double> p{0.3, -1, 0.5, 1, 0, 0.2, -0.4, 0.6, 0, 0.1, 0.9, -2}, q = p;
  q[4] = -1000, q[0] = 2;
  SequenceTables t =
      sequence_tables(Tensor::from(p, {4, 3}, Dtype::f64), Tensor::from(q, {4, 3}, Dtype::f64));
  for (const Estimator& e : compare_estimators(t, exact_divergences(t), 10, 1)) {
    INFO(e.target << " " << e.name << " " << e.mean << " " << e.std);
    CHECK((std::isfinite(e.mean) && std::isfinite(e.std) && std::isfinite(e.sampled)));
  }
}

TEST_CASE("estimators' bias and spread equal enumeration elsewhere, and draws agree with both") {
  TensorFile file = load_safetensors(kFile);
  Json toys = Json::parse(file.metadata.at("estimators"));
  for (const auto& [toy, want] : toys.items()) {
    SequenceTables t = tables(file, toy);
    const int samples = 20000;
    std::vector<Estimator> got = compare_estimators(t, exact_divergences(t), samples, 1);
    REQUIRE(got.size() == want.size());
    for (size_t i = 0; i < got.size(); i++) {
      const Estimator& e = got[i];
      INFO(toy << " " << e.target << " " << e.name);
      CHECK(e.target == want[i][0]);
      CHECK(e.name == want[i][1]);
      CHECK(e.mean == Approx(want[i][2].get<double>()).epsilon(1e-9).margin(1e-9));
      CHECK(e.std == Approx(want[i][3].get<double>()).epsilon(1e-7).margin(1e-7));
      bool unbiased =
          e.name == "k1" || e.name == "k3" || e.name == "full vocabulary" || e.name == "sample";
      if (unbiased) CHECK(e.mean == Approx(e.truth).epsilon(1e-9));
      if (e.name == "top-k and tail")  // merging letters loses divergence
        CHECK(e.mean <= e.truth * (1 + 1e-12));
      if (e.name != "k3")  // its tails are too heavy for the normal law
        CHECK(std::abs(e.sampled - e.mean) <= 5 * e.std / std::sqrt(samples) + 1e-9);
    }
  }
}
