// What the mathematics promises of losses, as checks: behind `retort invariants` and the tests.
// p = softmax(teacher / T), q = softmax(student / T).
#pragma once
#include <cmath>
#include <functional>

#include "engine/ops.h"

namespace retort {

/// A property of a loss: how far off it is in a type of numbers, the worst case of several sizes,
/// and how far it may be. Errors are relative (to a loss, or the norm of a row's gradient) unless
/// the property is that something is 0; a tolerance of 0 means the same bits, and NaN passes none.
struct Invariant {
  std::string loss, property;
  std::function<double(Dtype)> error;
  double f64 = 0, f32 = 0;  ///< tolerances
  double tolerance(Dtype dtype) const { return dtype == Dtype::f64 ? f64 : f32; }
};

/// The worse of two errors; NaN is worse than any.
inline double worse(double a, double b) { return a >= b || std::isnan(a) ? a : b; }

/// A loss and what is promised of it beside its formula.
struct CheckedLoss {
  std::string name;
  /// (teacher, student, mask, temperature): logits (N, V), mask i32 (N) or undefined, -> loss (N)
  /// or (1), differentiable in the student.
  std::function<Tensor(const Tensor&, const Tensor&, const Tensor&, double)> loss;
  bool per_row = true;          ///< (N), or of the batch (1)
  bool zero_at_teacher = true;  ///< loss and gradient are 0 where both logits are the same
  bool of_softmax = true;       ///< constants added to a row of logits change nothing
  bool not_negative = true, masks = true;
  std::vector<int> classes{1, 2, 3, 33, 1003};  ///< V that are looked at
};

/// The checks that one loss passes by itself: zero, sum of a gradient's row, shift, sign,
/// temperature, order of tokens and of rows, masked rows, accumulation.
std::vector<Invariant> invariants_of(const CheckedLoss& loss);

/// All of every registered divergence and transport loss, of cross-entropy and squared error; what
/// holds between divergences (identities, inequalities, limits), and of plans.
std::vector<Invariant> invariants();
/// Those of them that are of transport.
std::vector<Invariant> transport_invariants();

/// Every divergence, those with a parameter at several: "gjs:0.15".
std::vector<std::string> divergence_examples();

}  // namespace retort
