// Softmax, log-softmax and log-sum-exp of each row. A row that is all -inf has softmax 0,
// log-softmax -inf and log-sum-exp -inf, and gradient 0.
#pragma once
#include "kernels/launch.h"

namespace retort {

template <class T>
struct Softmax {
  const T* x;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x + size_t(row) * n;
    T* b = y + size_t(row) * n;
    T m = max_(team.max(n, [&](int i) { return a[i]; }), T(-1e30));
    T s = team.sum(n, [&](int i) { return b[i] = exp_(a[i] - m); });  // y holds exp until scaled
    T scale = s > 0 ? 1 / s : T(0);
    team.each(n, [&](int i) { b[i] *= scale; });
  }
};

template <class T>
struct SoftmaxBackward {  // dx = y (dy - sum y dy)
  const T *y, *dy;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * n;
    const T *p = y + o, *d = dy + o;
    T* g = dx + o;
    T mean = team.sum(n, [&](int i) { return p[i] * d[i]; });
    team.each(n, [&](int i) { g[i] = p[i] * (d[i] - mean); });
  }
};

template <class T>
struct LogSoftmax {
  const T* x;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x + size_t(row) * n;
    T* b = y + size_t(row) * n;
    T m = max_(team.max(n, [&](int i) { return a[i]; }), T(-1e30));
    T log_sum = log_(team.sum(n, [&](int i) { return exp_(a[i] - m); }));
    T shift = log_sum > T(-1e30) ? log_sum : T(0);  // all -inf: leave -inf
    team.each(n, [&](int i) { b[i] = (a[i] - m) - shift; });
  }
};

template <class T>
struct LogSoftmaxBackward {  // dx = dy - exp(y) sum dy
  const T *y, *dy;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * n;
    const T *a = y + o, *d = dy + o;
    T* g = dx + o;
    T total = team.sum(n, [&](int i) { return d[i]; });
    team.each(n, [&](int i) { g[i] = d[i] - exp_(a[i]) * total; });
  }
};

template <class T>
struct LogSumExp {
  const T* x;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x + size_t(row) * n;
    T m = max_(team.max(n, [&](int i) { return a[i]; }), T(-1e30));
    T s = team.sum(n, [&](int i) { return exp_(a[i] - m); });
    team.one([&] { y[row] = s > 0 ? m + log_(s) : log_(s); });
  }
};

template <class T>
struct LogSumExpBackward {  // dx = exp(x - y) dy
  const T *x, *y, *dy;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x + size_t(row) * n;
    T *g = dx + size_t(row) * n, l = max_(y[row], T(-1e30)), d = dy[row];
    team.each(n, [&](int i) { g[i] = exp_(a[i] - l) * d; });
  }
};

}  // namespace retort
