// Per-element updates of the optimizers, over flat buffers.
#pragma once
#include "kernels/launch.h"

namespace retort {

/// AdamW (Loshchilov & Hutter 2019), one row = one contiguous stretch of parameters:
///   m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,
///   w <- w (1 - rate decay) - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
template <class T>
struct AdamWRow {
  const T* g;
  T *w, *m, *v;
  T keep, beta1, beta2, eps;  // keep = 1 - rate decay
  T rate, correct;            // rate / (1 - b1^t), 1 / sqrt(1 - b2^t)
  int n;                      // numbers of a row; the last may be shorter
  size_t size;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * n;
    int count = size - o < size_t(n) ? int(size - o) : n;
    T k = keep, b1 = beta1, b2 = beta2, e = eps, r = rate, c = correct;
    team.each(
        count,
        [&](int, T d, T& x, T& a, T& b) {
          a = b1 * a + (1 - b1) * d;
          b = b2 * b + (1 - b2) * d * d;
          x = x * k - r * a / (sqrt_(b) * c + e);
        },
        g + o, inout(w + o), inout(m + o), inout(v + o));
  }
};

/// Row sums of squares, in double: row r covers [r n, (r + 1) n).
template <class T>
struct SquareSum {
  const T* x;
  double* y;
  int n;
  size_t size;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * n;
    int count = size - o < size_t(n) ? int(size - o) : n;
    double s = team.sum(
        count, [](int, T a) { return double(a) * double(a); }, x + o);
    team.one([&] { y[row] = s; });
  }
};

/// Adafactor (Shazeer & Stern 2018): the factored second moment of a matrix of `rows` x n.
template <class T>
struct SquareMeanRow {  // r[row] <- b r + (1 - b) mean_j (g^2 + eps)
  const T* g;
  T* r;
  T beta, eps;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    T e = eps;
    T s = team.sum(
              n, [&](int, T a) { return a * a + e; }, g + size_t(row) * n) /
          n;
    team.one([&] { r[row] = beta * r[row] + (1 - beta) * s; });
  }
};
template <class T>
struct SquarePlus {  // for columns(): g^2 + eps
  const T* g;
  T eps;
  int n;
  HD T operator()(int r, int c) const {
    T x = g[size_t(r) * n + c];
    return x * x + eps;
  }
};
template <class T>
struct Blend {  // c <- b c + (1 - b) s / rows
  T beta, rows;
  HD T operator()(T c, T s) const { return beta * c + (1 - beta) * s / rows; }
};
template <class T>
struct FactoredUpdate {  // u = g / sqrt(r/mean(r) c)
  const T *g, *r, *c;
  T* u;
  T mean_r;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * n;
    T f = 1 / sqrt_(r[row] / mean_r);
    team.each(
        n, [&](int, T a, T q, T& b) { b = a * f / sqrt_(q); }, g + o, c, out(u + o));
  }
};
template <class T>
struct FullMoment {  // v <- b v + (1 - b)(g^2 + eps)
  T beta, eps;
  HD T operator()(T v, T g) const { return beta * v + (1 - beta) * (g * g + eps); }
};
template <class T>
struct FullUpdate {
  HD T operator()(T g, T v) const { return g / sqrt_(v); }
};
template <class T>
struct Descend {  // w <- w (1 - rate decay) - rate u / clip
  T keep, step;
  HD T operator()(T w, T u) const { return w * keep - step * u; }
};
template <class T>
struct Rescale {
  T factor;
  HD T operator()(T x) const { return x * factor; }
};

}  // namespace retort
