// Choices from rows of logits, for decoding. Not recorded; engine/op_sample.cpp.
#pragma once
#include "engine/tensor.h"
#include "kernels/random.h"

namespace retort {

/// The `count` largest of each row of logits (N, V): values f32 and ids i32, (N, count) each, the
/// largest first; of equal ones the lower id comes first. NaN counts as larger than all.
struct BestTokens {
  Tensor values, ids;
};
BestTokens best(const Tensor& logits, int count);

/// How a token is drawn: from softmax(logits / temperature), of that the top_k likeliest (0: all),
/// of these the fewest likeliest with a share top_p.
struct Sampling {
  double temperature = 1;
  int top_k = 0;
  double top_p = 1;
};
/// The random numbers uniform(key, sequence, index) of i32 sequences (N): f32 (N), on their device.
Tensor uniform_numbers(const RandomKey& key, const Tensor& sequences, uint32_t index);
/// One token of each row of logits (N, V), by its number of `uniform` f32 (N), from [0, 1): i32
/// (N). -1 where a row has NaN or nothing above -inf. The same on every device.
Tensor sample(const Tensor& logits, const Tensor& uniform, const Sampling& options);

}  // namespace retort
