#include "distill/estimators.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/ops.h"
#include "losses/divergence.h"

namespace retort {
namespace {

using Numbers = std::vector<double>;

struct Comparison {
  int V, L;
  size_t P;  // prefixes
  int end, samples;
  uint64_t seed;
  std::vector<Estimator> out;

  // A number of each sequence: x of a node and its letter k = V node + v leads to f(x, k).
  template <class F>
  Numbers along(double start, F f) const {
    Numbers node = {start};
    for (size_t k = 0; k < P * size_t(V); k++) node.push_back(f(node[k / size_t(V)], k));
    return {node.begin() + long(P), node.end()};
  }
  Numbers products(const Numbers& rows) const {
    return along(1, [&](double x, size_t k) { return x * rows[k]; });
  }
  Numbers sums(const Numbers& of_prefix) const {
    return along(0, [&](double x, size_t k) { return x + of_prefix[k / size_t(V)]; });
  }

  // The sequence that draw `i` of these rows gives.
  size_t draw(const Numbers& rows, int i) const {
    size_t node = 0;
    for (int t = 0; t < L; t++) {
      double u = uniform({seed}, uint32_t(i), uint32_t(t)), sum = 0;
      size_t next = 0;
      for (size_t v = 0, k = node * size_t(V); v < size_t(V) && (next == 0 || sum <= u); v++, k++)
        if (rows[k] > 0) sum += rows[k], next = k + 1;
      node = next;
    }
    return node - P;
  }

  // Letters of each sequence, up to its end.
  Numbers lengths() const {
    Numbers goes_on = {1};
    for (size_t k = 0; k + 1 < P; k++)
      goes_on.push_back(int(k % size_t(V)) == end ? 0 : goes_on[k / size_t(V)]);
    return sums(goes_on);
  }

  // Adds the estimator that is f(y) of a sequence y drawn from `rows`, with these weights. `read`:
  // the teacher's probabilities for a letter, in rows.
  void add(const char* target, const char* name, double truth, const Numbers& rows,
           const Numbers& f, double read) {
    Numbers weight = products(rows), length = lengths();
    Estimator e{target, name, truth, 0, 0, 0, 0};
    e.rows = read * std::inner_product(weight.begin(), weight.end(), length.begin(), 0.0);
    double square = 0;
    for (size_t s = 0; s < f.size(); s++)
      if (weight[s] > 0) e.mean += weight[s] * f[s];
    for (size_t s = 0; s < f.size(); s++)
      if (weight[s] > 0) square += weight[s] * (f[s] - e.mean) * (f[s] - e.mean);
    e.std = std::sqrt(square);
    for (int i = 0; i < samples; i++) e.sampled += f[draw(rows, i)] / samples;
    out.push_back(e);
  }
};

// Letters of a row, the likeliest first; of equals the lower first.
std::vector<size_t> ranked(const double* row, size_t V) {
  std::vector<size_t> order(V);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row[a] > row[b]; });
  return order;
}

// Rows cut to the fewest likeliest letters with this share, renormalised (Holtzman et al. 2020).
Numbers top_p(const Numbers& rows, size_t V, double share) {
  Numbers out(rows.size(), 0);
  for (size_t o = 0; o < rows.size(); o += V) {
    std::vector<size_t> order = ranked(&rows[o], V);
    double sum = 0;
    size_t kept = 0;
    while (kept < V && sum < share) sum += rows[o + order[kept++]];
    for (size_t i = 0; i < kept; i++) out[o + order[i]] = rows[o + order[i]] / sum;
  }
  return out;
}

