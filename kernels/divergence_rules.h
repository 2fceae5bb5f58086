// The divergences as scalar rules of one vocabulary entry. p teacher, q student, d = log p - log q.
//   value(v)         the entry's share of the loss, in a form that is never negative where the loss
//                    is a divergence (q - p adds up to 0 over a row), by its series where d is near
//                    0
//   slope(v)         d loss / d q up to a constant of the row, small where q is large
//   q_slope(v, ref)  q (slope - ref), overridden where the slope is unbounded
// Rules that divide by p (needs_p) say what an entry with p = 0 is worth when it is ignored:
// ignored(q) is its value, constant(top) what slope() lacks to be the true derivative. needs_q:
// infinite where q = 0 < p. mixes: the mixture may be the row's, mixture_slope(v) is the derivative
// in its x. of_ratio: the slope is a function of p/q. Why these forms: float32 rows with almost all
// mass on one token (T = 0.05) keep their digits; every log-sum is a softplus of d, every product
// with an unbounded ratio is one exp of summed logs.
#pragma once
#include "kernels/math.h"

namespace retort {

template <class T>
struct Point {
  T p, q, lp, lq;  // lp may be floored; p is not
  T d;             // lp - lq
  T dt, ds;        // teacher's and student's logit minus those of the student's top token, over T
};

/// |d| below which the series hold to rounding.
HD bool near(float d) { return d < 0.1f && d > -0.1f; }
HD bool near(double d) { return d < 0.01 && d > -0.01; }
/// exp(x) - 1 for x near 0.
template <class T>
HD T expm1_series(T x) {
  return x * (1 + x * (T(0.5) + x * (T(1.0 / 6) + x * (T(1.0 / 24) + x * T(1.0 / 120)))));
}
/// exp(x) - 1 - x for x near 0.
template <class T>
HD T phi_series(T x) {
  return x * x *
         (T(0.5) + x * (T(1.0 / 6) + x * (T(1.0 / 24) + x * (T(1.0 / 120) + x * T(1.0 / 720)))));
}
/// log(1 + x) for x near 0.
template <class T>
HD T log1p_series(T x) {
  T s = T(1.0 / 5) - x * (T(1.0 / 6) - x * T(1.0 / 7));
  return x * (1 - x * (T(0.5) - x * (T(1.0 / 3) - x * (T(0.25) - x * s))));
}

template <class D, class T>
struct Rule {
  static constexpr bool needs_p = false, needs_q = false, mixes = false, of_ratio = true;
  HD T q_slope(const Point<T>& v, T ref) const {
    return v.q * (static_cast<const D*>(this)->slope(v) - ref);
  }
  HD T ignored(T) const { return 0; }
  HD T constant(const Point<T>&) const { return 0; }
};

template <class T>
struct Kl : Rule<Kl<T>, T> {  // sum p log p/q
  static constexpr bool needs_q = true;
  explicit Kl(double) {}
  HD T value(const Point<T>& v) const {
    return select_(near(v.d), v.p * phi_series(-v.d), v.q - v.p + v.p * v.d);
  }
  HD T slope(const Point<T>& v) const { return -v.p / v.q; }
  HD T q_slope(const Point<T>& v, T ref) const { return -v.p - v.q * ref; }
};

template <class T>
struct Rkl : Rule<Rkl<T>, T> {  // sum q log q/p
  static constexpr bool needs_p = true;
  explicit Rkl(double) {}
  HD T value(const Point<T>& v) const {
    return select_(near(v.d), v.q * phi_series(v.d), v.p - v.q - v.q * v.d);
  }
  HD T slope(const Point<T>& v) const { return v.ds - v.dt; }
  HD T ignored(T q) const { return -q; }
  HD T constant(const Point<T>& top) const { return 1 - top.d; }
};

template <class T>
struct Gjs : Rule<Gjs<T>, T> {  // b KL(p||m) + (1-b) KL(q||m), m = b p + (1-b) q
  T b, log_b, log_rest, logit;
  explicit Gjs(double beta)
      : b(T(beta)),
        log_b(T(::log(beta))),
        log_rest(T(::log1p(-beta))),
        logit(T(::log(beta) - ::log1p(-beta))) {}
  HD T value(const Point<T>& v) const {
    // q (b g(u) - g(b u)), u = p/q - 1, g(x) = (1 + x) log(1 + x) = x + x^2/2 - x^3/6 + x^4/12 ...
    T u = expm1_series(v.d), r = 1 - b, bb = b * b;
    T s = T(1.0 / 20) * (1 - bb * bb) - u * T(1.0 / 30) * (1 - bb * bb * b);
    s = r * T(0.5) - u * ((1 - bb) * T(1.0 / 6) - u * ((1 - bb * b) * T(1.0 / 12) - u * s));
    // log m = log(1-b) + log q + softplus(x) = log b + log p + softplus(-x)
    T x = v.d + logit, tail = softplus_tail(x);
    T far =
        -b * v.p * (log_b + max_(-x, T(0)) + tail) - r * v.q * (log_rest + max_(x, T(0)) + tail);
    return select_(near(v.d), v.q * b * u * u * s, far);
  }
  HD T slope(const Point<T>& v) const { return -(1 - b) * softplus_(v.d + logit); }
};
template <class T>
struct Js : Gjs<T> {
  explicit Js(double) : Gjs<T>(0.5) {}
};

template <class T>
struct Tvd : Rule<Tvd<T>, T> {  // 1/2 sum |p - q|
  explicit Tvd(double) {}
  HD T value(const Point<T>& v) const {
    T x = select_(near(v.d), v.q * expm1_series(v.d), v.p - v.q);
    return T(0.5) * (x < 0 ? -x : x);
  }
  HD T slope(const Point<T>& v) const {  // of a tie, d of rounding alone, 0
    const T tie = sizeof(T) == 4 ? T(2e-6) : T(4e-15);
    return v.d > tie ? T(-0.5) : v.d < -tie ? T(0.5) : T(0);
  }
};

// The two halves of a Jensen-Shannon divergence. m = w p + (1-w) q, x = log w/(1-w): w is a
// constant of the loss, or, with mix(), of the row. w p/m = sigmoid(d + x), (1-w) q/m = sigmoid(-(d
// + x)).
template <class T>
struct Mixture {
  static constexpr bool mixes = true;
  T x, w, rest, log_w, log_rest;  // rest = 1 - w
  HD void mix(T logit) {
    x = logit, w = sigmoid_(x), rest = sigmoid_(-x);
    log_w = -softplus_(-x), log_rest = -softplus_(x);
  }
};

template <class T>
struct SkewKl : Rule<SkewKl<T>, T>, Mixture<T> {  // KL(p || a p + (1-a) q)
  using Mixture<T>::x, Mixture<T>::rest, Mixture<T>::log_w, Mixture<T>::mixes;
  explicit SkewKl(double alpha) { this->mix(T(::log(alpha) - ::log1p(-alpha))); }
  HD T value(const Point<T>& v) const {
    T close = v.p * phi_series(log1p_series(rest * expm1_series(-v.d)));
    T far = rest * (v.q - v.p) - v.p * (log_w + softplus_(-v.d - x));
    return select_(near(v.d), close, far);
  }
  HD T slope(const Point<T>& v) const { return -v.p / v.q * sigmoid_(-v.d - x); }
  HD T q_slope(const Point<T>& v, T ref) const { return -v.p * sigmoid_(-v.d - x) - v.q * ref; }
  HD T mixture_slope(const Point<T>& v) const { return rest * sigmoid_(v.d + x) * (v.q - v.p); }
};

template <class T>
struct SkewRkl : Rule<SkewRkl<T>, T>, Mixture<T> {  // KL(q || (1-a) p + a q)
  using Mixture<T>::x, Mixture<T>::w, Mixture<T>::log_rest, Mixture<T>::mixes;
  explicit SkewRkl(double alpha) { this->mix(T(::log1p(-alpha) - ::log(alpha))); }
  HD T value(const Point<T>& v) const {
    T close = v.q * phi_series(log1p_series(w * expm1_series(v.d)));
    T far = w * (v.p - v.q) - v.q * (log_rest + softplus_(v.d + x));
    return select_(near(v.d), close, far);
  }
  HD T slope(const Point<T>& v) const {
    // r/(1+r) - log(1+r), r = w p / ((1-w) q); its series where r is small
    T y = v.d + x, r = exp_(y > 0 ? -y : y), s = T(-7.0 / 8);
    s = T(6.0 / 7) + r * s;
    s = T(-5.0 / 6) + r * s;
    s = T(4.0 / 5) + r * s;
    s = T(-3.0 / 4) + r * s;
    s = T(2.0 / 3) + r * s;
    s = T(-1.0 / 2) + r * s;
    T far = (y > 0 ? T(1) : r) / (1 + r) - softplus_(y);
    return select_(y < T(-4.6), r * r * s, far);
  }
  HD T mixture_slope(const Point<T>& v) const { return w * sigmoid_(-v.d - x) * (v.q - v.p); }
};

template <class T>
struct Alpha : Rule<Alpha<T>, T> {  // (sum p^a q^(1-a) - 1) / (a (a-1))
  T a, rest, over, c3, c4, c5;      // rest = 1 - a, over = 1 / (a (a-1)); of the series in d
  explicit Alpha(double alpha)
      : a(T(alpha)),
        rest(T(1 - alpha)),
        over(T(1 / (alpha * (alpha - 1)))),
        c3(T((1 + alpha) / 6)),
        c4(T((1 + alpha * (1 + alpha)) / 24)),
        c5(T((1 + alpha * (1 + alpha * (1 + alpha))) / 120)) {}
  HD T power(const Point<T>& v) const {
    return exp_or_inf(a * max_(v.lp, T(-1e30)) + rest * max_(v.lq, T(-1e30)));
  }
  HD T value(const Point<T>& v) const {
    T close = v.q * v.d * v.d * (T(0.5) + v.d * (c3 + v.d * (c4 + v.d * c5)));
    return select_(near(v.d), close, (power(v) - a * v.p - rest * v.q) * over);
  }
  HD T slope(const Point<T>& v) const { return -exp_(a * v.d) / a; }
  HD T q_slope(const Point<T>& v, T ref) const { return -power(v) / a - v.q * ref; }
  HD T ignored(T q) const { return q / a; }
};

template <class T>
struct Hellinger : Rule<Hellinger<T>, T> {  // 1 - sum sqrt(p q) = 1/2 sum (sqrt p - sqrt q)^2
  explicit Hellinger(double) {}
  HD T value(const Point<T>& v) const {
    T close = expm1_series(T(0.5) * v.d), far = sqrt_(v.p) - sqrt_(v.q);
    return T(0.5) * select_(near(v.d), v.q * close * close, far * far);
  }
  HD T slope(const Point<T>& v) const { return T(-0.5) * exp_(T(0.5) * v.d); }
  HD T q_slope(const Point<T>& v, T ref) const {
    return T(-0.5) * sqrt_(v.p) * sqrt_(v.q) - v.q * ref;
  }
};

template <class T>
struct Jeffreys : Rule<Jeffreys<T>, T> {  // sum (p - q) log p/q
  static constexpr bool needs_p = true, needs_q = true;
  explicit Jeffreys(double) {}
  HD T value(const Point<T>& v) const {
    return select_(near(v.d), v.q * expm1_series(v.d), v.p - v.q) * v.d;
  }
  HD T slope(const Point<T>& v) const { return v.ds - v.dt - v.p / v.q; }
  HD T q_slope(const Point<T>& v, T ref) const { return v.q * (v.ds - v.dt - ref) - v.p; }
  HD T constant(const Point<T>& top) const { return 1 - top.d; }
};

template <class T>
struct Chi2 : Rule<Chi2<T>, T> {  // sum p^2 / q - 1 = sum (p - q)^2 / q
  static constexpr bool needs_q = true;
  explicit Chi2(double) {}
  HD T ratio(const Point<T>& v) const {
    return exp_or_inf(2 * max_(v.lp, T(-1e30)) - max_(v.lq, T(-1e30)));
  }
  HD T value(const Point<T>& v) const {
    T u = expm1_series(v.d);
    return select_(near(v.d), v.q * u * u, ratio(v) - 2 * v.p + v.q);
  }
  HD T slope(const Point<T>& v) const { return -(v.p / v.q) * (v.p / v.q); }
  HD T q_slope(const Point<T>& v, T ref) const { return -ratio(v) - v.q * ref; }
};

template <class T>
struct Engine : Rule<Engine<T>, T> {  // -sum q log p
  static constexpr bool needs_p = true, of_ratio = false;
  explicit Engine(double) {}
  HD T value(const Point<T>& v) const { return -v.q * max_(v.lp, T(-1e30)); }
  HD T slope(const Point<T>& v) const { return -v.dt; }
  HD T constant(const Point<T>& top) const { return -top.lp; }
};

}  // namespace retort
