// Of the transport losses, their plans and solver.
#include <cmath>

#include "engine/gradcheck.h"
#include "losses/divergence.h"
#include "losses/invariants.h"
#include "losses/transport.h"

namespace retort {
namespace {

using Numbers = std::vector<double>;
using Parameters = std::vector<std::string>;

Tensor teacher_of(Dtype dtype) { return random_tensor({6, 9}, 2, 2).to(dtype); }
Tensor student_of(Dtype dtype) { return random_tensor({6, 9}, 1, 2).to(dtype); }

TransportLoss compute(const std::string& name, const Parameters& parameters, const Tensor& teacher,
                      const Tensor& student) {
  TransportInputs in;
  in.teacher = teacher, in.student = student;
  return transport(parse_transport(name, parameters), in);
}

// Until both marginals are as near as the type can tell; those of rows stop nowhere before.
Parameters converged(const std::string& name, Dtype dtype) {
  if (name == "sinkhorn_sample") return {"iters=2000"};
  return {"iters=20000", dtype == Dtype::f64 ? "tol=1e-12" : "tol=1e-6"};
}

// Of each column of the plan, over its weight.
double columns_off(const Sinkhorn& s) {
  Numbers p = plan(s).values(), b = exp(s.log_b).values();
  size_t m = size_t(s.log_b.cols()), n = size_t(s.log_a.cols()), G = b.size() / m;
  double worst = 0;
  for (size_t g = 0; g < G; g++)
    for (size_t j = 0; j < m; j++) {
      double column = 0;
      for (size_t i = 0; i < n; i++) column += p[(g * n + i) * m + j];
      worst = worse(std::abs(column / b[g * m + j] - 1), worst);
    }
  return worst;
}

// Sides the same: the loss and its gradient.
double at_teacher(const std::string& name, Dtype dtype) {
  Tensor s = parameter(teacher_of(dtype));
  Tensor loss = compute(name, converged(name, dtype), teacher_of(dtype), s).loss;
  backward(sum(loss));
  double worst = std::abs(loss.item());
  for (double g : grad(s).values()) worst = worse(std::abs(g), worst);
  return worst;
}

double relative(const Tensor& a, const Tensor& b) {
  Numbers x = a.values(), y = b.values();
  double worst = 0;
  for (size_t i = 0; i < x.size(); i++) worst = worse(std::abs(x[i] / y[i] - 1), worst);
  return worst;
}

}  // namespace

std::vector<Invariant> transport_invariants() {
  std::vector<Invariant> list;
  auto add = [&](const std::string& loss, const char* property, double f64, double f32,
                 auto error) {
    list.push_back({loss, property, error, f64, f32});
  };
  for (const TransportInfo& info : transport_losses()) {
    const std::string& name = info.name;
    CheckedLoss l{name, [name](const Tensor& t, const Tensor& s, const Tensor& mask, double T) {
                    Transport loss = parse_transport(name);
                    loss.temperature = T;
                    TransportInputs in;
                    in.teacher = t, in.student = s, in.mask = mask;
                    return transport(loss, in).loss;
                  }};
    l.per_row = info.per_row, l.classes = {2, 3, 33};  // one class is refused
    // An entropic plan spreads, so equal sides cost something, but where that is taken off.
    l.zero_at_teacher = name == "uld" || name == "sinkhorn_sample:published";
    l.not_negative = name != "sinkhorn_debiased";  // it is at convergence
    for (Invariant& i : invariants_of(l)) list.push_back(std::move(i));
  }
  for (const char* name : {"sinkhorn:published", "sinkhorn:unit", "sinkhorn_sample"})
    add(name, "the plan's columns are the weights", 1e-14, 1e-5, [name](Dtype dtype) {
      return columns_off(compute(name, {}, teacher_of(dtype), student_of(dtype)).solved[0]);
    });
  for (const char* name : {"sinkhorn:unit", "sinkhorn_debiased", "sinkhorn_sample"}) {
    add(name, "marginals, converged", 1e-11, 1e-5, [name](Dtype dtype) {
      SinkhornReport r = report(
          compute(name, converged(name, dtype), teacher_of(dtype), student_of(dtype)).solved[0]);
      return worse(r.row_error, r.column_error);
    });
    add(name, "duality gap, converged", 1e-10, 1e-5, [name](Dtype dtype) {
      return std::abs(
          report(
              compute(name, converged(name, dtype), teacher_of(dtype), student_of(dtype)).solved[0])
              .gap);
    });
  }
  add("sinkhorn_debiased", "0, and its gradient, at p = q, converged", 1e-10, 1e-5,
      [](Dtype dtype) { return at_teacher("sinkhorn_debiased", dtype); });
  add("sinkhorn_debiased", "not negative, converged", 0, 0, [](Dtype dtype) {
    double loss = compute("sinkhorn_debiased", converged("sinkhorn_debiased", dtype),
                          teacher_of(dtype), student_of(dtype))
                      .loss.item();
    return loss >= 0 ? 0 : -loss;
  });
  add("sinkhorn_unbalanced", "rho towards infinity is sinkhorn:unit", 1e-4, 1e-3, [](Dtype dtype) {
    return relative(
        compute("sinkhorn_unbalanced", {"rho=1e6", "iters=500"}, teacher_of(dtype),
                student_of(dtype))
            .loss,
        compute("sinkhorn:unit", {"iters=500"}, teacher_of(dtype), student_of(dtype)).loss);
  });
  add("sinkhorn_sample:published", "is 0.002 tvd", 1e-12, 1e-5, [](Dtype dtype) {
    return relative(
        compute("sinkhorn_sample:published", {}, teacher_of(dtype), student_of(dtype)).loss,
        scale(divergence({"tvd"}, teacher_of(dtype), student_of(dtype)), 0.002));
  });
  add("sinkhorn_sample", "eps towards 0 is tvd", 1e-3, 1e-3, [](Dtype dtype) {
    return relative(compute("sinkhorn_sample", {"eps=0.002", "iters=3000"}, teacher_of(dtype),
                            student_of(dtype))
                        .loss,
                    divergence({"tvd"}, teacher_of(dtype), student_of(dtype)));
  });
  add("uld", "at most 2 tvd, symmetric", 1e-14, 1e-6, [](Dtype dtype) {
    Tensor t = teacher_of(dtype), s = student_of(dtype);
    Transport uld = parse_transport("uld");
    uld.temperature = 1;
    TransportInputs in, swapped;
    in.teacher = swapped.student = t, in.student = swapped.teacher = s;
    Numbers loss = transport(uld, in).loss.values(), other = transport(uld, swapped).loss.values(),
            tvd = divergence({"tvd"}, t, s).values();
    double worst = 0;
    for (size_t i = 0; i < loss.size(); i++)
      worst = worse(worse(loss[i] - 2 * tvd[i], std::abs(loss[i] - other[i])), worst);
    return worst;
  });
  return list;
}

}  // namespace retort
