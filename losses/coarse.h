// Ground costs between the classes of a row, and fewer classes for transport between them: the
// likeliest ones, and one bucket for the rest.
#pragma once
#include <memory>

#include "engine/ops.h"

namespace retort {

/// Ground cost between classes i and j: 1 where they differ, |i - j|, or costs that are given.
enum class ClassCost { zero_one, abs, matrix };

/// Costs between V classes on the host. Of each class the sums of its costs are kept, so that the
/// mean over any rest of the classes takes no look at them.
class ClassCosts {
 public:
  /// 1 where classes differ, or |i - j|.
  ClassCosts(ClassCost kind, int V);
  /// A matrix (V, V). Throws on another shape, and on numbers that are not finite.
  explicit ClassCosts(const Tensor& matrix);
  /// What it costs to move probability from one token to another: Euclidean distances between the
  /// rows of embeddings (V, D), over the largest, so that eps means what it does where a cost is 0
  /// or 1. Holds the embeddings, not the distances: O(V D) memory, O(V^2 D) time, once.
  static ClassCosts of_embeddings(const Tensor& embeddings);

  int size() const { return V_; }
  double operator()(int i, int j) const;
  /// All of them, (V, V), made by the first call and kept. Throws where V is above 16,384 and no
  /// matrix was given.
  Tensor matrix(Dtype dtype, Device device) const;
  /// Among `ids` and, last, the bucket of all other classes, row by row: (slots + 1)^2 numbers, of
  /// which places from ids.size() to slots are 0. The bucket's cost to a class is the mean over the
  /// classes in it, to itself 0.
  std::vector<double> among(const std::vector<int>& ids, size_t slots) const;

 private:
  ClassCost kind_;
  int V_;
  mutable Tensor matrix_;                       // undefined: not made yet
  std::vector<double> numbers_;                 // of the matrix, or of the embeddings
  size_t width_ = 0;                            // D of embeddings, else 0
  double largest_ = 1;                          // distance
  std::vector<double> row_sums_, column_sums_;  // (V)
};

/// Rows of log-probabilities (N, n) over n = 2 top + 1 classes of each row's own, and their costs
/// (N, n, n).
struct Coarse {
  Tensor student, teacher, cost;
};

/// Each row's union of the student's and the teacher's `top` likeliest classes, and last a bucket
/// with the mass of all others; where the union is smaller, classes without mass fill it up.
/// log-probabilities (N, V), differentiable in both. Reads them on the host.
Coarse coarse(const Tensor& student, const Tensor& teacher, int top, const ClassCosts& costs);

}  // namespace retort
