// Greedy decoding and sampling, batched; rows that have ended leave the batch. A draw is a function
// of its row's logits and one uniform number, and a row's logits do not depend on the batch
// (StableRows), so neither do the samples.
#include "models/decode.h"

#include <algorithm>
#include <numeric>

#include "kernels/math.h"
#include "models/beam.h"

namespace retort {
namespace {

float largest(const float* x, int n) {
  return Solo{}.max(n, [&](int i) { return x[i]; });
}

int argmax(const float* x, int n) {
  int i = int(std::find(x, x + n, largest(x, n)) - x);
  return i < n ? i : -1;
}

// The ids that top-k and then top-p (Holtzman et al. 2020) leave of weights w, in their order. Of
// equal weights the lower id comes first.
std::vector<int> cut(const std::vector<float>& w, double total, int top_k, double top_p) {
  auto below = [&](int a, int b) {
    return w[size_t(a)] != w[size_t(b)] ? w[size_t(a)] < w[size_t(b)] : a > b;
  };
  std::vector<int> heap(w.size()), kept;
  std::iota(heap.begin(), heap.end(), 0);
  std::make_heap(heap.begin(), heap.end(), below);
  size_t limit = top_k > 0 ? std::min(size_t(top_k), w.size()) : w.size();
  double mass = 0;
  while (kept.size() < limit && (top_k > 0 || mass < top_p * total)) {
    std::pop_heap(heap.begin(), heap.end(), below);
    kept.push_back(heap.back());
    mass += w[size_t(heap.back())];
    heap.pop_back();
  }
  if (top_k > 0) {  // top-p of what top-k has left
    double of_k = mass;
    size_t nucleus = 0;
    for (mass = 0; nucleus < kept.size() && mass < top_p * of_k; nucleus++)
      mass += w[size_t(kept[nucleus])];
    kept.resize(nucleus);
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

// One draw from softmax(x / temperature), cut to top-k and top-p: the first id whose cumulative sum
// exceeds u of the total. The sums run in double and in the order of the ids. -1: x has NaN.
int draw(const float* x, int n, const DecodeOptions& o, double u) {
  constexpr int kBlock = 64;
  std::vector<float> w(static_cast<size_t>(n));
  float m = largest(x, n), factor = float(1 / o.temperature);
  Solo{}.each(n, [&](int i) { w[size_t(i)] = exp_((x[i] - m) * factor); });
  std::vector<double> blocks;
  for (int i = 0; i < n; i += kBlock) {
    const float* block = w.data() + i;
    blocks.push_back(Solo{}.sum(std::min(kBlock, n - i), [&](int j) { return double(block[j]); }));
  }
  double total = std::accumulate(blocks.begin(), blocks.end(), 0.0), at = 0;
  if (!(total > 0)) return -1;
  if ((o.top_k > 0 && o.top_k < n) || o.top_p < 1) {
    std::vector<int> kept = cut(w, total, o.top_k, o.top_p);
    total = 0;
    for (int i : kept) total += w[size_t(i)];
    for (int i : kept)
      if ((at += w[size_t(i)]) > u * total) return i;
    return kept.back();
  }
  int last = 0;  // with a weight above 0: where rounding leaves the sum short of the total
  for (int i = 0; i < n; i++) {
    if (i % kBlock == 0 && at + blocks[size_t(i / kBlock)] <= u * total) {
      at += blocks[size_t(i / kBlock)];
      i += kBlock - 1;
      continue;
    }
    if (w[size_t(i)] > 0) last = i;
    if ((at += w[size_t(i)]) > u * total) return i;
  }
  return last;
}

void check(const DecodeOptions& o) {
  ENSURE(o.method == "greedy" || o.method == "beam" || o.method == "sample",
         "decode: no method \"" + o.method + "\"; there are greedy, beam, sample");
  ENSURE(o.max_length > 0 && o.min_length <= o.max_length,
         "decode: max_length must be positive and at least min_length");
  ENSURE(o.temperature > 0, "decode: the temperature must be positive; greedy is the limit at 0");
  ENSURE(o.top_k >= 0 && o.top_p > 0 && o.top_p <= 1,
         "decode: top_k must not be negative, top_p in (0, 1]");
  ENSURE(o.beams > 0, "decode: beams must be positive");
}

}  // namespace

std::vector<std::vector<int>> decode(const Model& model, const Inputs& inputs,
                                     const DecodeOptions& o) {
  check(o);
  ENSURE(inputs.target.defined() && inputs.target.rank() == 2,
         "decode: expected a prompt, inputs.target (B, T)");
  int B = inputs.target.dim(0), eos = model.config().eos;
  ENSURE(o.sequences.empty() || int(o.sequences.size()) == B,
         "decode: expected a sequence number for each of " + std::to_string(B) + " rows, got " +
             std::to_string(o.sequences.size()));
  if (o.method == "beam") return beam_search(model, inputs, o);
  std::vector<std::vector<int>> out(static_cast<size_t>(B));
  std::vector<int> rows(static_cast<size_t>(B));  // which rows of `out` the batch holds
  std::iota(rows.begin(), rows.end(), 0);
  Tensor logits;
  auto cache = model.start(inputs, inputs.target.dim(1) + o.max_length - 1, &logits);
  for (int step = 0;; step++) {
    Tensor host = logits.to(Dtype::f32);
    int V = host.cols();
    std::vector<int> tokens(rows.size()), kept, next;
#pragma omp parallel for if (rows.size() * size_t(V) > 16384)
    for (size_t i = 0; i < rows.size(); i++) {
      float* x = host.data<float>() + i * size_t(V);
      if (step + 1 < o.min_length) x[eos] = -INFINITY;
      size_t row = size_t(rows[i]);
      uint32_t sequence = uint32_t(o.sequences.empty() ? rows[i] : o.sequences[row]);
      tokens[i] = o.method == "greedy" ? argmax(x, V)
                                       : draw(x, V, o, uniform(o.key, sequence, uint32_t(step)));
    }
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
      for (int& i : kept) i = rows[size_t(i)];
      rows = kept;
    }
    logits = model.next(*cache, next);
  }
}

}  // namespace retort
