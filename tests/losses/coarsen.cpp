// Coarsened distributions: values and gradients from their definition, tails that 1 - sum would
// lose, and what coarsening does to divergences.
#include "losses/coarsen.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/gradcheck.h"
#include "losses/divergence.h"
#include "tests/devices.h"

using namespace retort;

namespace {

// Tokens of each row, in an order that is not theirs.
Tensor tokens(int rows, int k, int vocabulary, Device device = Device::cpu) {
  std::vector<int> ids;
  for (int row = 0; row < rows; row++)
    for (int i = 0; i < k; i++) ids.push_back((row + 5 * (k - i)) % vocabulary);
  return Tensor::from(ids, {rows, k}, device);
}

}  // namespace

TEST_CASE("coarsened log-probabilities and their gradient, by definition", "[cuda][small]") {
  for (Device device : devices())
    for (auto [rows, k, v] : {std::tuple{3, 1, 2}, {2, 4, 33}, {3, 32, 33}, {2, 40, 1203}})
      for (Dtype dtype : {Dtype::f64, Dtype::f32}) {
        INFO(v << " tokens to " << k << (dtype == Dtype::f64 ? " in f64" : " in f32"));
        Tensor x = parameter(random_tensor({rows, v}, 1, 2).to(dtype).to(device)),
               up = random_tensor({rows, k + 1}, 2).to(dtype), ids = tokens(rows, k, v);
        Tensor y = coarsen(x, ids.to(device));
        REQUIRE(y.shape == Shape{rows, k + 1});
        backward(y, up.to(device));
        std::vector<double> logits = x.values(), got = y.values(), gradient = grad(x).values(),
                            dy = up.values();
        double limit = dtype == Dtype::f64 ? 1e-13 : 2e-6;
        for (int row = 0; row < rows; row++) {
          auto bucket = [&](int token) {
            for (int i = 0; i < k; i++)
              if (ids.ints()[size_t(row * k + i)] == token) return i;
            return k;
          };
          std::vector<double> mass(size_t(k) + 1, 0.0);
          double total = 0, sum = 0;
          for (int t = 0; t < v; t++) {
            double e = std::exp(logits[size_t(row * v + t)]);
            mass[size_t(bucket(t))] += e, total += e;
          }
          for (int i = 0; i <= k; i++) {
            CHECK(std::abs(got[size_t(row * (k + 1) + i)] - std::log(mass[size_t(i)] / total)) <
                  10 * limit);
            sum += dy[size_t(row * (k + 1) + i)];
          }
          for (int t = 0; t < v; t++) {  // d log mass_b / dx_t = [t in b] e / mass_b - e / total
            double e = std::exp(logits[size_t(row * v + t)]);
            size_t b = size_t(bucket(t));
            double expected = e / mass[b] * dy[size_t(row * (k + 1)) + b] - e / total * sum;
            CHECK(std::abs(gradient[size_t(row * v + t)] - expected) < limit * (1 + k));
          }
        }
      }
}

TEST_CASE("a tail that 1 - sum would lose keeps its digits", "[cuda][small]") {
  for (Device device : devices())
    for (Dtype dtype : {Dtype::f64, Dtype::f32}) {
      // Two tokens have all but 3e-30 of the probability, then all but 1e-300.
      for (double far : {std::log(1e-30), std::log(1e-300)}) {
        std::vector<double> row{far, 0, far, 0, far};
        Tensor x = parameter(Tensor::from(row, {1, 5}, dtype, device));
        Tensor y = coarsen(x, Tensor::from(std::vector<int>{3, 1}, {1, 2}, device));
        std::vector<double> got = y.values();
        CHECK(got[0] == Approx(std::log(0.5)));
        CHECK(got[2] == Approx(far + std::log(1.5)).epsilon(1e-6));
        backward(y, Tensor::from({0, 0, 1}, {1, 3}, dtype, device));
        std::vector<double> g = grad(x).values();
        for (size_t i : {0, 2, 4}) CHECK(g[i] == Approx(1. / 3).epsilon(1e-6));
        for (size_t i : {1, 3}) CHECK(g[i] == Approx(-0.5));
      }
      // Nothing at all: log 0, and no gradient into it.
      double none = -INFINITY;
      Tensor x = parameter(Tensor::from({none, 1, none}, {1, 3}, dtype, device));
      Tensor y = coarsen(x, Tensor::from(std::vector<int>{1}, {1, 1}, device));
      CHECK(y.values() == std::vector<double>{0, none});
      backward(y, Tensor::from({1, 0}, {1, 2}, dtype, device));
      CHECK(grad(x).values() == std::vector<double>{0, 0, 0});
    }
}

TEST_CASE("coarsening raises no f-divergence; all but one token is everything") {
  int rows = 20, v = 17;
  Tensor teacher = random_tensor({rows, v}, 3, 2), student = random_tensor({rows, v}, 4, 2);
  for (const char* name : {"kl", "rkl", "js", "tvd", "skew_kl:0.1", "hellinger", "alpha:0.3"}) {
    DivergenceName d = parse_divergence(name);
    std::vector<double> whole = divergence(d, teacher, student).values(), before(size_t(rows), 0.0);
    for (int k : {1, 3, 9, 15, 16}) {  // each a refinement of the one before
      std::vector<int> first;
      for (int row = 0; row < rows; row++)
        for (int i = 0; i < k; i++) first.push_back(i);
      Tensor ids = Tensor::from(first, {rows, k});
      std::vector<double> coarse =
          divergence(d, coarsen(teacher, ids), coarsen(student, ids)).values();
      INFO(name << " with " << k << " tokens");
      for (size_t row = 0; row < size_t(rows); row++) {
        CHECK(coarse[row] >= before[row] - 1e-14);
        CHECK(coarse[row] <= whole[row] + 1e-14);
        if (k == v - 1) CHECK(coarse[row] == Approx(whole[row]).epsilon(1e-12));
        if (k == 1) CHECK(coarse[row] < 0.9 * whole[row] + 1e-3);  // so that it is no tautology
      }
      before = coarse;
    }
  }
}

TEST_CASE("coarsen refuses what it cannot do") {
  auto refused = [](std::vector<int> ids, const char* why) {
    CHECK_THROWS_WITH(coarsen(random_tensor({1, 3}, 1), Tensor::from(ids, {1, int(ids.size())})),
                      Catch::Contains(why));
  };
  refused({0, 1, 2}, "0 < K < V, got (1, 3) and i32 (1, 3)");
  refused({2, 3}, "row 0: id 3 is outside [0, 3)");
  refused({2, -1}, "row 0: id -1 is outside");
  refused({1, 1}, "row 0: id 1 stands twice");
}
