// A divergence behind the output projections of teacher and student, without either's logits ever
// whole: only those of a few rows at a time exist, and their gradient goes into the projection's at
// once. For large vocabularies the logits are most of a training step's memory.
#pragma once
#include "losses/divergence.h"

namespace retort {

/// Hidden states (N, C) and the output matrix (V, C) that makes logits of them.
struct Projection {
  Tensor hidden, weight;
};

/// sum over rows r of weights[r] D(teacher logits_r || student logits_r), and the rows' losses. The
/// gradients of the student's hidden states and matrix are computed along with it, which is why the
/// weights (N) are given beforehand; a mean has 1 / N.
struct ProjectedLoss {
  Tensor total;  ///< (1), differentiable in the student's hidden states and matrix
  Tensor rows;   ///< (N), of no gradient
};
/// `rows_at_once`: rows whose logits exist together (rows_at_once V numbers twice, on a GPU three
/// times); 0: as many as 52 MB hold. Throws on shapes, and as divergence() does. All of one type,
/// f32 or f64.
ProjectedLoss projected_divergence(const DivergenceName& name, const Projection& teacher,
                                   const Projection& student, const Tensor& weights,
                                   const DivergenceOptions& options = {}, int rows_at_once = 0);

}  // namespace retort
