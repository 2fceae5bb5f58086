// Beam search, for decode().
#pragma once
#include "models/decode.h"

namespace retort {

/// Logits (N, V) with -inf for one token.
Tensor without(const Tensor& logits, int token);

/// Keeps the `beams` best hypotheses of each row. One that ends leaves the beam, which gets
/// narrower by it; a row is done when no open hypothesis can still beat its best finished one.
/// Rank: log-probability / length^penalty, length counting the end token. One beam is greedy
/// decoding.
std::vector<std::vector<int>> beam_search(const Model& model, const Inputs& inputs,
                                          const DecodeOptions& options);

}  // namespace retort
