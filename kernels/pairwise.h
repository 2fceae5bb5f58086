// Costs between rows of softened probabilities, C_ij = sum_v d(q_iv - p_jv), a span of the
// vocabulary at a time: the probabilities of a span are written once for all pairs, and no batch x
// batch x vocabulary exists. Row r of a batch is row index[r] of its logits.
#pragma once
#include "kernels/launch.h"

namespace retort {

struct AbsoluteDifference {
  template <class T>
  HD T value(T d) const {
    return abs_(d);
  }
  template <class T>
  HD T slope(T d) const {  // 0 at ties
    return T(d > 0) - T(d < 0);
  }
};
struct SquaredDifference {
  template <class T>
  HD T value(T d) const {
    return d * d;
  }
  template <class T>
  HD T slope(T d) const {
    return 2 * d;
  }
};

template <class T>
struct SoftmaxSums {  // top = max x, total = sum exp((x - top) k)
  const T* x;
  const int* index;
  T *top, *total;
  T k;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x + size_t(index[row]) * size_t(n);
    T k = this->k, m = team.max(
                       n, [](int, T v) { return v; }, a);
    T s = team.sum(
        n, [&](int, T v) { return exp_((v - m) * k); }, a);
    team.one([&] { top[row] = m, total[row] = s; });
  }
};

template <class T>
struct Probabilities {  // q_v of `n` tokens from `first` on
  const T* x;
  const int* index;
  const T *top, *total;
  T* q;
  T k;
  int first, vocabulary, n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    T k = this->k, m = top[row], scale = 1 / total[row];
    team.each(
        n, [&](int, T v, T& y) { y = exp_((v - m) * k) * scale; },
        x + size_t(index[row]) * size_t(vocabulary) + first, out(q + size_t(row) * size_t(n)));
  }
};

template <class Ground, class T>
struct PairCost {  // row = pair (i, j) of `others` points j; adds to what earlier spans gave
  const T *q, *p;
  T* cost;
  int others;
  bool begin;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    Ground ground;
    T s = team.sum(
        n, [&](int, T a, T b) { return ground.value(a - b); }, q + size_t(row / others) * size_t(n),
        p + size_t(row % others) * size_t(n));
    team.one([&] { cost[row] = begin ? s : cost[row] + s; });
  }
};

template <class Ground, class T>
struct PairCostBackward {  // dq_iv = sum_j dC_ij d'(q_iv - p_jv), in the order of j
  const T *q, *p, *dcost;
  const int* index;
  T* dq;
  int others, first, vocabulary, n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    Ground ground;
    const T *a = q + size_t(row) * size_t(n), *g = dcost + size_t(row) * size_t(others);
    T* y = dq + size_t(index[row]) * size_t(vocabulary) + first;
    team.each(
        n, [](int, T& v) { v = 0; }, out(y));
    for (int j = 0; j < others; j++) {
      T gj = g[j];
      team.each(
          n, [&](int, T b, T c, T& v) { v += gj * ground.slope(b - c); }, a,
          p + size_t(j) * size_t(n), inout(y));
    }
  }
};

// dx = k q (dq - sum q dq) in the place of dq, with dq taken relative to the top token's: where one
// token has almost all of q, both terms are nearly equal (as in divergence.h).
template <class T>
struct SoftmaxSlope {
  const T* x;
  const int* index;
  T* dq;
  T k;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x + size_t(index[row]) * size_t(n);
    T* g = dq + size_t(index[row]) * size_t(n);
    T k = this->k, m = team.max(
                       n, [](int, T v) { return v; }, a);
    int top = n - team.max(
                      n, [&](int i, T v) { return v == m ? n - i : 0; }, a);
    T ref = team.sum(
        n, [&](int i, T d) { return i == top ? d : T(0); }, static_cast<const T*>(g));
    auto s = team.sums(
        n,
        [&](int, T v, T& d) {
          T e = exp_((v - m) * k);
          d = e * (d - ref);
          return Pair<T>{e, d};
        },
        a, inout(g));
    T scale = 1 / s.a, mean = s.b * scale;
    team.each(
        n, [&](int, T v, T& d) { d = (d - exp_((v - m) * k) * mean) * scale * k; }, a, inout(g));
  }
};

}  // namespace retort
