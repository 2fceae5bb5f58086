// Greedy decoding and sampling, batched; rows that have ended leave the batch.
#include "models/decode.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/beam.h"

namespace retort {
namespace {

int argmax(const float* x, int n) { return int(std::max_element(x, x + n) - x); }

// One draw from softmax(x / temperature) cut to the top k and to the smallest set of mass p. Sums
// run in double in the order of the ids, so the draw is a function of the logits and u alone.
int draw(const float* x, int n, const DecodeOptions& o, double u) {
  std::vector<double> w(static_cast<size_t>(n));
  double m = *std::max_element(x, x + n);
  for (int i = 0; i < n; i++) w[size_t(i)] = std::exp((x[i] - m) / o.temperature);
  if ((o.top_k > 0 && o.top_k < n) || o.top_p < 1) {
    std::vector<int> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return w[size_t(a)] > w[size_t(b)]; });
    size_t keep = o.top_k > 0 ? std::min(size_t(o.top_k), order.size()) : order.size();
    double total = 0, mass = 0;
    for (size_t i = 0; i < keep; i++) total += w[size_t(order[i])];
    size_t nucleus = 0;
    while (nucleus < keep && (nucleus == 0 || mass < o.top_p * total))
      mass += w[size_t(order[nucleus++])];
    for (size_t i = nucleus; i < order.size(); i++) w[size_t(order[i])] = 0;
  }
  double total = 0, at = 0;
  for (double v : w) total += v;
  int last = 0;
  for (int i = 0; i < n; i++) {
    if (w[size_t(i)] == 0) continue;
    last = i;
    at += w[size_t(i)];
    if (at > u * total) return i;
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
  NoGrad quiet;
  int B = inputs.target.dim(0), eos = model.config().eos;
  ENSURE(o.sequences.empty() || int(o.sequences.size()) == B,
         "decode: one sequence number for each row");
  if (o.method == "beam") return beam_search(model, inputs, o);
  std::vector<std::vector<int>> out(static_cast<size_t>(B));
  std::vector<int> rows(static_cast<size_t>(B));  // which rows of `out` the batch holds
  std::iota(rows.begin(), rows.end(), 0);
  Tensor logits;
  auto cache = model.start(inputs, inputs.target.dim(1) + o.max_length, &logits);
  for (int step = 0; step < o.max_length && !rows.empty(); step++) {
    Tensor host = logits.to(Dtype::f32);
    int V = host.cols();
    std::vector<int> tokens(rows.size()), kept;
#pragma omp parallel for if (rows.size() * size_t(V) > 16384)
    for (size_t i = 0; i < rows.size(); i++) {
      float* x = host.data<float>() + i * size_t(V);
      if (step < o.min_length) x[eos] = -INFINITY;
      if (o.method == "greedy") {
        tokens[i] = argmax(x, V);
        continue;
      }
      RandomKey key = o.key;
      int sequence = o.sequences.empty() ? rows[i] : o.sequences[size_t(rows[i])];
      tokens[i] = draw(x, V, o, uniform(key, uint32_t(sequence), uint32_t(step)));
    }
    for (size_t i = 0; i < rows.size(); i++) {
      if (tokens[i] == eos) continue;
      out[size_t(rows[i])].push_back(tokens[i]);
      kept.push_back(int(i));
    }
    if (step + 1 == o.max_length || kept.empty()) break;
    if (kept.size() < rows.size()) {
      model.select(*cache, kept);
      std::vector<int> fewer, next;
      for (int i : kept) fewer.push_back(rows[size_t(i)]), next.push_back(tokens[size_t(i)]);
      rows = fewer, tokens = next;
    }
    logits = model.next(*cache, tokens);
  }
  return out;
}

}  // namespace retort
