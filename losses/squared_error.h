// Squared error of outputs: of a regression, of logits that are matched to a teacher's (Ba &
// Caruana 2014; the high-temperature limit of distillation, Hinton et al. 2015, section 2.1), of
// states.
#pragma once
#include "engine/ops.h"

namespace retort {

/// mean_c ((x_nc - y_nc) / T)^2 of each row (N) of x and y (N, C); no gradient for y.
Tensor squared_error(const Tensor& x, const Tensor& y, double temperature = 1);

}  // namespace retort
