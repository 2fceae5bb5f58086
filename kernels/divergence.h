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
  const int* mask;  // rows with 0 are skipped; or null
  T *loss, *ds;     // a row that cannot be computed gets the loss NaN: the caller finds out why
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
      team.each(n, [&](int i) { g[i] = 0; });
      team.one([&] { loss[row] = 0; });
      return;
    }
    T ma = team.max(n, [&](int i) { return a[i]; }), mb = team.max(n, [&](int i) { return b[i]; });
    auto z = team.sums(n, [&](int i) {
      return Pair<T>{exp_((a[i] - ma) * k), g[i] = exp_((b[i] - mb) * k)};
    });
    bool broken = !(z.a > 0 && z.b > 0 && abs_(ma) < T(INFINITY) && abs_(mb) < T(INFINITY));
    T log_za = log_(z.a), log_zb = log_(z.b), low = floor, scale_a = 1 / z.a, scale_b = 1 / z.b;
    bool leave_out = ignore && needs_p;
    // The student's top token, of those that count.
    T best = leave_out
                 ? team.max(n, [&](int i) { return a[i] > T(-INFINITY) ? b[i] : T(-INFINITY); })
                 : mb;
    int top = n - team.max(n, [&](int i) {
      return b[i] == best && (!leave_out || a[i] > T(-INFINITY)) ? n - i : 0;
    });
    if (top == n) top = 0;
    T at = a[top], bt = b[top], lp_top = max_((at - ma) * k - log_za, low);
    bool floored = low > T(-INFINITY);
    auto point = [&](int i, T eq) INLINE {
      T lp = max_((a[i] - ma) * k - log_za, low), lq = (b[i] - mb) * k - log_zb;
      T d = min_(max_(lp - lq, T(-1e30)), T(1e30));
      T dt = floored ? lp - lp_top : max_((a[i] - at) * k, T(-1e30));
      return Point<T>{exp_((a[i] - ma) * k) * scale_a, eq * scale_b, lp, lq, d, dt,
                      max_((b[i] - bt) * k, T(-1e30))};
    };
    Point<T> first = point(top, exp_((bt - mb) * k));
    T ref = rule.slope(first), absent = leave_out ? -rule.constant(first) - ref : T(0);
    // The output holds q (slope - ref) until the mean is known.
    auto entry = [&](int i) INLINE {
      Point<T> v = point(i, g[i]);
      T h = rule.q_slope(v, ref);
      g[i] = i == top ? T(0) : h;
      return Pair<T>{rule.value(v), g[i]};
    };
    auto entry_or_nothing = [&](int i) INLINE {
      if (a[i] > T(-INFINITY)) return entry(i);
      T q = g[i] * scale_b;
      g[i] = q * absent;
      return Pair<T>{rule.ignored(q), g[i]};
    };
    Pair<T> sum = leave_out ? team.sums(n, entry_or_nothing) : team.sums(n, entry);
    T mean = sum.b * scale_b;
    T total =
        team.sum(n, [&](int i) INLINE { return g[i] = (g[i] - exp_((b[i] - mb) * k) * mean) * k; });
    broken |= !(abs_(total) < T(INFINITY));
    if (needs_p && !leave_out && !floored)
      broken |= team.max(n, [&](int i) { return a[i] > T(-INFINITY) ? 0 : 1; }) > 0;
    if (needs_q)
      broken |= team.max(n, [&](int i) {
        return b[i] > T(-INFINITY) || !(floored || a[i] > T(-INFINITY)) ? 0 : 1;
      }) > 0;
    team.one([&] { loss[row] = broken ? T(NAN) : sum.a; });
  }
};

template <class T>
struct ScaleRows {  // dx[row] = g[row] dy[row]
  const T *g, *dy;
  T* dx;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = g + size_t(row) * n;
    T *b = dx + size_t(row) * n, c = dy[row];
    team.each(n, [&](int i) { b[i] = a[i] * c; });
  }
};

}  // namespace retort
