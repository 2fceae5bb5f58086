#include "data/t_distribution.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace retort {
namespace {

// F as a function of the angle, which is finite where t is not.
double cdf_at(double theta, double nu) {
  int steps = 2 * (30 + int(5 * std::sqrt(nu) * std::abs(theta)));
  double h = theta / steps, sum = 0;
  for (int i = 0; i <= steps; i++) {
    double weight = i == 0 || i == steps ? 1 : i % 2 ? 4 : 2;
    sum += weight * std::pow(std::max(0., std::cos(i * h)), nu - 1);
  }
  double c =
      std::exp(std::lgamma((nu + 1) / 2) - std::lgamma(nu / 2)) / std::sqrt(std::numbers::pi);
  return 0.5 + c * sum * h / 3;
}

}  // namespace

double t_cdf(double t, double nu) { return cdf_at(std::atan(t / std::sqrt(nu)), nu); }

double t_quantile(double p, double nu) {
  double low = -std::numbers::pi / 2, high = -low;
  for (int i = 0; i < 50; i++) {
    double middle = (low + high) / 2;
    (cdf_at(middle, nu) < p ? low : high) = middle;
  }
  return std::sqrt(nu) * std::tan(high);
}

}  // namespace retort
