// Costs between the softened distributions of a batch, the ground cost of batch-wise Sinkhorn.
#pragma once
#include "engine/ops.h"

namespace retort {

/// d of C_ij = sum_v d(q_iv - p_jv): |d| (SinKD, its code's cdist with p = 1) or d^2.
enum class Ground { l1, squared_l2 };

/// C (B, B) of the rows `rows` (B) of logits (N, V): q = softmax(student / T), p = softmax(teacher
/// / T). With an undefined teacher, of the students among themselves. Differentiable in the
/// student; at ties the derivative of |d| is 0. Beside inputs and gradient it holds 2,048 tokens'
/// probabilities of each row, never (B, B, V).
Tensor pairwise_cost(Ground ground, const Tensor& student, const Tensor& teacher,
                     double temperature, const std::vector<int>& rows);

}  // namespace retort
