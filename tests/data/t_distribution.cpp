// Student's t distribution against printed tables, closed forms and a recurrence in nu.
#include "data/t_distribution.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

using namespace retort;

TEST_CASE("t: quantiles of printed tables") {
  for (auto [nu, t] : {std::pair{1.0, 12.706},
                       {2.0, 4.303},
                       {4.0, 2.776},
                       {10.0, 2.228},
                       {1e6, 1.960}}) {  // the last: the normal distribution's
    INFO(nu);
    CHECK(t_quantile(0.975, nu) == Approx(t).margin(0.0005));
    CHECK(t_quantile(0.025, nu) == Approx(-t).margin(0.0005));
    CHECK(t_cdf(t_quantile(0.975, nu), nu) == Approx(0.975).epsilon(1e-12));
  }
}

TEST_CASE("t: closed forms of 1 to 4 degrees of freedom") {
  for (double t : {-40.0, -1.5, 0.0, 0.3, 2.0, 12.706}) {
    INFO(t);
    double root2 = std::sqrt(2 + t * t), root4 = std::sqrt(4 + t * t);
    CHECK(t_cdf(t, 1) == Approx(0.5 + std::atan(t) / std::numbers::pi).margin(1e-8));
    CHECK(t_cdf(t, 2) == Approx(0.5 + t / (2 * root2)).margin(1e-8));
    CHECK(t_cdf(t, 3) ==
          Approx(0.5 +
                 (std::atan(t / std::sqrt(3)) + std::sqrt(3) * t / (3 + t * t)) / std::numbers::pi)
              .margin(1e-8));
    double sine = t / root4;  // of theta: the integral of cos^3 is sine - sine^3 / 3
    CHECK(t_cdf(t, 4) == Approx(0.5 + 0.75 * (sine - sine * sine * sine / 3)).margin(1e-8));
  }
}

// Of half-integer degrees there is no closed form, but by parts, with k = nu + 1,
//   integral of cos^(k - 1 + 1) = cos^nu sin / (nu + 1) + nu / (nu + 1) integral of cos^(nu - 1),
// and c grows by (nu + 1) / nu: F of nu + 2 at the same angle is known from F of nu. The whole
// probability is 1.
TEST_CASE("t: half-integer degrees of freedom, by parts") {
  for (double nu : {1.5, 2.5, 3.5, 6.5, 40.5})
    for (double theta : {-1.2, 0.2, 0.7, 1.3}) {
      INFO(nu << " " << theta);
      double c = std::tgamma((nu + 1) / 2) / (std::sqrt(std::numbers::pi) * std::tgamma(nu / 2)),
             more = c * std::pow(std::cos(theta), nu) * std::sin(theta) / nu;
      CHECK(t_cdf(std::sqrt(nu + 2) * std::tan(theta), nu + 2) ==
            Approx(t_cdf(std::sqrt(nu) * std::tan(theta), nu) + more).margin(1e-8));
    }
  for (double nu : {1.5, 2.5, 3.5, 6.5, 40.5}) {
    INFO(nu);
    CHECK(t_cdf(INFINITY, nu) == Approx(1).margin(1e-3));
    CHECK(t_cdf(-INFINITY, nu) == Approx(0).margin(1e-3));
  }
}
