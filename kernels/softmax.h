// Softmax, log-softmax and log-sum-exp of each row. A row that is all -inf has softmax 0,
// log-softmax -inf and log-sum-exp -inf, and gradient 0.
#pragma once
#include "kernels/launch.h"

namespace retort {

/// max x, or a very small number where all x are -inf, so that x - max stays defined.
template <class Team, class T>
HD Real<T> row_max(const Team& team, int n, const T* x) {
  using R = Real<T>;
  return max_(team.max(
                  n, [](int, R a) { return a; }, x),
              R(-1e30));
}

template <class T>
struct Softmax {
  const T* x;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    const T* a = x + size_t(row) * n;
    T* b = y + size_t(row) * n;
    R m = row_max(team, n, a);
    // y holds exp until it is scaled
    R s = team.sum(
        n, [&](int, R v, R& e) { return e = exp_(v - m); }, a, out(b));
    R scale = s > 0 ? 1 / s : R(0);
    team.each(
        n, [&](int, R& e) { e *= scale; }, inout(b));
  }
};

template <class T>
struct SoftmaxBackward {  // dx = y (dy - sum y dy)
  const T *y, *dy;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    size_t o = size_t(row) * n;
    R mean = team.sum(
        n, [](int, R p, R d) { return p * d; }, y + o, dy + o);
    team.each(
        n, [&](int, R p, R d, R& g) { g = p * (d - mean); }, y + o, dy + o, out(dx + o));
  }
};

template <class T>
struct LogSoftmax {
  const T* x;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    const T* a = x + size_t(row) * n;
    R m = row_max(team, n, a);
    R log_sum = log_(team.sum(
        n, [&](int, R v) { return exp_(v - m); }, a));
    R shift = log_sum > R(-1e30) ? log_sum : R(0);  // all -inf: leave -inf
    team.each(
        n, [&](int, R v, R& l) { l = (v - m) - shift; }, a, out(y + size_t(row) * n));
  }
};

template <class T>
struct LogSoftmaxBackward {  // dx = dy - exp(y) sum dy
  const T *y, *dy;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    size_t o = size_t(row) * n;
    R total = team.sum(
        n, [](int, R d) { return d; }, dy + o);
    team.each(
        n, [&](int, R l, R d, R& g) { g = d - exp_(l) * total; }, y + o, dy + o, out(dx + o));
  }
};

template <class T>
struct LogSumExp {
  const T* x;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    const T* a = x + size_t(row) * n;
    R m = row_max(team, n, a);
    R s = team.sum(
        n, [&](int, R v) { return exp_(v - m); }, a);
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
    using R = Real<T>;
    size_t o = size_t(row) * n;
    R l = max_(R(y[row]), R(-1e30)), d = dy[row];
    team.each(
        n, [&](int, R v, R& g) { g = exp_(v - l) * d; }, x + o, out(dx + o));
  }
};

}  // namespace retort
