// Entropic optimal transport in the log domain, one row of the cost a team: row r is point i of one
// side ("own"), its columns are the points j of the other. For costs C, weights w, potentials h,
//   softmin_i = -eps log sum_j w_j exp((h_j - C_ij) / eps)
//   P_ij      = a_i b_j exp((f_i + g_j - C_ij) / eps)
// The other side's update is the same row function on the transposed costs. Several problems of one
// size lie behind one another, with costs of their own or one matrix for all.
#pragma once
#include "kernels/launch.h"

namespace retort {

/// Costs of rows: `own` rows of n costs for each problem, or for all of them.
template <class T>
struct Costs {
  const T* cost;
  bool shared;  // one matrix for all problems
  int own, n;
  HD size_t place(int row) const { return size_t(shared ? row % own : row) * size_t(n); }
  HD const T* at(int row) const { return cost + place(row); }
  /// Where the other side's numbers of the row's problem begin.
  HD size_t other(int row) const { return size_t(row / own) * size_t(n); }
};

template <class T>
struct SoftMin {  // next = factor softmin + keep old
  Costs<T> costs;
  const T *log_weight, *potential, *old;
  T* next;
  T eps, factor, keep;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T *c = costs.at(row), *w = log_weight + costs.other(row),
            *h = potential + costs.other(row);
    T k = 1 / eps;
    T m = max_(team.max(
                   n, [&](int, T cost, T lw, T pot) { return lw + (pot - cost) * k; }, c, w, h),
               T(-1e30));
    T s = team.sum(
        n, [&](int, T cost, T lw, T pot) { return exp_(lw + (pot - cost) * k - m); }, c, w, h);
    team.one([&] {
      T soft = -eps * (m + log_(s));
      next[row] = factor * soft + (keep > 0 ? keep * old[row] : T(0));
    });
  }
};

// From the derivatives `adjoint` in the other side's soft minima (softmin_j, given), those in this
// side's potentials: softmin_j falls by the weight W_ji of point i in it,
//   next = keep old - factor sum_j adjoint_j W_ji,   W_ji = a_i exp((h_i - C_ij + softmin_j) / eps)
// d softmin_j / d C_ij = W_ji is added to dcost; d softmin_j / d log a_i = -eps W_ji to dlog.
template <class T>
struct SoftMinBackward {
  Costs<T> costs;
  const T *log_weight, *potential;  // own
  const T *soft, *adjoint;          // the other side's
  const T* old;
  T *next, *dlog;
  T* dcost;  // or null
  T eps, factor, keep;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T *c = costs.at(row), *s = soft + costs.other(row), *d = adjoint + costs.other(row);
    T k = 1 / eps, lw = log_weight[row], h = potential[row], factor = this->factor;
    T pulled = dcost ? team.sum(
                           n,
                           [&](int, T cost, T sm, T dy, T& dc) INLINE {
                             T t = factor * dy * exp_(lw + (h - cost + sm) * k);
                             dc += t;
                             return t;
                           },
                           c, s, d, inout(dcost + size_t(row) * size_t(n)))
                     : team.sum(
                           n,
                           [&](int, T cost, T sm, T dy)
                               INLINE { return factor * dy * exp_(lw + (h - cost + sm) * k); },
                           c, s, d);
    team.one([&] {
      next[row] = (keep > 0 ? keep * old[row] : T(0)) - pulled;
      dlog[row] -= eps * pulled;
    });
  }
};

// A row of the plan, in numbers that hold where its mass underflows:
//   log_ratio = log sum_j P_ij / a_i,   mean = sum_j P_ij K_ij / sum_j P_ij
// of K_ij = of_cost C_ij + u_i + w_j. A value whose derivative in P is K depends on the cost
// through P by the other result, which is computed alone where `dcost` is not null:
//   dcost_ij = P_ij (1 - K_ij / eps)
template <class T>
struct PlanRow {
  Costs<T> costs;
  const T *log_weight, *potential, *slope;                    // own: log a, f, u
  const T *other_log_weight, *other_potential, *other_slope;  // log b, g, w
  T of_cost, eps;
  T *log_ratio, *mean, *dcost;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = costs.other(row);
    const T *c = costs.at(row), *w = other_log_weight + o, *g = other_potential + o,
            *v = other_slope + o;
    T k = 1 / eps, f = potential[row], u = slope[row], lw = log_weight[row], one = of_cost;
    if (dcost) {
      team.each(
          n,
          [&](int, T cost, T lb, T pot, T vj, T& dc) INLINE {
            dc = exp_(lw + lb + (f + pot - cost) * k) * (1 - (one * cost + u + vj) * k);
          },
          c, w, g, v, out(dcost + size_t(row) * size_t(n)));
      return;
    }
    T m = max_(team.max(
                   n, [&](int, T cost, T lb, T pot) { return lb + (f + pot - cost) * k; }, c, w, g),
               T(-1e30));
    Pair<T> s = team.sums(
        n,
        [&](int, T cost, T lb, T pot, T vj) INLINE {
          T p = exp_(lb + (f + pot - cost) * k - m);
          return Pair<T>{p, p * (one * cost + u + vj)};
        },
        c, w, g, v);
    team.one([&] { log_ratio[row] = m + log_(s.a), mean[row] = s.b / s.a; });
  }
};

// The plan's rows, each scaled to its mass: after a step of the own side its mass is exact, which a
// product of exponentials would be to |f / eps| units in the last place.
template <class T>
struct ScaledPlanRow {
  Costs<T> costs;
  const T *log_weight, *potential;  // the other side's
  const T* mass;                    // own
  T* plan;
  T eps;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T *c = costs.at(row), *w = log_weight + costs.other(row),
            *h = potential + costs.other(row);
    T k = 1 / eps, *p = plan + size_t(row) * size_t(n);
    T m = max_(team.max(
                   n, [&](int, T cost, T lw, T pot) { return lw + (pot - cost) * k; }, c, w, h),
               T(-1e30));
    T s = team.sum(
        n, [&](int, T cost, T lw, T pot, T& e) { return e = exp_(lw + (pot - cost) * k - m); }, c,
        w, h, out(p));
    T scale = mass[row] / s;
    team.each(
        n, [&](int, T& e) { e *= scale; }, inout(p));
  }
};

}  // namespace retort
