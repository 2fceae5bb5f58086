// Rows of logits over V tokens seen as K + 1 outcomes: K tokens of the row's own choice, and all
// others as one, whose logit is log sum exp over these others. Written to the tokens' places and
// read back by launches of their own, for a row's elements belong to other threads there.
#pragma once
#include "kernels/softmax.h"

namespace retort {

/// y[ids[k]] = x[k] for k < n, or -inf where x is null; rows of y have V numbers, those of x are
/// `distance` apart. The ids of a row are distinct.
template <class T>
struct Put {
  const T* x;
  const int* ids;
  T* y;
  int distance, V, n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x ? x + size_t(row) * distance : nullptr;
    T* b = y + size_t(row) * V;
    team.each(
        n, [&](int k, int id) { b[id] = a ? a[k] : T(-INFINITY); }, ids + size_t(row) * n);
  }
};

/// y = (x[ids], log sum exp(others)); `others` is x with -inf at the ids. For the backward pass
/// tail = (max, 1 / sum exp(others - max)): of the logarithm digits are lost where it is large.
template <class T>
struct Coarsen {
  const T *x, *others;
  const int* ids;
  T *y, *tail;
  int K, n;  // n: V
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T *a = x + size_t(row) * n, *o = others + size_t(row) * n;
    T* b = y + size_t(row) * (K + 1);
    T m = row_max(team, n, o);
    T s = team.sum(
        n, [&](int, T v) { return exp_(v - m); }, o);
    team.each(
        K, [&](int, int id, T& v) { v = a[id]; }, ids + size_t(row) * K, out(b));
    team.one([&] {
      b[K] = s > 0 ? m + log_(s) : log_(s);
      tail[2 * row] = m, tail[2 * row + 1] = s > 0 ? 1 / s : T(0);
    });
  }
};

/// dx = exp(x - y_K) dy_K, right for the others; Put then gives the ids their dy.
template <class T>
struct CoarsenBackward {
  const T *x, *tail, *dy;
  T* dx;
  int K, n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * n;
    T m = tail[2 * row], d = dy[size_t(row) * (K + 1) + K] * tail[2 * row + 1];
    team.each(
        n, [&](int, T v, T& g) { g = exp_(v - m) * d; }, x + o, out(dx + o));
  }
};

}  // namespace retort
