// LayerNorm (Ba et al. 2016) and RMSNorm (Zhang & Sennrich 2019) of each row, with
// r = 1 / sqrt(var + eps), resp. 1 / sqrt(mean(x^2) + eps).
#pragma once
#include "kernels/launch.h"

namespace retort {

template <class T>
struct LayerNorm {  // y = (x - mean) r gain + bias
  const T *x, *gain, *bias;
  T *y, *mean, *scale;
  T eps;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T *a = x + size_t(row) * n, *g = gain, *c = bias;
    T* b = y + size_t(row) * n;
    T m = team.sum(n, [&](int i) { return a[i]; }) / n;
    T v = team.sum(n, [&](int i) { return (a[i] - m) * (a[i] - m); }) / n;
    T r = 1 / sqrt_(v + eps);
    team.each(n, [&](int i) { b[i] = (a[i] - m) * r * g[i] + c[i]; });
    team.one([&] { mean[row] = m, scale[row] = r; });
  }
};

template <class T>
struct LayerNormBackward {  // dx = r (h - avg h - xhat avg(h xhat)), h = dy gain
  const T *x, *gain, *dy, *mean, *scale;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * n;
    const T *a = x + o, *d = dy + o, *w = gain;
    T *g = dx + o, m = mean[row], r = scale[row];
    auto s = team.sums(n, [&](int i) {
      T h = d[i] * w[i];
      return Pair<T>{h, h * (a[i] - m) * r};
    });
    T h0 = s.a / n, h1 = s.b / n;
    team.each(n, [&](int i) { g[i] = r * (d[i] * w[i] - h0 - (a[i] - m) * r * h1); });
  }
};

template <class T>
struct RmsNorm {  // y = x r gain
  const T *x, *gain;
  T *y, *scale;
  T eps;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T *a = x + size_t(row) * n, *g = gain;
    T* b = y + size_t(row) * n;
    T r = 1 / sqrt_(team.sum(n, [&](int i) { return a[i] * a[i]; }) / n + eps);
    team.each(n, [&](int i) { b[i] = a[i] * r * g[i]; });
    team.one([&] { scale[row] = r; });
  }
};

template <class T>
struct RmsNormBackward {  // dx = r (h - xhat avg(h xhat)), xhat = x r
  const T *x, *gain, *dy, *scale;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * n;
    const T *a = x + o, *d = dy + o, *w = gain;
    T *g = dx + o, r = scale[row];
    T h1 = team.sum(n, [&](int i) { return d[i] * w[i] * a[i] * r; }) / n;
    team.each(n, [&](int i) { g[i] = r * (d[i] * w[i] - a[i] * r * h1); });
  }
};

template <class T>
struct GainGradient {  // column sum of dy xhat; mean may be null (RMSNorm)
  const T *x, *dy, *mean, *scale;
  int n;
  HD T operator()(int r, int c) const {
    size_t i = size_t(r) * n + c;
    return dy[i] * (x[i] - (mean ? mean[r] : T(0))) * scale[r];
  }
};

}  // namespace retort
