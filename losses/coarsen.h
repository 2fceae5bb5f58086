// Distributions over V tokens as distributions over K + 1 outcomes: K tokens of the row's own
// choice, and all others together. What is known of a teacher of whom only the likeliest tokens
// were kept; no f-divergence is larger between coarsened distributions (data processing).
#pragma once
#include "engine/ops.h"

namespace retort {

/// Log-probabilities (N, K + 1) of softmax(logits): of each row's tokens `ids` i32 (N, K), distinct
/// and K < V, then of all others together. logits (N, V), f32 or f64. The last is log sum exp of
/// the others, not log(1 - sum): it keeps its digits however little they are worth.
Tensor coarsen(const Tensor& logits, const Tensor& ids);

}  // namespace retort