// Of each row of log-probabilities: sum of a log a/b over the k letters that are likeliest in `by`;
// with `tail`, the other letters are one more.
Numbers top_k(const Numbers& by, const Numbers& log_a, const Numbers& log_b, size_t V, size_t k,
              bool tail) {
  auto term = [](double a, double b) { return std::exp(a) > 0 ? std::exp(a) * (a - b) : 0; };
  auto rest = [&](const double* row, const std::vector<size_t>& order) {
    double most = row[order[k]], sum = 0;
    for (size_t i = k; i < V; i++) most = std::max(most, row[order[i]]);
    for (size_t i = k; i < V; i++) sum += std::exp(row[order[i]] - most);
    return most + std::log(sum);
  };
  Numbers out;
  for (size_t o = 0; o < log_a.size(); o += V) {
    std::vector<size_t> order = ranked(&by[o], V);
    double sum = 0;
    for (size_t i = 0; i < k; i++) sum += term(log_a[o + order[i]], log_b[o + order[i]]);
    out.push_back(sum + (tail ? term(rest(&log_a[o], order), rest(&log_b[o], order)) : 0));
  }
  return out;
}

// All mass on the likeliest sequence of these rows; of equals the first.
Numbers mode(const Comparison& c, const Numbers& log_probabilities) {
  size_t sequence = size_t(std::max_element(log_probabilities.begin(), log_probabilities.end()) -
                           log_probabilities.begin());
  Numbers rows(c.P * size_t(c.V), 0);
  for (size_t node = c.P + sequence; node > 0; node = (node - 1) / size_t(c.V)) rows[node - 1] = 1;
  return rows;
}

}  // namespace

std::vector<Estimator> compare_estimators(const SequenceTables& t,
                                          const std::map<std::string, ExactDivergence>& exact,
                                          int samples, uint64_t seed) {
  Tensor student = embedding(t.student, Tensor::from(t.row, {t.prefixes()}));
  size_t V = size_t(t.vocab), k = V / 2, P = t.row.size();
  Comparison c{t.vocab, t.length, P, t.end, samples, seed, {}};
  Numbers p = softmax(t.teacher).values(), q = softmax(student).values(),
          log_p = log_softmax(t.teacher).values(), log_q = log_softmax(student).values();
  Numbers log_P = node_log_probs(t.teacher), log_Q = node_log_probs(student), nll;
  log_P.erase(log_P.begin(), log_P.begin() + long(P));
  log_Q.erase(log_Q.begin(), log_Q.begin() + long(P));
  double read = 1 / double(V);  // one letter's
  for (const char* target : {"kl", "rkl"}) {
    bool forward = target == std::string("kl");
    const Numbers &from = forward ? p : q, &log_from = forward ? log_p : log_q,
                  &log_other = forward ? log_q : log_p;
    Numbers full = c.sums(divergence(parse_divergence(target), t.teacher, student).values());
    Numbers k1, k2, k3;
    for (size_t s = 0; s < log_P.size(); s++) {
      double x = forward ? log_P[s] - log_Q[s] : log_Q[s] - log_P[s];
      k1.push_back(x), k2.push_back(x * x / 2), k3.push_back(std::expm1(-x) + x);
    }
    auto add = [&](const char* name, const Numbers& rows, const Numbers& f, double cost) {
      c.add(target, name, exact.at(target).exact, rows, f, cost);
    };
    add("k1", from, k1, read);
    add("k2", from, k2, read);
    add("k3", from, k3, read);
    add("full vocabulary", from, full, 1);
    add("top-p 0.9", top_p(from, V, 0.9), full, 1);
    add("top-p 0.5", top_p(from, V, 0.5), full, 1);
    add("top-k", from, c.sums(top_k(p, log_from, log_other, V, k, false)), read * double(k));
    add("top-k and tail", from, c.sums(top_k(p, log_from, log_other, V, k, true)),
        read * double(k + 1));
    add("beam", mode(c, forward ? log_P : log_Q), full, 1);
  }
  double cross_entropy = 0;
  for (size_t s = 0; s < log_Q.size(); s++) {
    nll.push_back(-log_Q[s]);
    cross_entropy += std::exp(log_P[s]) * nll[s];
  }
  c.add("seqkd", "sample", cross_entropy, p, nll, 0);
  c.add("seqkd", "mode", cross_entropy, mode(c, log_P), nll, 0);
  return c.out;
}

}  // namespace retort
