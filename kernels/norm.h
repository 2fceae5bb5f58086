// LayerNorm (Ba et al. 2016) and RMSNorm (Zhang & Sennrich 2019) of each row, with
// r = 1 / sqrt(var + eps), resp. 1 / sqrt(mean(x^2) + eps).
#pragma once
#include "kernels/launch.h"

namespace retort {

template <class T>
struct LayerNorm {  // y = (x - mean) r gain + bias
  const T *x, *gain, *bias;
  T* y;
  Real<T>*mean, *scale;
  Real<T> eps;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    const T* a = x + size_t(row) * n;
    R m = team.sum(
              n, [](int, R v) { return v; }, a) /
          n;
    R var = team.sum(
                n, [&](int, R v) { return (v - m) * (v - m); }, a) /
            n;
    R r = 1 / sqrt_(var + eps);
    team.each(
        n, [&](int, R v, R g, R c, R& u) { u = (v - m) * r * g + c; }, a, gain, bias,
        out(y + size_t(row) * n));
    team.one([&] { mean[row] = m, scale[row] = r; });
  }
};

template <class T>
struct LayerNormBackward {  // dx = r (h - avg h - xhat avg(h xhat)), h = dy gain
  const T *x, *gain, *dy;
  const Real<T>*mean, *scale;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    size_t o = size_t(row) * n;
    R m = mean[row], r = scale[row];
    auto s = team.sums(
        n,
        [&](int, R v, R d, R w) {
          R h = d * w;
          return Pair<R>{h, h * (v - m) * r};
        },
        x + o, dy + o, gain);
    R h0 = s.a / n, h1 = s.b / n;
    team.each(
        n, [&](int, R v, R d, R w, R& g) { g = r * (d * w - h0 - (v - m) * r * h1); }, x + o,
        dy + o, gain, out(dx + o));
  }
};

template <class T>
struct RmsNorm {  // y = x r gain
  const T *x, *gain;
  T* y;
  Real<T>* scale;
  Real<T> eps;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    const T* a = x + size_t(row) * n;
    R r = 1 / sqrt_(team.sum(
                        n, [](int, R v) { return v * v; }, a) /
                        n +
                    eps);
    team.each(
        n, [&](int, R v, R g, R& u) { u = v * r * g; }, a, gain, out(y + size_t(row) * n));
    team.one([&] { scale[row] = r; });
  }
};

template <class T>
struct RmsNormBackward {  // dx = r (h - xhat avg(h xhat)), xhat = x r
  const T *x, *gain, *dy;
  const Real<T>* scale;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    size_t o = size_t(row) * n;
    R r = scale[row];
    R h1 = team.sum(
               n, [&](int, R v, R d, R w) { return d * w * v * r; }, x + o, dy + o, gain) /
           n;
    team.each(
        n, [&](int, R v, R d, R w, R& g) { g = r * (d * w - v * r * h1); }, x + o, dy + o, gain,
        out(dx + o));
  }
};

template <class T>
struct GainGradient {  // column sum of dy xhat; mean may be null (RMSNorm)
  const T *x, *dy;
  const Real<T>*mean, *scale;
  int n;
  HD Real<T> operator()(int r, int c) const {
    using R = Real<T>;
    size_t i = size_t(r) * n + c;
    return R(dy[i]) * (R(x[i]) - (mean ? mean[r] : R(0))) * scale[r];
  }
};

template <class T>
struct BiasGradient {  // column sum of dy
  const T* dy;
  int n;
  HD Real<T> operator()(int r, int c) const { return dy[size_t(r) * n + c]; }
};

}  // namespace retort
