#pragma once
#include "models/decode.h"

namespace retort {

/// Beam search: hypotheses are ranked by log-probability / length^penalty, length counting the end
/// token. A row ends when no open hypothesis can still beat its best finished ones. See decode().
std::vector<std::vector<int>> beam_search(const Model& model, const Inputs& inputs,
                                          const DecodeOptions& options);

}  // namespace retort
