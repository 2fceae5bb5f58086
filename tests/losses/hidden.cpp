// Hidden-state matching: its formula, positions that do not count, equal states.
#include "losses/hidden.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/gradcheck.h"

using namespace retort;

TEST_CASE("hidden-state matching, from its formula; padding is not looked at") {
  Tensor h = random_tensor({2, 3, 4}, 1), t = random_tensor({2, 3, 5}, 2),
         w = random_tensor({5, 4}, 3);
  std::vector<int> valid{1, 1, 0, 1, 0, 0};
  std::vector<double> weights{0.5, 0.25, 9, 2, 9, 9}, a = h.values(), b = t.values(),
                                                      c = w.values();
  double expected = 0;
  for (size_t n = 0; n < 6; n++)
    for (size_t d = 0; valid[n] && d < 5; d++) {
      double projected = 0;
      for (size_t k = 0; k < 4; k++) projected += c[d * 4 + k] * a[n * 4 + k];
      expected += weights[n] * (projected - b[n * 5 + d]) * (projected - b[n * 5 + d]) / 5;
    }
  Tensor of = Tensor::from(weights, {6}, Dtype::f64);
  CHECK(hidden_loss(h, t, valid, of, w).item() == Approx(expected).epsilon(1e-12));
  for (size_t n : {2, 4, 5}) h.data<double>()[n * 4] = NAN, t.data<double>()[n * 5] = INFINITY;
  CHECK(hidden_loss(h, t, valid, of, w).item() == Approx(expected).epsilon(1e-12));
  CHECK_THROWS_WITH(hidden_loss(h, t, valid, of),
                    Catch::Contains("(2, 3, 4)") && Catch::Contains("give a projection"));
}

TEST_CASE("normalised states are compared token by token") {
  Tensor t = random_tensor({1, 2, 8}, 1), h = scale(t, 3, 1);  // each token's, scaled and shifted
  Tensor of = Tensor::from({1.0, 1.0}, {2}, Dtype::f64);
  CHECK(hidden_loss(h, t, {1, 1}, of).item() > 1);
  CHECK(hidden_loss(h, t, {1, 1}, of, {}, true).item() < 1e-8);
  // f-DISTILL's code normalises all positions together, padding too: then what a token's loss is
  // depends on the others.
  for (size_t d = 0; d < 8; d++) h.data<double>()[8 + d] *= 50;
  CHECK(hidden_loss(h, t, {1, 0}, of, {}, true).item() < 1e-8);
}
