// Draws and the best tokens against a sort, on every device.
#include "engine/sample.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "kernels/random.h"
#include "tests/devices.h"

using namespace retort;

namespace {

Tensor row_of(const std::vector<double>& x, Device device) {
  return Tensor::from(x, {1, int(x.size())}, Dtype::f32, device);
}
// Many draws from one row, with the uniform numbers u.
std::vector<int> draws(const std::vector<double>& x, const std::vector<double>& u,
                       const Sampling& o, Device device) {
  std::vector<double> all;
  for (size_t i = 0; i < u.size(); i++) all.insert(all.end(), x.begin(), x.end());
  Tensor logits = Tensor::from(all, {int(u.size()), int(x.size())}, Dtype::f32, device);
  return sample(logits, Tensor::from(u, {int(u.size())}, Dtype::f32, device), o).ints();
}

// The weights a draw is from, after a sort: top-k, then top-p of what is left.
std::vector<double> weights_of(const std::vector<double>& x, const Sampling& o) {
  float m = float(*std::max_element(x.begin(), x.end()));
  std::vector<double> w, kept(x.size(), 0.0);
  for (double v : x) w.push_back(exp_((float(v) - m) * float(1 / o.temperature)));
  std::vector<int> order(w.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return w[size_t(a)] > w[size_t(b)]; });
  if (o.top_k > 0 && size_t(o.top_k) < order.size()) order.resize(size_t(o.top_k));
  double total = 0, mass = 0;
  for (int i : order) total += w[size_t(i)];
  for (int i : order) {
    if (o.top_p < 1 && mass >= o.top_p * total) break;
    mass += kept[size_t(i)] = w[size_t(i)];
  }
  return kept;
}

}  // namespace

TEST_CASE("draws are those of a sorted list, for short and long rows", "[cuda]") {
  for (Device device : devices())
    for (int n : {1, 2, 7, 1003, 50257})
      for (Sampling o : {Sampling{1, 0, 1},
                         {0.7, 1, 1},
                         {1, 5, 1},
                         {1.3, 0, 0.9},
                         {1, 40, 0.5},
                         {1, n, 0.999},
                         {2, 0, 1e-6}}) {
        INFO(n << " tokens, temperature " << o.temperature << ", top_k " << o.top_k << ", top_p "
               << o.top_p << (device == Device::cuda ? " on cuda" : ""));
        std::vector<double> x, u;
        // In eighths, so that many are equal.
        for (int i = 0; i < n; i++)
          x.push_back(std::round(8 * normal({5}, 0, uint32_t(i))) / 4 -
                      (i % 5 == 0 ? INFINITY : 0));
        x.back() = 2;
        for (int i = 0; i < 12; i++) u.push_back(uniform({7}, 0, uint32_t(i)));
        u.push_back(0), u.push_back(1 - std::ldexp(1, -24));
        std::vector<double> w = weights_of(x, o);
        double total = std::accumulate(w.begin(), w.end(), 0.0);
        std::vector<int> got = draws(x, u, o, device);
        for (size_t k = 0; k < u.size(); k++) {
          REQUIRE(got[k] >= 0);
          REQUIRE(got[k] < n);
          CHECK(w[size_t(got[k])] > 0);
          // Up to what exp and sums round differently.
          double before = std::accumulate(w.begin(), w.begin() + got[k], 0.0);
          CHECK(before <= (u[k] + 1e-6) * total);
          CHECK(before + w[size_t(got[k])] >= (u[k] - 1e-6) * total);
        }
      }
}

TEST_CASE("of equal tokens top-k and top-p keep the lower ids", "[cuda][small]") {
  std::vector<double> u, x(16, 1.5);
  for (int i = 0; i < 32; i++) u.push_back((i + 0.5) / 32);
  auto kept = [&](const Sampling& o, Device device) {
    std::vector<int> ids = draws(x, u, o, device);
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return ids;
  };
  for (Device device : devices()) {
    x.assign(16, 1.5);
    CHECK(kept({1, 3, 1}, device) == std::vector<int>{0, 1, 2});
    CHECK(kept({1, 1, 1}, device) == std::vector<int>{0});
    CHECK(kept({1, 0, 0.25}, device) == std::vector<int>{0, 1, 2, 3});
    CHECK(kept({1, 8, 0.25}, device) == std::vector<int>{0, 1});
    CHECK(kept({1, 0, 1}, device).size() == 16);
    x[9] = x[12] = 40;
    CHECK(kept({1, 1, 1}, device) == std::vector<int>{9});
    CHECK(kept({1, 3, 1}, device) == std::vector<int>{9, 12});  // and 0, of no weight to speak of
    CHECK(kept({1, 0, 0.5}, device) == std::vector<int>{9});
    CHECK(draws({0, NAN, 1}, {0.5}, {}, device) == std::vector<int>{-1});
    CHECK(draws({NAN, 2, 1}, {0.5}, {1, 2, 0.5}, device) == std::vector<int>{-1});
    CHECK(draws({-INFINITY, -INFINITY}, {0.5}, {}, device) == std::vector<int>{-1});
  }
}

TEST_CASE("the best tokens come in order, ties by the lower id, NaN first", "[cuda]") {
  for (Device device : devices()) {
    BestTokens b = best(row_of({1, 3, -INFINITY, 3, -2, 7, 3}, device), 7);
    CHECK(b.ids.ints() == std::vector<int>{5, 1, 3, 6, 0, 4, 2});
    CHECK(b.values.values() == std::vector<double>{7, 3, 3, 3, 1, -2, -INFINITY});
    b = best(row_of({1, INFINITY, NAN, -0.0}, device), 2);
    CHECK(b.ids.ints() == std::vector<int>{2, 1});
    CHECK(std::isnan(b.values.values()[0]));
    for (int n : {1003, 50257}) {
      std::vector<double> x;
      for (int i = 0; i < 2 * n; i++) x.push_back(std::round(8 * normal({3}, 0, uint32_t(i))));
      b = best(Tensor::from(x, {2, n}, Dtype::f32, device), 8);
      for (int row = 0; row < 2; row++) {
        std::vector<int> order(static_cast<size_t>(n));
        std::iota(order.begin(), order.end(), 0);
        auto above = [&](int i, int j) { return x[size_t(row * n + i)] > x[size_t(row * n + j)]; };
        std::stable_sort(order.begin(), order.end(), above);
        order.resize(8);
        std::vector<int> ids = b.ids.ints();
        CHECK(std::vector<int>(ids.begin() + 8 * row, ids.begin() + 8 * row + 8) == order);
      }
    }
    CHECK_THROWS_WITH(best(row_of({1, 2}, device), 3), Catch::Contains("from 1 to V"));
  }
}
