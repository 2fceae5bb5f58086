// Batched decoding with a KV cache: greedy, beam search, ancestral sampling with top-k and top-p.
#pragma once
#include "models/model.h"

namespace retort {

struct DecodeOptions {
  std::string method = "greedy";  ///< greedy, beam, beam_sample (models/beam.h), sample
  int beams = 4;                  ///< beam: see models/beam.h; 1 is greedy
  double length_penalty = 1;  ///< beam: hypotheses are ranked by log-probability / length^penalty
  double temperature = 1;     ///< sample: applied first, then top_k, then top_p
  int top_k = 0;              ///< sample, beam_sample: the k likeliest tokens; 0 = all
  double top_p = 1;           ///< sample: the fewest likeliest tokens with this mass
  int min_length = 0, max_length = 128;  ///< in generated tokens, end token included
  RandomKey key;  ///< sample: row b draws from sequence key.sequence + b, so the samples do not
                  ///< depend on the batch
  std::vector<int>
      sequences;  ///< sample: sequence number of each row, where rows are not consecutive
};

/// The generated token ids of each row, without prompt, start and end token. A row's tokens do not
/// depend on the batch it is in, nor on that batch's padding.
std::vector<std::vector<int>> decode(const Model& model, const Inputs& inputs,
                                     const DecodeOptions& options);

}  // namespace retort
