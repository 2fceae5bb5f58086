// The tape: record() hangs a closure behind a tensor; backward() runs the closures from the last to
// the first and frees each node as it passes.
#pragma once
#include <functional>

#include "engine/tensor.h"

namespace retort {

using Grads = std::vector<Tensor>;
/// Gradients of the loss in the operator's inputs, from the one in its output. A
/// default-constructed Tensor stands for "none".
using Backward = std::function<Grads(const Tensor& dy)>;

struct Node {
  const char* name;  ///< the operator, for errors
  long order;        ///< 0 for parameters; later operators have larger numbers
  std::vector<std::shared_ptr<Node>> inputs;
  Backward back;
  Tensor grad;  ///< sum of what has arrived so far; a parameter's gradient after backward()
  Shape shape;  ///< of the operator's output
  Dtype dtype;  ///< of its output; a parameter's gradient is in real_of(dtype)
};

/// Whether an operator on `inputs` is recorded: not under NoGrad, nor when no input wants a
/// gradient.
bool recorded(const std::vector<Tensor>& inputs);
/// Makes `y` the output of operator `name` on `inputs`. Without `back`, backward() through y throws
/// and names the operator.
Tensor record(const char* name, Tensor y, const std::vector<Tensor>& inputs, Backward back);

/// A leaf whose gradient is wanted. Gradients add up over backward() calls until zeroed.
Tensor parameter(Tensor x);
/// The gradient of a parameter; zeros if none has arrived.
Tensor grad(const Tensor& parameter);

/// Runs the tape from `y`, with upstream gradient `dy` (default: one, for a scalar loss).
void backward(const Tensor& y, const Tensor& dy = {});

/// While one lives, nothing is recorded.
struct NoGrad {
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
};

}  // namespace retort
