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
  int from, token;  // which open hypothesis, and its next token
};

double ranked(double log_p, size_t length, double penalty) {
  return log_p / std::pow(double(length), penalty);
}

struct Search {  // one input row
  std::vector<Hypothesis> open{Hypothesis{}};
  std::vector<std::pair<double, std::vector<int>>> done;  // rank, tokens

  // Whether an open hypothesis could still enter the best `beams`. Its log-probability can only
  // fall; its rank is highest at whichever length the penalty favours.
  bool can_improve(const DecodeOptions& o, int length) const {
    if (int(done.size()) < o.beams) return true;
    double worst = done[size_t(o.beams) - 1].first, best = -INFINITY;
    for (const Hypothesis& h : open)
      best = std::max({best, ranked(h.log_p, size_t(length + 1), o.length_penalty),
                       ranked(h.log_p, size_t(o.max_length), o.length_penalty)});
    return best > worst;
  }
  void finish(double rank, std::vector<int> tokens) {
    auto place =
        std::find_if(done.begin(), done.end(), [&](const auto& d) { return d.first < rank; });
    done.insert(place, {rank, std::move(tokens)});
  }
};

// The 2 beams best continuations of the row's open hypotheses, whose log-softmax rows start at
// `log_p`.
std::vector<Candidate> best_candidates(const Search& s, const double* log_p, int V, int beams) {
  std::vector<Candidate> all;
  auto better = [](const Candidate& a, const Candidate& b) {
    if (a.log_p != b.log_p) return a.log_p > b.log_p;
    return a.from != b.from ? a.from < b.from : a.token < b.token;
  };
  for (size_t h = 0; h < s.open.size(); h++) {
    std::vector<Candidate> mine;
    for (int v = 0; v < V; v++)
      if (log_p[h * size_t(V) + size_t(v)] > -INFINITY)
        mine.push_back({s.open[h].log_p + log_p[h * size_t(V) + size_t(v)], int(h), v});
    size_t n = std::min(mine.size(), size_t(2 * beams));
    std::partial_sort(mine.begin(), mine.begin() + long(n), mine.end(), better);
    all.insert(all.end(), mine.begin(), mine.begin() + long(n));
  }
  std::sort(all.begin(), all.end(), better);
  if (all.size() > size_t(2 * beams)) all.resize(size_t(2 * beams));
  return all;
}

}  // namespace

std::vector<std::vector<int>> beam_search(const Model& model, const Inputs& inputs,
                                          const DecodeOptions& o) {
  int B = inputs.target.dim(0), eos = model.config().eos;
  std::vector<Search> searches(static_cast<size_t>(B));
  std::vector<int> active;  // searches that go on, in the order of the batch's rows
  for (int b = 0; b < B; b++) active.push_back(b);
  Tensor logits;
  auto cache = model.start(inputs, inputs.target.dim(1) + o.max_length, &logits);
  for (int step = 0; step < o.max_length && !active.empty(); step++) {
    Tensor x = logits.to(Dtype::f64);
    int V = x.cols();
    if (step < o.min_length)
      for (int r = 0; r < x.rows(); r++)
        x.data<double>()[size_t(r) * size_t(V) + size_t(eos)] = -INFINITY;
    x = log_softmax(x);
    std::vector<int> order, tokens, still;
    int row = 0;
    for (int b : active) {
      Search& s = searches[size_t(b)];
      int width = int(s.open.size());
      std::vector<Candidate> candidates =
          best_candidates(s, x.data<double>() + size_t(row) * size_t(V), V, o.beams);
      std::vector<Hypothesis> open;
      std::vector<int> from, next;
      for (const Candidate& c : candidates) {
        std::vector<int> y = s.open[size_t(c.from)].tokens;
        bool last = step + 1 == o.max_length;
        if (c.token == eos || last) {
          if (c.token != eos) y.push_back(c.token);
          s.finish(ranked(c.log_p, size_t(step + 1), o.length_penalty), std::move(y));
        } else if (int(open.size()) < o.beams) {
          y.push_back(c.token);
          open.push_back({c.log_p, std::move(y)});
          from.push_back(row + c.from), next.push_back(c.token);
        }
      }
      row += width;
      s.open = std::move(open);
      if (s.open.empty() || !s.can_improve(o, step + 1)) continue;
      still.push_back(b);
      order.insert(order.end(), from.begin(), from.end());
      tokens.insert(tokens.end(), next.begin(), next.end());
    }
    active = still;
    if (active.empty() || step + 1 == o.max_length) break;
    model.select(*cache, order);
    logits = model.next(*cache, tokens);
  }
  std::vector<std::vector<int>> out;
  for (Search& s : searches) out.push_back(s.done.empty() ? std::vector<int>() : s.done[0].second);
  return out;
}

}  // namespace retort
