// Greedy decoding and sampling, batched; rows that have ended leave the batch. A draw is a function
// of its row's logits and one uniform number, and a row's logits do not depend on the batch
// (StableRows), so neither do the samples. Only the tokens come to the host.
#include "models/decode.h"

#include <cmath>
#include <numeric>

#include "engine/sample.h"
#include "models/beam.h"

namespace retort {
namespace {

// The next token of each row of logits (N, V); -1 where they are NaN. Row i draws from sequence
// numbers[i], i32 (N).
std::vector<int> choose(const Tensor& logits, const DecodeOptions& o, const Tensor& numbers,
                        int step) {
  if (o.method == "greedy") {
    BestTokens b = best(logits, 1);
    std::vector<int> ids = b.ids.ints();
    std::vector<double> values = b.values.values();
    for (size_t i = 0; i < ids.size(); i++)
      if (std::isnan(values[i])) ids[i] = -1;
    return ids;
  }
  Tensor draws = uniform_numbers(o.key, numbers, uint32_t(step));
  return sample(logits, draws, {o.temperature, o.top_k, o.top_p}).ints();
}

void check(const DecodeOptions& o) {
  ENSURE(o.method == "greedy" || o.method == "beam" || o.method == "beam_sample" ||
             o.method == "sample",
         "decode: no method \"" + o.method + "\"; there are greedy, beam, beam_sample, sample");
  ENSURE(o.max_length > 0 && o.min_length <= o.max_length,
         "decode: max_length must be positive and at least min_length");
  ENSURE(o.temperature > 0, "decode: the temperature must be positive; greedy is the limit at 0");
  ENSURE(o.top_k >= 0 && o.top_p > 0 && o.top_p <= 1,
         "decode: top_k must not be negative, top_p in (0, 1]");
  ENSURE(o.beams > 0, "decode: beams must be positive");
  ENSURE(o.method != "beam_sample" || (o.top_k > 0 && o.temperature == 1 && o.top_p == 1),
         "decode: beam_sample draws of the top_k tokens, at temperature 1 and without top_p");
}

}  // namespace

Tensor without(const Tensor& logits, int token) {
  std::vector<int> mask(size_t(logits.cols()), 0);
  mask[size_t(token)] = 1;
  return masked_fill(logits, Tensor::from(mask, {logits.cols()}, logits.device()), -INFINITY);
}

std::vector<std::vector<int>> decode(const Model& model, const Inputs& inputs,
                                     const DecodeOptions& o) {
  check(o);
  ENSURE(inputs.target.defined() && inputs.target.rank() == 2,
         "decode: expected a prompt, inputs.target (B, T)");
  int B = inputs.target.dim(0), eos = model.config().eos;
  ENSURE(o.sequences.empty() || int(o.sequences.size()) == B,
         "decode: expected a sequence number for each of " + std::to_string(B) + " rows, got " +
             std::to_string(o.sequences.size()));
  if (o.method == "beam" || o.method == "beam_sample") return beam_search(model, inputs, o);
  std::vector<std::vector<int>> out(static_cast<size_t>(B));
  std::vector<int> rows(static_cast<size_t>(B));  // which rows of `out` the batch holds
  std::iota(rows.begin(), rows.end(), 0);
  Tensor numbers = Tensor::from(o.sequences.empty() ? rows : o.sequences, {B}, model.device());
  Tensor logits;
  auto cache = model.start(inputs, inputs.target.dim(1) + o.max_length - 1, &logits);
  for (int step = 0;; step++) {
    if (step + 1 < o.min_length) logits = without(logits, eos);
    std::vector<int> tokens = choose(logits, o, numbers, step), kept, next;
    for (size_t i = 0; i < rows.size(); i++) {
      ENSURE(tokens[i] >= 0, "decode: the logits of row " + std::to_string(rows[i]) + " at step " +
                                 std::to_string(step) + " are NaN");
      if (tokens[i] == eos) continue;
      out[size_t(rows[i])].push_back(tokens[i]);
      kept.push_back(int(i)), next.push_back(tokens[i]);
    }
    if (step + 1 == o.max_length || kept.empty()) return out;
    if (kept.size() < rows.size()) {
      model.select(*cache, kept);
      std::vector<int> left, left_numbers, all = numbers.ints();
      for (int i : kept) left.push_back(rows[size_t(i)]), left_numbers.push_back(all[size_t(i)]);
      rows = left;
      numbers = Tensor::from(left_numbers, {int(left.size())}, model.device());
    }
    logits = model.next(*cache, next);
  }
}

}  // namespace retort
