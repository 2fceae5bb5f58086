// Entropic optimal transport between weights a (n) and b (m) under costs C (n, m):
//   min over P of <P, C> + eps KL(P | a b^T)                             with P 1 = a, P^T 1 = b
//   or, unbalanced,  ... + rho KL(P 1 | a) + rho KL(P^T 1 | b)           with no constraint
// P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps); potentials f and g by soft minima in the log domain
// (Cuturi 2013; Peyre & Cuturi 2019, section 4.4; unbalanced: Sejourne et al. 2019).
#pragma once
#include <cmath>
#include <memory>

#include "engine/ops.h"

namespace retort {

/// sharp: <P, C>, what SinKD minimises. regularised: the whole objective above, at the plan found.
enum class TransportValue { sharp, regularised };

/// How the value's derivative is taken.
/// unrolled: through every iteration, exact whether or not they converged. One row of potentials is
///   kept for each iteration; plans are computed again.
/// envelope: dC = P, the potentials held fixed. At convergence the objective is stationary in them,
///   so this is the gradient of `regularised`; of `sharp` it is not, and asking for it is an error.
/// implicit: through the fixed point, whatever led there: the linear system of its derivatives is
///   solved by sweeps like the solver's own, until what is left is rounding. Exact at convergence.
enum class TransportGradient { unrolled, envelope, implicit };

struct SinkhornOptions {
  double eps = 0.1;
  int iters = 20;        ///< at eps; each is f from g, then g from f
  double tol = 0;        ///< stops where both marginals are this near (L1); needs a look each time
  double eps_start = 0;  ///< eps scaling: first one iteration each at eps_start 2^-k > eps; 0: none
  double rho = INFINITY;  ///< of the KL of the marginals; infinite: balanced
  /// f and g move together, halfway to their soft minima: slower, but of equal sides the plan is
  /// symmetric at every iteration (Feydy et al. 2019). For debiased losses.
  bool symmetric = false;
  TransportValue value = TransportValue::sharp;
  TransportGradient gradient = TransportGradient::unrolled;
  Tensor start;  ///< g (G, m) to begin with, such as an earlier Sinkhorn::g; undefined: zeros
};

/// What came out for G problems.
struct Sinkhorn {
  Tensor value;  ///< (G); differentiable in costs and log-weights
  Tensor f, g;   ///< (G, n), (G, m)
  int iterations = 0;
  Tensor row_ratio, column_ratio;  ///< log of the plan's marginals over a (G, n) and over b (G, m)
  Tensor cost, log_a, log_b;       ///< what it was computed of
  SinkhornOptions options;
};

/// Solves G problems: log-weights (G, n) and (G, m); costs (G, n, m), or (n, m) for all of them,
/// which then get a gradient only where G is 1. f32 or f64. Throws on shapes, on eps, iters, tol or
/// rho out of range, and on a gradient that is not the value's.
Sinkhorn sinkhorn(const Tensor& cost, const Tensor& log_a, const Tensor& log_b,
                  const SinkhornOptions& options = {});

/// How near to the optimum, the worst of the problems. `gap` is the objective at the plan less its
/// dual at the potentials: 0 at the optimum; where marginals are off, the plan is not feasible, and
/// it may be negative. Waits for the device.
struct SinkhornReport {
  double row_error = 0, column_error = 0;  ///< L1
  double gap = 0;
  int iterations = 0;
};
SinkhornReport report(const Sinkhorn& s);

/// P (G, n, m). After plain (not symmetric) iterations its columns have the masses b to rounding.
Tensor plan(const Sinkhorn& s);

/// Throws, saying why, where `gradient` is not one of `value`; `what` names the loss.
void check_gradient(const std::string& what, TransportValue value, TransportGradient gradient);

}  // namespace retort
