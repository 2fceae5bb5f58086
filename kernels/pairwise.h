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

// Row = point i and two neighbours j, j + 1 of `others` points, so that two sums go on at once;
// adds to what earlier spans gave.
template <class Ground, class T>
struct PairCost {
  const T *q, *p;
  T* cost;
  int others;
  bool begin;
  int n;
  static HD int rows_of(int others) { return (others + 1) / 2; }
  template <class Team>
  HD void operator()(Team team, int row) const {
    Ground ground;
    int each = rows_of(others), i = row / each, j = row % each * 2,
        next = j + 1 < others ? j + 1 : j;
    auto s = team.sums(
        n,
        [&](int, T a, T b, T c) {
          return Pair<T>{ground.value(a - b), ground.value(a - c)};
        },
        q + size_t(i) * size_t(n), p + size_t(j) * size_t(n), p + size_t(next) * size_t(n));
    T* y = cost + size_t(i) * size_t(others);
    team.one([&] {
      y[j] = begin ? s.a : y[j] + s.a;
      if (next > j) y[next] = begin ? s.b : y[next] + s.b;
    });
  }
};

template <class Ground, class T>
struct PairCostBackward {  // dq_iv = sum_j dC_ij d'(q_iv - p_jv), in the order of j, four at a time
  const T *q, *p, *dcost;
  const int* index;
  T* dq;
  int others, first, vocabulary, n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    Ground ground;
    const T *a = q + size_t(row) * size_t(n), *g = dcost + size_t(row) * size_t(others);
    T* y = dq + size_t(index[row]) * size_t(vocabulary) + first;
    auto point = [&](int j) { return p + size_t(j) * size_t(n); };
    team.each(
        n, [](int, T& v) { v = 0; }, out(y));
    int j = 0;
    for (; j + 4 <= others; j += 4) {
      T g0 = g[j], g1 = g[j + 1], g2 = g[j + 2], g3 = g[j + 3];
      team.each(
          n,
          [&](int, T x, T p0, T p1, T p2, T p3, T& v) {
            v += g0 * ground.slope(x - p0);
            v += g1 * ground.slope(x - p1);
            v += g2 * ground.slope(x - p2);
            v += g3 * ground.slope(x - p3);
          },
          a, point(j), point(j + 1), point(j + 2), point(j + 3), inout(y));
    }
    for (; j < others; j++) {
      T gj = g[j];
      team.each(
          n, [&](int, T x, T b, T& v) { v += gj * ground.slope(x - b); }, a, point(j), inout(y));
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
