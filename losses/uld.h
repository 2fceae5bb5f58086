// Distance of sorted probabilities, for vocabularies that do not correspond.
#pragma once
#include "engine/ops.h"

namespace retort {

/// sum_r |q_(r) - p_(r)| of each row (N), r the rank: q = softmax(student / T) of logits (N, V), p
/// = softmax(teacher / T) of (N, W); the shorter one is filled up with zeros. It is the transport
/// between the two under the cost of matching unequal tokens in the best order (Boizard et al.
/// 2024, "ULD", eq. 5). Differentiable in the student; equal probabilities keep their order, 0
/// where q_(r) = p_(r).
Tensor sorted_distance(const Tensor& student, const Tensor& teacher, double temperature = 1);

}  // namespace retort
