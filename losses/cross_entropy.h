// Cross-entropy on labels, with label smoothing and ignored positions.
#pragma once
#include "engine/ops.h"

namespace retort {

/// -(1 - s) log q[label] - s/V sum_v log q[v] of each row: logits (N, V), labels i32 (N) -> (N). A
/// label of -1 (or any negative number) is ignored: loss and gradient 0. A label >= V is an error
/// naming the row.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double smoothing = 0);

/// How row losses become one number. tokens: divided by the valid rows of the whole (accumulated)
/// batch; sequences: mean over sequences of the per-sequence mean; batch: sum over rows, divided by
/// sequences.
enum class Reduction { tokens, sequences, batch };
Reduction parse_reduction(const std::string& text);

/// Weights (N) that realise a reduction: valid[n] tells whether row n counts; rows of one sequence
/// are contiguous, `length` each (N = sequences x length). total_rows and total_sequences count
/// over the whole accumulated batch, so that micro-batches add up to the large batch.
Tensor reduction_weights(Reduction reduction, const std::vector<int>& valid, int length,
                         double total_rows, double total_sequences, Dtype dtype, Device device);

}  // namespace retort
