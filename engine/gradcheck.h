// Gradients against finite differences in float64: the check behind `retort gradcheck` and the
// tests.
#pragma once
#include <functional>

#include "engine/tape.h"

namespace retort {

/// Errors above this fail.
constexpr double kGradLimit = 1e-6;

struct GradResult {
  double error =
      0;  ///< worst over inputs of max_i |a_i - n_i| / max(|n|_max, 1e-3), a analytic, n numeric
  std::string where;  ///< "input 1, element 17: analytic 0.2, numeric 0.3"
};

struct GradOptions {
  double step = 1e-3;           ///< of the 4-point stencil (error O(step^4))
  int elements = 60;            ///< at most so many of each input are perturbed, spread evenly
  uint64_t seed = 1;            ///< of the upstream gradient, which is random, never ones
  Device device = Device::cpu;  ///< where it is computed
  /// On that device; on CUDA, where each perturbation is many launches, of fewer elements.
  static GradOptions on(Device device) {
    GradOptions o;
    o.device = device, o.elements = device == Device::cuda ? 3 : o.elements;
    return o;
  }
};

/// Checks the backward of `f` at float64 `inputs`, which are moved to the device. f must be a
/// function of them alone and may be called often.
GradResult check_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                           const std::vector<Tensor>& inputs, const GradOptions& options = {});

/// A named check; "matmul transposed" and "matmul batched" belong to the family "matmul".
struct GradCase {
  std::string name;
  std::function<GradResult(Device)> run;
};

/// Normal random float64 numbers of a shape, a function of (seed, index).
Tensor random_tensor(Shape shape, uint64_t seed, double std = 1, double mean = 0,
                     Device device = Device::cpu);

/// Cases of every operator of engine/ops.h.
std::vector<GradCase> operator_cases();

}  // namespace retort
