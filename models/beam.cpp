#include "models/beam.h"

#include <algorithm>
#include <cmath>

namespace retort {
namespace {

struct Hypothesis {
  double log_p = 0;
  std::vector<int> tokens;
};
struct Candidate {
  double log_p;
  int from, token;                            // which open hypothesis, and its next token
  bool operator<(const Candidate& o) const {  // the better first; ties in the order of the rows
    if (log_p != o.log_p) return log_p > o.log_p;
    return from != o.from ? from < o.from : token < o.token;
  }
};

struct Search {  // one input row
  std::vector<Hypothesis> open{Hypothesis{}};
  std::vector<int> best;  // of the finished ones
  double best_rank = -INFINITY;
  int finished = 0;
  std::vector<Candidate> chosen;  // this step's

  // The `n` best continuations, from the logits of the open hypotheses and their log-sum-exp.
  void choose(const float* logits, const float* log_sum, int V, int n) {
    chosen.clear();
    for (size_t h = 0; h < open.size(); h++)
      for (int v = 0; v < V; v++) {
        float x = logits[h * size_t(V) + size_t(v)];
        Candidate c{open[h].log_p + (double(x) - log_sum[h]), int(h), v};
        if (!(x > -INFINITY) || (int(chosen.size()) == n && !(c < chosen.back()))) continue;
        if (int(chosen.size()) == n) chosen.pop_back();
        chosen.insert(std::upper_bound(chosen.begin(), chosen.end(), c), c);
      }
  }
  // An open hypothesis can only lose log-probability; its rank is highest at whichever length the
  // penalty favours.
  bool can_improve(const DecodeOptions& o, int length) const {
    double bound = -INFINITY;
    for (const Hypothesis& h : open)
      for (int n : {length + 1, o.max_length})
        bound = std::max(bound, h.log_p / std::pow(double(n), o.length_penalty));
    return bound > best_rank;
  }
};

}  // namespace

std::vector<std::vector<int>> beam_search(const Model& model, const Inputs& inputs,
                                          const DecodeOptions& o) {
  int B = inputs.target.dim(0), eos = model.config().eos;
  std::vector<Search> searches(static_cast<size_t>(B));
  std::vector<int> active;  // searches that go on, in the order of the batch's rows
  for (int b = 0; b < B; b++) active.push_back(b);
  Tensor logits;
  auto cache = model.start(inputs, inputs.target.dim(1) + o.max_length - 1, &logits);
  for (int length = 1; !active.empty(); length++) {
    Tensor x = logits.to(Dtype::f32);
    int V = x.cols();
    if (length < o.min_length)
      for (int r = 0; r < x.rows(); r++)
        x.data<float>()[size_t(r) * size_t(V) + size_t(eos)] = -INFINITY;
    Tensor log_sum = logsumexp(x);
    std::vector<int> first{0};  // batch row of each active search's first hypothesis
    for (int b : active) first.push_back(first.back() + int(searches[size_t(b)].open.size()));
#pragma omp parallel for schedule(dynamic) if (x.size() > 16384)
    for (size_t i = 0; i < active.size(); i++) {
      Search& s = searches[size_t(active[i])];
      size_t row = size_t(first[i]);
      s.choose(x.data<float>() + row * size_t(V), log_sum.data<float>() + row, V,
               o.beams - s.finished);
    }
    std::vector<int> order, tokens, still;
    for (size_t i = 0; i < active.size(); i++) {
      Search& s = searches[size_t(active[i])];
      ENSURE(!s.chosen.empty(), "decode: the logits of row " + std::to_string(active[i]) +
                                    " at step " + std::to_string(length - 1) + " are NaN");
      std::vector<Hypothesis> open;
      std::vector<int> from, next;
      for (const Candidate& c : s.chosen) {
        std::vector<int> y = s.open[size_t(c.from)].tokens;
        if (c.token != eos) y.push_back(c.token);
        if (c.token == eos || length == o.max_length) {
          double rank = c.log_p / std::pow(double(length), o.length_penalty);
          if (rank > s.best_rank) s.best_rank = rank, s.best = std::move(y);
          s.finished++;
        } else {
          open.push_back({c.log_p, std::move(y)});
          from.push_back(first[i] + c.from), next.push_back(c.token);
        }
      }
      s.open = std::move(open);
      if (s.open.empty() || !s.can_improve(o, length)) continue;
      still.push_back(active[i]);
      order.insert(order.end(), from.begin(), from.end());
      tokens.insert(tokens.end(), next.begin(), next.end());
    }
    active = still;
    if (active.empty()) break;
    model.select(*cache, order);
    logits = model.next(*cache, tokens);
  }
  std::vector<std::vector<int>> out;
  for (Search& s : searches) out.push_back(std::move(s.best));
  return out;
}

}  // namespace retort
