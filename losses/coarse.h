// Fewer classes for transport between the classes of each row: the likeliest ones, and one bucket
// for the rest.
#pragma once
#include "engine/ops.h"

namespace retort {

/// Ground cost between classes i and j: 1 where they differ, |i - j|, or a matrix that is given.
enum class ClassCost { zero_one, abs, matrix };

/// C (V, V); `matrix` is checked to be of this shape, of finite numbers, and returned.
Tensor class_cost(ClassCost cost, int V, const Tensor& matrix, Dtype dtype, Device device);

/// What it costs to move probability from one token to another, for ClassCost::matrix: (V, V)
/// Euclidean distances between the rows of embeddings (V, D), over the largest, so that eps means
/// what it does where a cost is 0 or 1. On the embeddings' device; computed on the host. Throws
/// where V is above 16,384.
Tensor embedding_distances(const Tensor& embeddings, Dtype dtype);

/// Rows of log-probabilities (N, n) over n = 2 top + 1 classes of each row's own, and their costs
/// (N, n, n).
struct Coarse {
  Tensor student, teacher, cost;
};

/// Each row's union of the student's and the teacher's `top` likeliest classes, and last a bucket
/// with the mass of all others; where the union is smaller, classes without mass fill it up. The
/// bucket's cost to a class is the mean over the classes in it, to itself 0. log-probabilities (N,
/// V), differentiable in both. Reads them on the host.
Coarse coarse(const Tensor& student, const Tensor& teacher, int top, ClassCost cost,
              const Tensor& matrix);

}  // namespace retort
