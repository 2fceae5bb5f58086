#include "models/beam.h"

#include <algorithm>
#include <cmath>

#include "engine/sample.h"

namespace retort {
namespace {

struct Hypothesis {
  double log_p = 0;
  std::vector<int> tokens;
};
struct Candidate {
  double log_p, rank;                         // rank: log_p, or with noise where it is drawn
  int from, token;                            // which open hypothesis, and its next token
  bool operator<(const Candidate& o) const {  // the better first; ties in the order of the rows
    if (rank != o.rank) return rank > o.rank;
    return from != o.from ? from < o.from : token < o.token;
  }
};

struct Search {  // one input row
  std::vector<Hypothesis> open{Hypothesis{}};
  std::vector<int> best;  // of the finished ones
  double best_rank = -INFINITY;
  int finished = 0;
  std::vector<Candidate> chosen;  // this step's

  // The `n` best continuations, from the best tokens of each open hypothesis, `width` each from
  // `first` on, and the log-sum-exp of its logits. `noise(h, token)` is added to rank them.
  template <class F>
  void choose(const double* logits, const int* ids, const double* log_sum, int width, int n,
              F noise) {
    chosen.clear();
    for (size_t h = 0; h < open.size(); h++)
      for (int i = 0; i < width; i++) {
        size_t at = h * size_t(width) + size_t(i);
        double log_p = open[h].log_p + (logits[at] - log_sum[h]);
        if (log_p > -INFINITY)
          chosen.push_back({log_p, log_p + noise(int(h), ids[at]), int(h), ids[at]});
      }
    size_t most = std::min(chosen.size(), size_t(n));
    std::partial_sort(chosen.begin(), chosen.begin() + long(most), chosen.end());
    chosen.resize(most);
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
  bool draws = o.method == "beam_sample";
  std::vector<Search> searches(static_cast<size_t>(B));
  std::vector<int> active;  // searches that go on, in the order of the batch's rows
  for (int b = 0; b < B; b++) active.push_back(b);
  Tensor logits;
  auto cache = model.start(inputs, inputs.target.dim(1) + o.max_length - 1, &logits);
  for (int length = 1; !active.empty(); length++) {
    if (length < o.min_length) logits = without(logits, eos);
    // A row's continuations beyond its best `width` cannot be among the best of all.
    int width = std::min(draws ? o.top_k : o.beams, logits.cols());
    BestTokens top = best(logits, width);
    std::vector<double> x = top.values.values(),
                        log_sum = logsumexp(logits.to(Dtype::f32)).values();
    std::vector<int> ids = top.ids.ints();
    std::vector<int> first{0};  // batch row of each active search's first hypothesis
    for (int b : active) first.push_back(first.back() + int(searches[size_t(b)].open.size()));
    for (size_t i = 0; i < active.size(); i++) {
      Search& s = searches[size_t(active[i])];
      size_t row = size_t(first[i]), at = row * size_t(width);
      int b = active[i];
      uint32_t number = o.sequences.empty() ? uint32_t(b) : uint32_t(o.sequences[size_t(b)]);
      // Of probabilities with Gumbel noise on their logarithms the n largest are n draws without
      // replacement (Kool et al. 2019).
      auto gumbel = [&](int hypothesis, int token) {
        RandomKey key = o.key;
        key.site += uint32_t(length * o.beams + hypothesis);
        double u = double(uniform(key, number, uint32_t(token))) + 0x1p-25;
        return draws ? -std::log(-std::log(u)) : 0.0;
      };
      s.choose(&x[at], &ids[at], &log_sum[row], width, o.beams - s.finished, gumbel);
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
