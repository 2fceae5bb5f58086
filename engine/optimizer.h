// Optimizers over the flat buffers of Parameters, gradient clipping, learning-rate schedules.
#pragma once
#include <memory>

#include "engine/parameters.h"

namespace retort {

struct OptimizerOptions {
  std::string name =
      "adamw";  ///< adamw (Loshchilov & Hutter 2019) or adafactor (Shazeer & Stern 2018)
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double clip_threshold = 1, decay_rate = -0.8, eps2 = 1e-3;  ///< adafactor; its eps is 1e-30
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// One update from parameters.grads() at this learning rate; does not zero the gradients. Where
  /// `norm`, from clip_grad_norm(), is given and not finite, weights and state stay as they are
  /// (the step counts all the same): the caller may look at the norm later. Nothing waits for the
  /// device.
  virtual void step(double learning_rate, const Tensor& norm = {}) = 0;
  /// What resuming needs besides the step count, by name; tensors share memory with the optimizer.
  virtual std::map<std::string, Tensor> state() const = 0;
  long steps = 0;  ///< updates made; restored on resume
};

/// Throws on an unknown optimizer name. `parameters` must outlive the optimizer and be flattened.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options, Parameters& parameters);

/// Scales all gradients so that their global 2-norm is at most `max_norm` (0: no clipping); returns
/// the norm before, one f64 number on the device. One that is not finite scales nothing. The sum
/// runs in float64 in a fixed order.
Tensor clip_grad_norm(Parameters& parameters, double max_norm);

struct Schedule {
  std::string name = "constant";  ///< constant, linear, cosine, inverse_sqrt
  double peak = 1e-3, floor = 0;
  long warmup = 0, total = 0;  ///< in updates; total is needed by linear and cosine
};
/// Learning rate of update `step` (0-based): linear warm-up to `peak`, then the named decay.
double learning_rate(const Schedule& schedule, long step);

}  // namespace retort
