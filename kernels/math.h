// exp, log, tanh, erf ... that vectorise on the CPU: no branch, no table, no errno. In float: exp_
// and log_ 2 ulp, tanh_ 4 ulp, erf_ 1.3e-7 absolute (polynomials fitted for this file). double and
// device code call the library. exp_(-inf) is 0, log_(0) is -inf, NaN stays NaN.
#pragma once
#include "kernels/team.h"

namespace retort {

template <class T>
HD T max_(T a, T b) {
  return a > b ? a : b;
}
template <class T>
HD T min_(T a, T b) {
  return a < b ? a : b;
}
HD double abs_(double x) { return ::fabs(x); }
HD float abs_(float x) { return ::fabsf(x); }

/// c ? a : b by masks: g++ turns a plain select between costly values into a branch, and the loop
/// no longer vectorises.
HD double select_(bool c, double a, double b) { return c ? a : b; }
HD float select_(bool c, float a, float b) {
#ifdef __CUDA_ARCH__
  return c ? a : b;
#else
  int m = -int(c);
  return bits<float>((bits<int>(a) & m) | (bits<int>(b) & ~m));
#endif
}

HD double exp_(double x) { return ::exp(x); }
HD double log_(double x) { return ::log(x); }
HD double log_normal(double x) { return ::log(x); }
HD double tanh_(double x) { return ::tanh(x); }
HD double erf_(double x) { return ::erf(x); }
HD double sqrt_(double x) { return ::sqrt(x); }
HD float sqrt_(float x) { return ::sqrtf(x); }

HD float exp_(float x) {
#ifdef __CUDA_ARCH__
  return ::expf(x);
#else
  // x = r log 2 + f. t holds r in its low mantissa bits; adding them to the exponent of e^f is *
  // 2^r.
  float c = x < -87.3f ? -87.3f : x > 88.3f ? 88.3f : x;
  float t = c * 1.44269504f + 12582912.f, r = t - 12582912.f;
  float f = (c - r * 0.693359375f) + r * 2.12194440e-4f;
  float p = 1.381387667e-3f;  // minimax, 3e-9
  p = p * f + 8.369063831e-3f;
  p = p * f + 4.166842190e-2f;
  p = p * f + 1.666651776e-1f;
  p = p * f + 4.999999325e-1f;
  p = p * (f * f) + f + 1.f;
  int y = bits<int>(p) + int(unsigned(bits<int>(t)) << 23);
  return bits<float>(y & -int(!(x < -87.3f)));
#endif
}

/// exp where the argument may be large: exp_ of a float saturates at 2e38.
HD double exp_or_inf(double x) { return ::exp(x); }
HD float exp_or_inf(float x) { return select_(x > 88.f, INFINITY, exp_(x)); }

/// log of a positive normal number.
HD float log_normal(float x) {
#ifdef __CUDA_ARCH__
  return ::logf(x);
#else
  // x = 2^e (1 + f) with 1 + f in [sqrt 1/2, sqrt 2); log(1 + f) = f - f^2 / 2 + f^3 P(f), minimax
  // 6e-9
  int i = bits<int>(x) - 0x3f3504f3;
  float e = float(i >> 23);
  float f = bits<float>((i & 0x7fffff) + 0x3f3504f3) - 1.f, z = f * f;
  float p = -7.634450770e-2f;
  p = p * f + 1.276155789e-1f;
  p = p * f - 1.316019079e-1f;
  p = p * f + 1.420176123e-1f;
  p = p * f - 1.662335680e-1f;
  p = p * f + 2.000122672e-1f;
  p = p * f - 2.500082105e-1f;
  p = p * f + 3.333333171e-1f;
  return e * 0.693359375f + (z * (f * p - 0.5f) - e * 2.12194440e-4f + f);
#endif
}
HD float log_(float x) {
#ifdef __CUDA_ARCH__
  return ::logf(x);
#else
  // A denormal is scaled up; 0, inf and what is negative or NaN are put right by selects.
  bool small = x < 1.17549435e-38f;
  float y = log_normal(small ? x * 16777216.f : x) - (small ? 16.6355323f : 0.f);
  y = select_(x < INFINITY, y, x);
  return select_(x > 0.f, y, x == 0.f ? -INFINITY : NAN);
#endif
}

HD float tanh_(float x) {
#ifdef __CUDA_ARCH__
  return ::tanhf(x);
#else
  float a = x < 0 ? -x : x, z = x * x;
  float far = 1.f - 2.f / (exp_(2.f * a) + 1.f);
  float p = 2.14749747e-3f;  // x + x^3 P(x^2) for |x| < 0.625, minimax 1.5e-10
  p = p * z - 8.18263367e-3f;
  p = p * z + 2.17029521e-2f;
  p = p * z - 5.39472018e-2f;
  p = p * z + 1.33332097e-1f;
  p = p * z - 3.33333309e-1f;
  float near = x + x * z * p;
  return select_(a < 0.625f, near, x < 0 ? -far : far);
#endif
}

HD float erf_(float x) {
#ifdef __CUDA_ARCH__
  return ::erff(x);
#else
  float a = x < 0 ? -x : x;  // erf a = 1 - exp(-a Q(a)) for a < 4
  a = a > 4.f ? 4.f : a;
  float q = -7.22724235e-6f;
  q = q * a + 9.87671447e-5f;
  q = q * a - 5.61885478e-4f;
  q = q * a + 1.52796973e-3f;
  q = q * a - 7.50306208e-6f;
  q = q * a - 1.92474816e-2f;
  q = q * a + 1.02808781e-1f;
  q = q * a + 6.36614680e-1f;
  q = q * a + 1.12837934f;
  float y = 1.f - exp_(-a * q);
  return x < 0 ? -y : y;
#endif
}

/// 1 / (1 + exp(-x)).
template <class T>
HD T sigmoid_(T x) {
  return T(1) / (T(1) + exp_(-x));
}

/// log(1 + u) for 0 <= u <= 1, accurate for small u; float: 2 ulp.
HD double log1p_(double u) { return ::log1p(u); }
HD float log1p_(float u) {
#ifdef __CUDA_ARCH__
  return ::log1pf(u);
#else
  float s = u / (2.f + u), z = s * s;  // 2 artanh s = 2 s + 2 s z P(z), minimax 4e-9
  float p = 1.400589049e-1f;
  p = p * z + 1.400092244e-1f;
  p = p * z + 2.001076192e-1f;
  p = p * z + 3.333320916e-1f;
  return (s + s) + (s + s) * (z * p);
#endif
}

/// log(1 + exp(-|x|)), what softplus_(x) has over max(x, 0).
template <class T>
HD T softplus_tail(T x) {
  return log1p_(exp_(-abs_(x)));
}
/// log(1 + exp(x)) without overflow.
template <class T>
HD T softplus_(T x) {
  return (x > 0 ? x : T(0)) + softplus_tail(x);
}

/// p x with 0 * inf = 0, for p >= 0. An and-mask: a select here makes g++ thread the branch p > 0
/// through the whole loop.
HD double safe_mul(double p, double x) { return p > 0 ? p * x : 0.0; }
HD float safe_mul(float p, float x) {
#ifdef __CUDA_ARCH__
  return p > 0 ? p * x : 0.f;
#else
  return p * bits<float>(bits<int>(x) & -int(p > 0));
#endif
}

}  // namespace retort
