// Student's t distribution, of any real number of degrees of freedom nu > 0. With t = sqrt(nu)
// tan(theta) its distribution function is
//   F(t) = 1/2 + c integral from 0 to theta of cos(x)^(nu - 1) dx,
//   c = gamma((nu + 1) / 2) / (sqrt(pi) gamma(nu / 2)),
// integrated by Simpson's rule, in steps of a small part of the peak's width, 1 / sqrt(nu).
#pragma once

namespace retort {

/// The probability of less than `t`.
double t_cdf(double t, double nu);

/// What is exceeded with probability 1 - `p`, 0 < p < 1: t_cdf's inverse, by bisection.
double t_quantile(double p, double nu);

}  // namespace retort
