#include "losses/squared_error.h"

#include <cmath>

namespace retort {

Tensor squared_error(const Tensor& x, const Tensor& y, double temperature) {
  ENSURE(x.rank() == 2 && x.shape == y.shape && x.dtype == y.dtype,
         "squared_error: expected outputs (N, C) of one shape and type, got " + text(x.shape) +
             " and " + text(y.shape));
  ENSURE(temperature > 0 && std::isfinite(temperature),
         "squared_error: the temperature must be positive, got " + std::to_string(temperature));
  Tensor difference = scale(sub(x, y.detach()), 1 / temperature);
  return mean(mul(difference, difference), 1);
}

}  // namespace retort
