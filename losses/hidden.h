// Hidden-state matching, a part of pre-distillation (f-DISTILL, section 2.3; DistilBERT, FitNets).
#pragma once
#include <vector>

#include "engine/ops.h"

namespace retort {

/// sum_n weights[n] |h_n W^T - t_n|^2 / D over the positions n (B T) with valid[n] != 0, one
/// number; no others are looked at. States h of the student (B, T, C), t of the teacher (B, T, D),
/// which gets no gradient; weights (B T). `projection` W (D, C) is for unequal widths, undefined:
/// none. With `normalize` each state is brought to mean 0 and variance 1 first, token by token.
Tensor hidden_loss(const Tensor& student, const Tensor& teacher, const std::vector<int>& valid,
                   const Tensor& weights, const Tensor& projection = {}, bool normalize = false);

}  // namespace retort
