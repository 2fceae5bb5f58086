// Solver, value and the three gradients. All are loops over two kernels, SoftMin and its backward,
// on the costs (rows: f) and on their transpose (rows: g).
#include "losses/sinkhorn.h"

#include <algorithm>
#include <utility>

#include "engine/map.h"
#include "kernels/sinkhorn.h"

namespace retort {
namespace {

// Sweeps of an implicit gradient; each reduces what is left as an iteration does the error.
constexpr int kMostSweeps = 20000, kMostIterations = 1000000;

// Costs and weights as one side sees them: its points are the rows.
struct Side {
  Tensor cost, own, other;  // (G, n, m) or (n, m); log-weights (G, n), (G, m)
  template <class T>
  Costs<T> costs() const {
    return {cost.data<T>(), cost.rank() == 2, own.cols(), other.cols()};
  }
};

struct Problem {
  Side rows, columns;
  SinkhornOptions o;
  double damping(double eps) const { return std::isinf(o.rho) ? 1 : o.rho / (o.rho + eps); }
};

Problem problem_of(const Sinkhorn& s) {
  return {{s.cost, s.log_a, s.log_b}, {contiguous(transpose(s.cost)), s.log_b, s.log_a}, s.options};
}

// Potentials after an iteration at `eps`.
struct Step {
  Tensor f, g;
  double eps;
};

// damping softmin of the other side's `potential`; with `old`, the mean of that and old.
Tensor soft_min(const Side& side, const Tensor& potential, double eps, double damping,
                const Tensor& old = {}) {
  Tensor next = side.own.like();
  double half = old.defined() ? 0.5 : 1;
  dispatch_real(next.dtype, [&]<class T>(T) {
    rows(next.device(), int(next.size()),
         SoftMin<T>{side.costs<T>(), side.other.data<T>(), potential.data<T>(),
                    old.defined() ? old.data<T>() : nullptr, next.data<T>(), T(eps),
                    T(half * damping), T(1 - half), side.other.cols()});
  });
  return next;
}

Step iterate(const Problem& p, const Step& before, double eps) {
  double damping = p.damping(eps);
  if (p.o.symmetric)
    return {soft_min(p.rows, before.g, eps, damping, before.f),
            soft_min(p.columns, before.f, eps, damping, before.g), eps};
  Tensor f = soft_min(p.rows, before.g, eps, damping);
  return {f, soft_min(p.columns, f, eps, damping), eps};
}

Tensor zeros_like(const Tensor& x) { return Tensor::zeros(x.shape, x.dtype, x.device()); }

// Whether the marginals were within tol before the last of these steps: the plan's mass of point i
// over a_i is exp((f_i - softmin_i) / eps).
bool converged(const Problem& p, const Step& before, const Step& after) {
  auto error = [&](const Tensor& log_w, const Tensor& was, const Tensor& is) {
    std::vector<double> lw = log_w.values(), x = was.values(), y = is.values();
    double worst = 0, sum = 0, step = p.o.eps * (p.o.symmetric ? 0.5 : 1);
    for (size_t i = 0; i < x.size(); i++) {
      sum = i % size_t(was.cols()) ? sum : 0;
      sum += std::exp(lw[i]) * std::abs(std::expm1((x[i] - y[i]) / step));
      worst = std::max(worst, std::isnan(sum) ? 0 : sum);
    }
    return worst;
  };
  return error(p.rows.own, before.f, after.f) <= p.o.tol &&
         (!p.o.symmetric || error(p.columns.own, before.g, after.g) <= p.o.tol);
}

// Steps from the start (first) to the end; all of them, or the last alone.
std::vector<Step> solve(const Problem& p, bool all, int& iterations) {
  std::vector<Step> steps{
      {zeros_like(p.rows.own),
       p.o.start.defined() ? contiguous(p.o.start.detach()) : zeros_like(p.columns.own), p.o.eps}};
  auto take = [&](Step s) {
    if (!all) steps.clear();
    steps.push_back(std::move(s));
  };
  for (double eps = p.o.eps_start; eps > p.o.eps; eps /= 2) take(iterate(p, steps.back(), eps));
  for (iterations = 0; iterations < p.o.iters; iterations++) {
    Step next = iterate(p, steps.back(), p.o.eps);
    if (p.o.tol > 0 && iterations > 0 && converged(p, steps.back(), next)) break;
    take(std::move(next));
  }
  return steps;
}

// log ratio and mean of K (PlanRow) of a side's rows, K = of_cost C + own slope + other slope.
struct Sums {
  Tensor log_ratio, mean;
};
Sums plan_sums(const Side& side, const Tensor& own, const Tensor& other, double eps, double of_cost,
               const Tensor& own_slope, const Tensor& other_slope, Tensor dcost = {}) {
  Sums s{own.like(), own.like()};
  dispatch_real(own.dtype, [&]<class T>(T) {
    rows(own.device(), int(own.size()),
         PlanRow<T>{side.costs<T>(), side.own.data<T>(), own.data<T>(), own_slope.data<T>(),
                    side.other.data<T>(), other.data<T>(), other_slope.data<T>(), T(of_cost),
                    T(eps), s.log_ratio.data<T>(), s.mean.data<T>(),
                    dcost.defined() ? dcost.data<T>() : nullptr, other.cols()});
  });
  return s;
}

// sum_i w_i (x log x - x + 1), x = exp(log_x): the KL of marginals w x from w. (G, n) -> (G)
Tensor kl(const Tensor& w, const Tensor& log_x) {
  Tensor x = exp(log_x);
  return sum(w * scale(x * log_x - x, 1, 1), 1);
}

Tensor value_of(const Problem& p, const Step& s, const Sums& r, const Sums& c) {
  Tensor a = exp(p.rows.own), b = exp(p.columns.own), row = a * exp(r.log_ratio),
         column = b * exp(c.log_ratio);
  if (p.o.value == TransportValue::sharp) return sum(row * r.mean, 1);
  // <P, C> + eps KL(P | a b^T), in which log P_ij / (a_i b_j) = (f_i + g_j - C_ij) / eps
  Tensor v = sum(s.f * row, 1) + sum(s.g * column, 1);
  v = v + scale(sum(a, 1) * sum(b, 1) - sum(row, 1), p.o.eps);
  if (std::isinf(p.o.rho)) return v;
  return v + scale(kl(a, r.log_ratio) + kl(b, c.log_ratio), p.o.rho);
}

// Derivatives of the value on their way back.
struct Adjoint {
  Tensor f, g;              // in the potentials, what is left of them
  Tensor log_a, log_b;      // in the log-weights
  Tensor cost, transposed;  // in the costs, seen from either side; undefined: none is wanted
};

// d softmin of the other side -> d own potential: keep old - factor sum_j adjoint_j W_j.
Tensor pull(const Side& side, const Tensor& potential, const Tensor& soft, const Tensor& adjoint,
            const Tensor& old, double keep, double factor, double eps, const Tensor& dlog,
            const Tensor& dcost) {
  Tensor next = old.like();
  dispatch_real(next.dtype, [&]<class T>(T) {
    rows(next.device(), int(next.size()),
         SoftMinBackward<T>{side.costs<T>(), side.own.data<T>(), potential.data<T>(),
                            soft.data<T>(), adjoint.data<T>(), old.data<T>(), next.data<T>(),
                            dlog.data<T>(), dcost.defined() ? dcost.data<T>() : nullptr, T(eps),
                            T(factor), T(keep), side.other.cols()});
  });
  return next;
}

// Back through one iteration.
void iterate_backward(const Problem& p, const Step& before, const Step& after, Adjoint& d) {
  double eps = after.eps, damping = p.damping(eps);
  if (p.o.symmetric) {  // after = (before + damping softmin) / 2
    auto soft = [&](const Tensor& was, const Tensor& is) {
      return scale(scale(is, 2) - was, 1 / damping);
    };
    Tensor f = pull(p.rows, before.f, soft(before.g, after.g), d.g, d.f, 0.5, damping / 2, eps,
                    d.log_a, d.cost);
    d.g = pull(p.columns, before.g, soft(before.f, after.f), d.f, d.g, 0.5, damping / 2, eps,
               d.log_b, d.transposed);
    d.f = f;
    return;
  }
  Tensor f = pull(p.rows, after.f, scale(after.g, 1 / damping), d.g, d.f, 1, damping, eps, d.log_a,
                  d.cost);
  d.g = pull(p.columns, before.g, scale(after.f, 1 / damping), f, d.g, 0, damping, eps, d.log_b,
             d.transposed);
  d.f = zeros_like(f);
}

double largest(const Tensor& x, const Tensor& y) {
  double m = 0;
  for (const Tensor& each : {x, y})
    for (double v : each.values()) m = std::max(m, std::abs(v));
  return m;
}

// (I - J^T)^-1 of what is left, J the derivative of an iteration at its fixed point, as the sum of
// its powers: the linear system of the implicit function theorem, by block Gauss-Seidel sweeps. Of
// one more iteration the weights add up to 1, so the sweeps fade even where `end` is not fixed yet.
// What is left is measured in `size`, that of what d is a sum of. What is small by then and no
// longer falls is rounding: f + c, g - c is the same plan, and so nearly is a shift of any group of
// points through which hardly any mass goes to others. Throws where more is left.
void solve_backward(const Problem& p, const Step& end, Adjoint& d, double size) {
  Step next = iterate(p, end, p.o.eps);
  bool f64 = d.f.dtype == Dtype::f64;
  double limit = (f64 ? 1e-14 : 1e-6) * size, small = (f64 ? 1e-9 : 1e-4) * size,
         left = largest(d.f, d.g);
  for (int sweep = 0; sweep < kMostSweeps && left > limit; sweep += 8) {
    for (int k = 0; k < 8; k++) iterate_backward(p, end, next, d);
    double before = std::exchange(left, largest(d.f, d.g));
    if (left <= small && left > 0.999 * before) return;
  }
  ENSURE(!(left > small), "sinkhorn: the implicit gradient has not converged in " +
                              std::to_string(kMostSweeps) +
                              " sweeps; use a larger eps, or gradient=unrolled");
}

Grads gradients(const Problem& p, const std::vector<Step>& steps, const Sums& r, const Sums& c,
                bool of_cost, const Tensor& dy) {
  const Step& end = steps.back();
  double eps = p.o.eps, rho = p.o.rho;
  bool envelope = p.o.gradient == TransportGradient::envelope,
       sharp = p.o.value == TransportValue::sharp;
  Tensor a = exp(p.rows.own), b = exp(p.columns.own), row = a * exp(r.log_ratio),
         column = b * exp(c.log_ratio);
  // K = dV/dP: C of <P, C>; f_i + g_j, and with rho rho log of both ratios, of the whole objective.
  Tensor u = zeros_like(end.f), w = zeros_like(end.g);
  if (!sharp && !envelope) {
    u = end.f, w = end.g;
    if (!std::isinf(rho)) u = u + scale(r.log_ratio, rho), w = w + scale(c.log_ratio, rho);
  }
  Adjoint d;
  if (of_cost) {
    d.cost = p.rows.cost.like(), d.transposed = zeros_like(p.columns.cost);
    plan_sums(p.rows, end.f, end.g, eps, sharp, u, w, d.cost);
  }
  Tensor mean_row = r.mean, mean_column = c.mean;         // of C; elsewhere of the K of this value
  if (!sharp && envelope) mean_row = u, mean_column = w;  // 0
  if (!sharp && !envelope) {
    mean_row = plan_sums(p.rows, end.f, end.g, eps, 0, u, w).mean;
    mean_column = plan_sums(p.columns, end.g, end.f, eps, 0, w, u).mean;
  }
  Tensor of_rows = row * mean_row, of_columns = column * mean_column;
  // What of the objective depends on the weights where P is held fixed. Of P itself, where it is
  // bound to them (balanced), the multipliers f and g tell.
  auto weights = [&](const Tensor& x, const Tensor& mass, const Tensor& other,
                     const Tensor& potential) {
    if (sharp) return zeros_like(x);
    Tensor at_p = scale(x * reshape(sum(other, 1), {-1, 1}) - mass, eps);
    if (!std::isinf(rho)) return at_p + scale(x - mass, rho);
    return envelope ? at_p + x * potential : at_p;
  };
  d.log_a = weights(a, row, b, end.f) + of_rows;
  d.log_b = weights(b, column, a, end.g) + of_columns;
  d.f = scale(of_rows, 1 / eps), d.g = scale(of_columns, 1 / eps);
  if (p.o.gradient == TransportGradient::unrolled)
    for (size_t t = steps.size() - 1; t > 0; t--) iterate_backward(p, steps[t - 1], steps[t], d);
  else if (!envelope)
    solve_backward(p, end, d, std::max(largest(d.f, d.g), largest(row * u, column * w) / eps));
  Grads out{{}, d.log_a * reshape(dy, {-1, 1}), d.log_b * reshape(dy, {-1, 1})};
  if (of_cost) {
    Tensor dcost = d.cost + transpose(d.transposed);
    Shape each = dcost.rank() == 3 ? Shape{-1, 1, 1} : Shape{-1, 1};
    out[0] = dcost * reshape(dy, each);
  }
  return out;
}

void check(const Tensor& cost, const Tensor& log_a, const Tensor& log_b, const SinkhornOptions& o) {
  bool fits = log_a.rank() == 2 && log_b.rank() == 2 && log_a.dim(0) == log_b.dim(0) &&
              cost.rank() >= 2 && cost.dim(-2) == log_a.dim(1) && cost.dim(-1) == log_b.dim(1) &&
              (cost.rank() == 2 || (cost.rank() == 3 && cost.dim(0) == log_a.dim(0))) &&
              cost.size() > 0 && log_a.size() > 0 && cost.dtype == log_a.dtype &&
              cost.dtype == log_b.dtype;
  ENSURE(fits,
         "sinkhorn: expected costs (G, n, m) or (n, m) and log-weights (G, n), (G, m) of one "
         "type, none empty; got " +
             text(cost.shape) + ", " + text(log_a.shape) + ", " + text(log_b.shape));
  auto in_range = [](bool good, const char* what, const char* range, double got) {
    ENSURE(good,
           std::string("sinkhorn: ") + what + " must be " + range + ", got " + std::to_string(got));
  };
  in_range(o.eps > 0 && std::isfinite(o.eps), "eps", "positive", o.eps);
  in_range(o.rho > 0, "rho", "positive", o.rho);
  in_range(o.tol >= 0, "tol", "0 or more", o.tol);
  in_range(o.eps_start >= 0 && std::isfinite(o.eps_start), "eps_start", "0 or more", o.eps_start);
  in_range(o.iters >= 1 && o.iters <= kMostIterations, "iters", "from 1 to 1000000", o.iters);
  ENSURE(!o.start.defined() || (o.start.shape == log_b.shape && o.start.dtype == log_b.dtype),
         "sinkhorn: expected start potentials of shape " + text(log_b.shape));
  ENSURE(cost.rank() == 3 || log_a.dim(0) == 1 || !recorded({cost}),
         "sinkhorn: one cost matrix of several problems gets no gradient; give each its own");
  check_gradient("sinkhorn", o.value, o.gradient);
}

}  // namespace

void check_gradient(const std::string& what, TransportValue value, TransportGradient gradient) {
  ENSURE(value == TransportValue::regularised || gradient != TransportGradient::envelope,
         what +
             ": gradient envelope is not that of value sharp: <P, C> also changes with the plan, "
             "which is no minimum of it; take value regularised, or gradient unrolled or "
             "implicit");
}

Sinkhorn sinkhorn(const Tensor& cost_in, const Tensor& log_a_in, const Tensor& log_b_in,
                  const SinkhornOptions& o) {
  check(cost_in, log_a_in, log_b_in, o);
  Tensor cost = contiguous(cost_in), log_a = contiguous(log_a_in), log_b = contiguous(log_b_in);
  bool of_cost = recorded({cost}), wanted = recorded({cost, log_a, log_b});
  Backward back;
  Sinkhorn s;
  {
    NoGrad quiet;
    s.cost = cost.detach(), s.log_a = log_a.detach(), s.log_b = log_b.detach();
    s.options = o;
    Problem p = problem_of(s);
    std::vector<Step> steps =
        solve(p, wanted && o.gradient == TransportGradient::unrolled, s.iterations);
    s.f = steps.back().f, s.g = steps.back().g;
    Tensor u = zeros_like(s.f), w = zeros_like(s.g);
    Sums r = plan_sums(p.rows, s.f, s.g, o.eps, 1, u, w),
         c = plan_sums(p.columns, s.g, s.f, o.eps, 1, w, u);
    s.row_ratio = r.log_ratio, s.column_ratio = c.log_ratio;
    s.value = value_of(p, steps.back(), r, c);
    if (wanted) back = [=](const Tensor& dy) { return gradients(p, steps, r, c, of_cost, dy); };
  }
  s.value = record("sinkhorn", s.value, {cost, log_a, log_b}, back);
  return s;
}

Tensor plan(const Sinkhorn& s) {
  NoGrad quiet;
  const SinkhornOptions& o = s.options;
  Side columns = problem_of(s).columns;
  // After a step of g the columns' masses are known: b, or b exp(-g / rho).
  Tensor log_mass = o.symmetric         ? s.log_b + s.column_ratio
                    : std::isinf(o.rho) ? s.log_b
                                        : s.log_b + scale(s.g, -1 / o.rho);
  Tensor mass = exp(log_mass), p({s.f.dim(0), s.g.cols(), s.f.cols()}, mass.dtype, mass.device());
  dispatch_real(mass.dtype, [&]<class T>(T) {
    rows(mass.device(), int(mass.size()),
         ScaledPlanRow<T>{columns.costs<T>(), columns.other.data<T>(), s.f.data<T>(),
                          mass.data<T>(), p.data<T>(), T(o.eps), s.f.cols()});
  });
  return contiguous(transpose(p));
}

SinkhornReport report(const Sinkhorn& s) {
  SinkhornReport out;
  out.iterations = s.iterations;
  int G = s.f.dim(0);
  std::vector<double> gap(size_t(G), 0);
  double rho = s.options.rho;
  auto add = [&](const Tensor& log_w, const Tensor& potential, const Tensor& log_ratio,
                 double& worst) {
    std::vector<double> lw = log_w.values(), h = potential.values(), lr = log_ratio.values();
    std::vector<double> error(size_t(G), 0);
    for (size_t i = 0; i < h.size(); i++) {
      size_t problem = i / size_t(potential.cols());
      double w = std::exp(lw[i]), off = std::expm1(lr[i]);
      error[problem] += w * std::abs(off);
      if (std::isinf(rho))
        gap[problem] += w * h[i] * off;  // <f, P 1 - a>
      else                               // <f, P 1> + rho KL(P 1 | a) - rho <a, 1 - exp(-f / rho)>
        gap[problem] += w * (h[i] * (1 + off) + rho * ((1 + off) * lr[i] - off) +
                             rho * std::expm1(-h[i] / rho));
    }
    worst = *std::max_element(error.begin(), error.end());
  };
  add(s.log_a, s.f, s.row_ratio, out.row_error);
  add(s.log_b, s.g, s.column_ratio, out.column_error);
  for (double g : gap)
    if (std::abs(g) > std::abs(out.gap)) out.gap = g;
  return out;
}

}  // namespace retort
