// Beam search, for decode().
#pragma once
#include "models/decode.h"

namespace retort {

/// Logits (N, V) with -inf for one token.
Tensor without(const Tensor& logits, int token);

/// Keeps the `beams` best hypotheses of each row. One that ends leaves the beam, which gets
/// narrower by it; a row is done when no open hypothesis can still beat its best finished one.
/// Rank: log-probability / length^penalty, length counting the end token. One beam is greedy
/// decoding. With method "beam_sample" the `beams` continuations are not the best but drawn without
/// replacement, in proportion to the hypotheses' probabilities, of the top_k tokens of each.
std::vector<std::vector<int>> beam_search(const Model& model, const Inputs& inputs,
                                          const DecodeOptions& options);

}  // namespace retort
