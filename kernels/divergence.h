// D(p || q) of each row, p = softmax(teacher / T), q = softmax(student / T), and its gradient in
// the student's logits. With h_v = q_v (slope_v - slope_top),
//   loss = sum_v value_v,   ds_v = (h_v - q_v sum_u h_u) / T
// Slopes are taken relative to the student's top token, whose h is 0: a saturated row keeps its
// digits (design idea 3).
#pragma once
#include "kernels/divergence_rules.h"
#include "kernels/launch.h"

namespace retort {

template <class D, class T>
struct DivergenceRow {
  D rule;
  const T *teacher, *student;
  const int* mask;   // rows with 0 are skipped; or null
  const T* mixture;  // log w/(1-w) of each row, w the teacher's weight in the mixture; or null
  T* dmixture;       // its derivative, with a mixture
  T *loss, *ds;      // a row that cannot be computed gets the loss NaN: the caller finds out why
  T inverse_temperature;
  T floor;      // log p is at least this; -inf: no floor
  bool ignore;  // entries with p = 0 are left out of a rule that needs p
  bool needs_p, needs_q;
  int n;

  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = size_t(row) * n;
    const T *a = teacher + o, *b = student + o;
    T *g = ds + o, k = inverse_temperature;
    if (mask && !mask[row]) {
      team.each(
          n, [](int, T& v) { v = 0; }, out(g));
      team.one([&] {
        loss[row] = 0;
        if (mixture) dmixture[row] = 0;
      });
      return;
    }
    D rule = this->rule;
    if constexpr (D::mixes)
      if (mixture) rule.mix(mixture[row]);
    auto self = [](int, T v) { return v; };
    T ma = team.max(n, self, a), mb = team.max(n, self, b);
    auto z = team.sums(
        n,
        [&](int, T x, T y, T& e) {
          return Pair<T>{exp_((x - ma) * k), e = exp_((y - mb) * k)};
        },
        a, b, out(g));
    bool broken = !(z.a > 0 && z.b > 0 && abs_(ma) < T(INFINITY) && abs_(mb) < T(INFINITY));
    T log_za = log_(z.a), log_zb = log_(z.b), low = floor, scale_a = 1 / z.a, scale_b = 1 / z.b;
    bool leave_out = ignore && needs_p;
    // The student's top token, of those that count.
    T best = leave_out
                 ? team.max(
                       n, [](int, T x, T y) { return x > T(-INFINITY) ? y : T(-INFINITY); }, a, b)
                 : mb;
    int top = n - team.max(
                      n,
                      [&](int i, T x, T y) {
                        return y == best && (!leave_out || x > T(-INFINITY)) ? n - i : 0;
                      },
                      a, b);
    if (top == n) top = 0;
    T at = a[top], bt = b[top], lp_top = max_((at - ma) * k - log_za, low);
    bool floored = low > T(-INFINITY);
    auto point = [&](T x, T y, T eq) INLINE {
      T lp = max_((x - ma) * k - log_za, low), lq = (y - mb) * k - log_zb;
      // Of logits, so that equal ones give exactly 0, whatever is fused into the two logarithms.
      T far = floored ? lp - lq : ((x - ma) - (y - mb)) * k - (log_za - log_zb);
      T d = min_(max_(far, T(-1e30)), T(1e30));
      T dt = floored ? lp - lp_top : max_((x - at) * k, T(-1e30));
      return Point<T>{exp_((x - ma) * k) * scale_a, eq * scale_b, lp, lq, d, dt,
                      max_((y - bt) * k, T(-1e30))};
    };
    Point<T> first = point(at, bt, exp_((bt - mb) * k));
    T ref = rule.slope(first), absent = leave_out ? -rule.constant(first) - ref : T(0);
    // The output holds q (slope - ref) until the mean is known.
    auto entry = [&](int i, T x, T y, T& e) INLINE {
      Point<T> v = point(x, y, e);
      T h = rule.q_slope(v, ref);
      // A slope is a function of p/q: where that is the top token's, h is 0, not a rounding error.
      e = i == top || (D::of_ratio && v.d == first.d) ? T(0) : h;
      return Pair<T>{rule.value(v), e};
    };
    auto entry_or_nothing = [&](int i, T x, T y, T& e) INLINE {
      if (x > T(-INFINITY)) return entry(i, x, y, e);
      T q = e * scale_b;
      e = q * absent;
      return Pair<T>{rule.ignored(q), e};
    };
    Pair<T> sum = leave_out ? team.sums(n, entry_or_nothing, a, b, inout(g))
                            : team.sums(n, entry, a, b, inout(g));
    if constexpr (D::mixes)
      if (mixture) {
        T slope = team.sum(
            n,
            [&](int, T x, T y)
                INLINE { return rule.mixture_slope(point(x, y, exp_((y - mb) * k))); },
            a, b);
        team.one([&] { dmixture[row] = slope; });
      }
    T mean = sum.b * scale_b;
    T total = team.sum(
        n, [&](int, T y, T& h) INLINE { return h = (h - exp_((y - mb) * k) * mean) * k; }, b,
        inout(g));
    broken |= !(abs_(total) < T(INFINITY));
    if (needs_p && !leave_out && !floored)
      broken |= team.max(
                    n, [](int, T x) { return x > T(-INFINITY) ? 0 : 1; }, a) > 0;
    if (needs_q)
      broken |= team.max(
                    n,
                    [&](int, T x, T y) {
                      return y > T(-INFINITY) || !(floored || x > T(-INFINITY)) ? 0 : 1;
                    },
                    a, b) > 0;
    team.one([&] { loss[row] = broken ? T(NAN) : sum.a; });
  }
};

}  // namespace retort
