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
  T *loss, *ds;      // ds may lie where the teacher's logits do
  bool poison;       // a row that cannot be computed gets the loss NaN, its ds too if this is set
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
    auto ea = team.template keep<0>(
        n, [=](T x) { return exp_((x - ma) * k); }, a);
    auto eb = team.template keep<1>(
        n, [=](T y) { return exp_((y - mb) * k); }, b);
    T low = floor;
    bool leave_out = ignore && needs_p, floored = low > T(-INFINITY);
    auto z = team.sums(
        n,
        [](int, T p, T q) {
          return Pair<T>{p, q};
        },
        ea, eb);
    bool broken = !(z.a > 0 && z.b > 0 && abs_(ma) < T(INFINITY) && abs_(mb) < T(INFINITY));
    if (needs_p && !leave_out && !floored)
      broken |= team.max(
                    n, [](int, T x) { return x > T(-INFINITY) ? 0 : 1; }, a) > 0;
    if (needs_q && team.max(
                       n, [](int, T y) { return y > T(-INFINITY) ? 0 : 1; }, b) > 0)
      broken |= team.max(
                    n,
                    [&](int, T x, T y) {
                      return y > T(-INFINITY) || !(floored || x > T(-INFINITY)) ? 0 : 1;
                    },
                    a, b) > 0;
    if (broken) {
      if (poison)
        team.each(
            n, [](int, T& v) { v = T(NAN); }, out(g));
      team.one([&] {
        loss[row] = T(NAN);
        if (mixture) dmixture[row] = T(NAN);
      });
      return;
    }
    T log_za = log_(z.a), log_zb = log_(z.b), scale_a = 1 / z.a, scale_b = 1 / z.b;
    // The student's top token, of those that count.
    T best = leave_out
                 ? team.max(
                       n, [](int, T x, T y) { return x > T(-INFINITY) ? y : T(-INFINITY); }, a, b)
                 : mb;
    int top =
        n -
        (leave_out
             ? team.max(
                   n, [&](int i, T x, T y) { return y == best && x > T(-INFINITY) ? n - i : 0; }, a,
                   b)
             : team.max(
                   n, [&](int i, T y) { return y == best ? n - i : 0; }, b));
    if (top == n) top = 0;
    T at = a[top], bt = b[top], lp_top = max_((at - ma) * k - log_za, low);
    auto point = [&](T x, T y, T ep, T eq) INLINE {
      T lp = max_((x - ma) * k - log_za, low), lq = (y - mb) * k - log_zb;
      // Of logits, so that equal ones give exactly 0, whatever is fused into the two logarithms.
      T far = floored ? lp - lq : ((x - ma) - (y - mb)) * k - (log_za - log_zb);
      T d = min_(max_(far, T(-1e30)), T(1e30));
      T dt = floored ? lp - lp_top : max_((x - at) * k, T(-1e30));
      return Point<T>{ep * scale_a, eq * scale_b, lp, lq, d, dt, max_((y - bt) * k, T(-1e30))};
    };
    Point<T> first = point(at, bt, exp_((at - ma) * k), exp_((bt - mb) * k));
    T ref = rule.slope(first), absent = leave_out ? -rule.constant(first) - ref : T(0);
    auto entry = [&](int i, T x, T y, T ep, T eq, T& h) INLINE {
      Point<T> v = point(x, y, ep, eq);
      T slope = rule.q_slope(v, ref);
      // A slope is a function of p/q: where that is the top token's, h is 0, not a rounding error.
      h = i == top || (D::of_ratio && v.d == first.d) ? T(0) : slope;
      return Pair<T>{rule.value(v), h};
    };
    auto entry_or_nothing = [&](int i, T x, T y, T ep, T eq, T& h) INLINE {
      if (x > T(-INFINITY)) return entry(i, x, y, ep, eq, h);
      T q = eq * scale_b;
      h = q * absent;
      return Pair<T>{rule.ignored(q), h};
    };
    if constexpr (D::mixes)
      if (mixture) {
        T slope = team.sum(
            n,
            [&](int, T x, T y, T ep, T eq)
                INLINE { return rule.mixture_slope(point(x, y, ep, eq)); },
            a, b, ea, eb);
        team.one([&] { dmixture[row] = slope; });
      }
    // The output holds h until the mean is known.
    Pair<T> sum = leave_out ? team.sums(n, entry_or_nothing, a, b, ea, eb, out(g))
                            : team.sums(n, entry, a, b, ea, eb, out(g));
    T mean = sum.b * scale_b;
    T total = team.sum(
        n, [&](int, T eq, T& h) INLINE { return h = (h - eq * mean) * k; }, eb, inout(g));
    bool finite = abs_(sum.a) < T(INFINITY) && abs_(total) < T(INFINITY);
    team.one([&] { loss[row] = finite ? sum.a : T(INFINITY); });
  }
};

}  // namespace retort
