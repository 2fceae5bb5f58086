// Divergences between teacher and student distributions, row by row, from logits:
// p = softmax(teacher / T), q = softmax(student / T). No T^2 factor is applied anywhere.
#pragma once
#include "engine/ops.h"

namespace retort {

/// What to do where the teacher's probability is exactly 0 and the loss divides by it.
enum class ZeroPolicy { error, floor, ignore };

struct DivergenceOptions {
  double temperature = 1;
  Tensor mask;  ///< i32 (N): rows with 0 are skipped, their loss and gradient are 0; undefined: all
                ///< rows
  /// skew_kl and skew_rkl: log w/(1-w) of each row (N), w the teacher's weight in the mixture
  /// m = w p + (1-w) q, in the place of alpha; differentiable. Undefined: alpha's.
  Tensor mixture;
  ZeroPolicy zero = ZeroPolicy::error;
  double floor = -30;  ///< log p is at least this under ZeroPolicy::floor
  /// Reads the losses, to refuse what has none. Off: nothing waits for the device; such a row's
  /// loss is NaN, or infinite where it overflows, and the same call with check says why.
  bool check = true;
};

/// A parsed name, "kl" or "gjs:0.15".
struct DivergenceName {
  std::string name;
  double parameter = 0;
};

/// Registered divergences: name, its formula in one line, whether and which parameter it takes.
struct DivergenceInfo {
  std::string name, formula, parameter;
  double default_parameter = 0;
};
const std::vector<DivergenceInfo>& divergences();

/// Parses and checks against the registry; an unknown name is an error that names the nearest one.
DivergenceName parse_divergence(const std::string& text);
/// Throws unless the parameter is in the divergence's range.
void check_parameter(const DivergenceName& name);

/// D of each row of teacher and student logits (N, V) -> (N); differentiable in the student only.
/// Logits may be -inf; NaN and +inf are refused, naming row and token (see check). On the CPU the
/// gradient takes the memory of the teacher's logits if nobody else holds them: move them in.
Tensor divergence(const DivergenceName& name, Tensor teacher, const Tensor& student,
                  const DivergenceOptions& options = {});

}  // namespace retort
