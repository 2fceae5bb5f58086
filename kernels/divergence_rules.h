// The divergences as scalar rules of one vocabulary entry. p teacher, q student, d = log p - log q.
//   value(v)         the entry's share of the loss, written so that it is never negative where the
//   divergence is a
//                    sum of non-negative terms (spec: q - p adds up to 0 over a row)
//   slope(v)         d loss / d q up to a constant of the row, small where q is large
//   q_slope(v, ref)  q (slope - ref), overridden where the slope is unbounded
// Rules that divide by p (needs_p) say what an entry with p = 0 is worth when it is ignored:
// ignored(q) is its value, constant(top) what slope() lacks to be the true derivative. needs_q:
// infinite where q = 0 < p. Why these forms: float32 rows with almost all mass on one token (T =
// 0.05) keep their digits; every log-sum is a softplus of d, every product with an unbounded ratio
// is one exp of summed logs.
#pragma once
#include "kernels/math.h"

namespace retort {

template <class T>
struct Point {
  T p, q, lp, lq;
  T d;  // lp - lq
  T dt,
      ds;  // teacher and student logit minus those of the student's top token, over the temperature
};

/// exp(x) - 1 - x for |x| < 0.03.
template <class T>
HD T phi_series(T x) {
  return x * x * (T(0.5) + x * (T(1.0 / 6) + x * T(1.0 / 24)));
}
/// exp(x) - 1 for |x| < 0.03.
template <class T>
HD T expm1_series(T x) {
  return x * (1 + x * (T(0.5) + x * (T(1.0 / 6) + x * T(1.0 / 24))));
}
/// log(1 + x) for |x| < 0.03.
template <class T>
HD T log1p_series(T x) {
  return x * (1 - x * (T(0.5) - x * (T(1.0 / 3) - x * T(0.25))));
}
template <class T>
HD bool near(T d) {
  return d < T(0.02) && d > T(-0.02);
}

template <class D, class T>
struct Rule {
  static constexpr bool needs_p = false, needs_q = false;
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
        log_rest(T(::log(1 - beta))),
        logit(T(::log(beta) - ::log(1 - beta))) {}
  HD T value(const Point<T>& v) const {
    // b g(u) - g(b u), u = p/q - 1, g(x) = (1 + x) log(1 + x) = x + x^2/2 - x^3/6 + x^4/12 - x^5/20
    // ...
    T u = expm1_series(v.d), r = 1 - b;
    T close =
        v.q * b * u * u *
        (r * T(0.5) - u * ((1 - b * b) * T(1.0 / 6) - u * ((1 - b * b * b) * T(1.0 / 12) -
                                                           u * (1 - b * b * b * b) * T(0.05))));
    T l = softplus_(v.d + logit);
    T far = b * v.p * (v.d + logit - log_b - l) - r * v.q * (log_rest + l);
    return select_(near(v.d), close, far);
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
    T x = T(0.5) * (v.p > v.q ? v.p - v.q : v.q - v.p);
    return v.d == 0 ? T(0) : x;  // p and q are rounded in two ways; the logs are not
  }
  HD T slope(const Point<T>& v) const { return v.d > 0 ? T(-0.5) : v.d < 0 ? T(0.5) : T(0); }
};

template <class T>
struct SkewKl : Rule<SkewKl<T>, T> {  // KL(p || a p + (1-a) q)
  T a, log_a, logit;
  explicit SkewKl(double alpha)
      : a(T(alpha)), log_a(T(::log(alpha))), logit(T(::log(alpha) - ::log(1 - alpha))) {}
  HD T value(const Point<T>& v) const {
    T close = v.p * phi_series(log1p_series((1 - a) * expm1_series(-v.d)));
    T far = (1 - a) * (v.q - v.p) - v.p * (log_a + softplus_(-v.d - logit));
    return select_(near(v.d), close, far);
  }
  HD T slope(const Point<T>& v) const { return -(1 - a) / a * sigmoid_(v.d + logit); }
};

template <class T>
struct SkewRkl : Rule<SkewRkl<T>, T> {  // KL(q || (1-a) p + a q)
  T a, log_a, logit;
  explicit SkewRkl(double alpha)
      : a(T(alpha)), log_a(T(::log(alpha))), logit(T(::log(1 - alpha) - ::log(alpha))) {}
  HD T value(const Point<T>& v) const {
    T close = v.q * phi_series(log1p_series((1 - a) * expm1_series(v.d)));
    T far = (1 - a) * (v.p - v.q) - v.q * (log_a + softplus_(v.d + logit));
    return select_(near(v.d), close, far);
  }
  HD T slope(const Point<T>& v)
      const {  // r/(1+r) - log(1+r), r = (1-a) p / (a q); its series where r is small
    T x = v.d + logit, r = exp_(min_(x, T(-4)));
    T s = T(-7.0 / 8);
    s = T(6.0 / 7) + r * s;
    s = T(-5.0 / 6) + r * s;
    s = T(4.0 / 5) + r * s;
    s = T(-3.0 / 4) + r * s;
    s = T(2.0 / 3) + r * s;
    s = T(-1.0 / 2) + r * s;
    return select_(x < T(-4.6), r * r * s, sigmoid_(x) - softplus_(x));
  }
};

template <class T>
struct Alpha : Rule<Alpha<T>, T> {  // (sum p^a q^(1-a) - 1) / (a (a-1))
  T a;
  explicit Alpha(double alpha) : a(T(alpha)) {}
  HD T power(const Point<T>& v) const {
    return exp_(a * max_(v.lp, T(-1e30)) + (1 - a) * max_(v.lq, T(-1e30)));
  }
  HD T value(const Point<T>& v) const {
    T close = v.q * v.d * v.d *
              (T(0.5) + v.d * ((a + 1) * T(1.0 / 6) + v.d * (a * a + a + 1) * T(1.0 / 24)));
    T far = (power(v) - a * v.p - (1 - a) * v.q) / (a * (a - 1));
    return select_(near(v.d), close, far);
  }
  HD T slope(const Point<T>& v) const { return -exp_(a * v.d) / a; }
  HD T q_slope(const Point<T>& v, T ref) const { return -power(v) / a - v.q * ref; }
  HD T ignored(T q) const { return q / a; }
};

template <class T>
struct Hellinger : Rule<Hellinger<T>, T> {  // 1 - sum sqrt(p q) = 1/2 sum (sqrt p - sqrt q)^2
  explicit Hellinger(double) {}
  HD T value(const Point<T>& v) const {
    T close = expm1_series(T(0.5) * v.d), far = exp_(T(0.5) * v.lp) - exp_(T(0.5) * v.lq);
    return T(0.5) * select_(near(v.d), v.q * close * close, far * far);
  }
  HD T slope(const Point<T>& v) const { return T(-0.5) * exp_(T(0.5) * v.d); }
  HD T q_slope(const Point<T>& v, T ref) const {
    return T(-0.5) * exp_(T(0.5) * (v.lp + v.lq)) - v.q * ref;
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
    return exp_(2 * max_(v.lp, T(-1e30)) - max_(v.lq, T(-1e30)));
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
  static constexpr bool needs_p = true;
  explicit Engine(double) {}
  HD T value(const Point<T>& v) const { return -v.q * max_(v.lp, T(-1e30)); }
  HD T slope(const Point<T>& v) const { return -v.dt; }
  HD T constant(const Point<T>& top) const { return -top.lp; }
};

}  // namespace retort
