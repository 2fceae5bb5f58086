// What a divergence's gradient does to one next-token distribution q of the student, beside the
// teacher's p: the library's own loss and backward (losses/divergence) in float64, at chosen
// points.
#pragma once
#include <array>
#include <string>
#include <vector>

namespace retort {

using ThreeTokens = std::array<double, 3>;  ///< probabilities above 0, together 1

/// D at a point of the three-token simplex, and where a small step against its gradient leads.
struct FieldArrow {
  ThreeTokens q{};
  double loss = 0;
  ThreeTokens gradient{};  ///< dD/dz, z = log q the logits
  ThreeTokens flow{};  ///< dq/dt for dz/dt = -gradient: q_v (-gradient_v + sum_u q_u gradient_u)
};

/// The field at the points inside the triangle whose coordinates are multiples of 1/`sides`.
std::vector<FieldArrow> gradient_field(const std::string& divergence, const ThreeTokens& teacher,
                                       int sides);

/// |dD/dz| of a token that the teacher gives p and the student q, in a vocabulary of two, for each
/// q: what is left to bring back a token that the student has dropped (q near 0).
std::vector<double> dropped_gradient(const std::string& divergence, double p,
                                     const std::vector<double>& q);

/// ||dD/dz|| in the student's logits at each temperature, without the factor T^2 that Hinton et al.
/// (arXiv 1503.02531, section 2.1) put before it.
std::vector<double> gradient_norms(const std::string& divergence, const ThreeTokens& teacher,
                                   const ThreeTokens& student,
                                   const std::vector<double>& temperatures);

/// The teacher's softened target, p^(1/T) over its sum.
ThreeTokens softened(const ThreeTokens& teacher, double temperature);

}  // namespace retort
