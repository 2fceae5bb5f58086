// Updates of the optimizers, over flat buffers. What one step learns on the way (norms, means)
// stays on the device: kernels read it through pointers.
#pragma once
#include "kernels/launch.h"

namespace retort {

/// Whether the gradients' norm forbids the step: one that is not finite leaves everything as it
/// was.
HD bool forbidden(const double* norm) { return norm && !(*norm < double(INFINITY)); }

/// Row r of a flat buffer of `size` numbers cut into rows of n: where it starts, how long it is.
struct Cut {
  size_t start;
  int count;
  HD Cut(int row, int n, size_t size)
      : start(size_t(row) * n), count(size - start < size_t(n) ? int(size - start) : n) {}
};

/// f on the streams of a row; the last, the new weight, goes to `copy` rounded, where there is one.
template <class Team, class F, class T, class... S>
HD void update(const Team& team, int n, F f, T* w, bf16* copy, S... s) {
  if (copy)
    team.each(
        n,
        [&](int i, auto& x, float& rounded, auto&... a)
            INLINE { f(i, x, a...), rounded = float(x); },
        inout(w), out(copy), s...);
  else
    team.each(n, f, inout(w), s...);
}

/// AdamW (Loshchilov & Hutter 2019), one row = one contiguous stretch of parameters:
///   m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,
///   w <- w (1 - rate decay) - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
template <class T>
struct AdamWRow {
  const T* g;
  T *w, *m, *v;
  bf16* copy;                 // of w; or null
  const double* norm;         // of all gradients; or null
  T keep, beta1, beta2, eps;  // keep = 1 - rate decay
  T rate, correct;            // rate / (1 - b1^t), 1 / sqrt(1 - b2^t)
  int n;                      // numbers of a row; the last may be shorter
  size_t size;
  template <class Team>
  HD void operator()(Team team, int row) const {
    if (forbidden(norm)) return;
    Cut at(row, n, size);
    size_t o = at.start;
    T k = keep, b1 = beta1, b2 = beta2, e = eps, r = rate, c = correct;
    auto step = [=](int, T& x, T& a, T& b, T d) INLINE {
      a = b1 * a + (1 - b1) * d;
      b = b2 * b + (1 - b2) * d * d;
      x = x * k - r * a / (sqrt_(b) * c + e);
    };
    update(team, at.count, step, w + o, copy ? copy + o : copy, inout(m + o), inout(v + o), g + o);
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
    Cut at(row, n, size);
    double s = team.sum(
        at.count, [](int, T a) { return double(a) * double(a); }, x + at.start);
    team.one([&] { y[row] = s; });
  }
};
/// y = sqrt(sum_i x_i / count): a norm (count 1) or a root mean square, from row sums.
struct Root {
  const double* x;
  double* y;
  double count;
  int n;
  template <class Team>
  HD void operator()(Team team, int) const {
    double s = team.sum(
        n, [](int, double a) { return a; }, x);
    team.one([&] { *y = sqrt_(s / count); });
  }
};
/// g <- g most / norm where norm > most (and finite).
template <class T>
struct Rescale {
  T* g;
  const double* norm;
  double most;
  int n;
  size_t size;
  template <class Team>
  HD void operator()(Team team, int row) const {
    if (forbidden(norm) || !(*norm > most)) return;
    Cut at(row, n, size);
    T factor = T(most / *norm);
    team.each(
        at.count, [&](int, T& x) { x *= factor; }, inout(g + at.start));
  }
};

/// Adafactor (Shazeer & Stern 2018): the factored second moment of a matrix of `rows` x n.
template <class T>
struct SquareMeanRow {  // r[row] <- b r + (1 - b) mean_j (g^2 + eps)
  const T* g;
  T* r;
  const double* norm;
  T beta, eps;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    if (forbidden(norm)) return;
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
struct BlendRow {  // c <- b c + (1 - b) s / rows
  const T* s;
  T* c;
  const double* norm;
  T beta, rows;
  int n;
  template <class Team>
  HD void operator()(Team team, int) const {
    if (forbidden(norm)) return;
    T b = beta, m = rows;
    team.each(
        n, [&](int, T x, T& y) { y = b * y + (1 - b) * x / m; }, s, inout(c));
  }
};
template <class T>
struct FactoredUpdate {  // u = g / sqrt(r/mean(r) c)
  const T *g, *r, *c, *mean_r;
  T* u;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * n;
    T f = 1 / sqrt_(r[row] / *mean_r);
    team.each(
        n, [&](int, T a, T q, T& b) { b = a * f / sqrt_(q); }, g + o, c, out(u + o));
  }
};
/// A vector's second moment is not factored: v <- b v + (1 - b)(g^2 + eps),  u = g / sqrt(v)
template <class T>
struct FullUpdate {
  const T* g;
  T *v, *u;
  const double* norm;
  T beta, eps;
  int n;
  template <class Team>
  HD void operator()(Team team, int) const {
    if (forbidden(norm)) return;
    T b = beta, e = eps;
    team.each(
        n,
        [&](int, T a, T& s, T& d) {
          s = b * s + (1 - b) * (a * a + e);
          d = a / sqrt_(s);
        },
        g, inout(v), out(u));
  }
};
/// w <- w (1 - rate decay) - rate u / max(1, rms(u) / threshold)
template <class T>
struct Descend {
  const T* u;
  T* w;
  bf16* copy;
  const double *rms, *norm;
  double threshold;
  T keep, rate;  // keep = 1 - rate decay
  int n;
  size_t size;
  template <class Team>
  HD void operator()(Team team, int row) const {
    if (forbidden(norm)) return;
    Cut at(row, n, size);
    size_t o = at.start;
    T k = keep, r = T(rate / max_(1.0, *rms / threshold));
    auto step = [=](int, T& x, T d) INLINE { x = x * k - r * d; };
    update(team, at.count, step, w + o, copy ? copy + o : copy, u + o);
  }
};

}  // namespace retort
