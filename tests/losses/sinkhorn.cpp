// The solver: gradients, limits, marginals, tolerance, memory.
#include "losses/sinkhorn.h"

#include <algorithm>

#include "tests/devices.h"
#include "tests/losses/transport.h"

using namespace retort;

TEST_CASE("unrolled, envelope and implicit gradients meet where the marginals are right") {
  Tensor t = random_tensor({6, 9}, 2, 2), s = random_tensor({6, 9}, 1, 2);
  for (const char* value : {"value=sharp", "value=regularised"}) {
    auto grad_at = [&](const std::string& gradient, const char* iters) {
      return compute("sinkhorn:unit", {value, "gradient=" + gradient, iters}, t, s);
    };
    bool sharp = std::string(value) == "value=sharp";
    Computed exact = grad_at("unrolled", "iters=2000");
    CHECK(report(exact.all.solved[0]).row_error < 1e-10);
    CHECK(std::abs(report(exact.all.solved[0]).gap) < 1e-10);
    for (const char* gradient : {"implicit", "envelope"}) {
      if (sharp && std::string(gradient) == "envelope") continue;
      CHECK(distance(grad_at(gradient, "iters=2000").grad, exact.grad) < 1e-9 * norm(exact.grad));
      // Elsewhere they are not the derivative of what the iterations give, but not far from it.
      Parameters early{value, "iters=3", "eps=0.05"}, other = early;
      other.push_back(std::string("gradient=") + gradient);
      Computed unrolled = compute("sinkhorn:unit", early, t, s);
      double off =
          distance(compute("sinkhorn:unit", other, t, s).grad, unrolled.grad) / norm(unrolled.grad);
      WARN(value << ", 3 iterations, marginal error " << report(unrolled.all.solved[0]).row_error
                 << ": " << gradient << " is " << off << " of the norm from unrolled");
      CHECK((off > 1e-6 && off < 1));
    }
  }
}

TEST_CASE("the unrolled gradient is the derivative after every number of iterations") {
  Tensor t = random_tensor({4, 3}, 2, 2);
  GradOptions options;
  options.step = 1e-5;
  for (int iters = 1; iters <= 20; iters++)
    for (const Parameters& p :
         {Parameters{"value=sharp"}, Parameters{"value=regularised"}, Parameters{"scale=1"}}) {
      Parameters all = p;
      all.push_back("iters=" + std::to_string(iters));
      bool published = p[0] == "scale=1";
      Transport loss = parse_transport(published ? "sinkhorn:published" : "sinkhorn:unit", all);
      GradResult r = check_gradients(
          [&](const std::vector<Tensor>& x) {
            return transport(loss, {t, x[0], {}, {}, {}, true}).loss;
          },
          {random_tensor({4, 3}, 1, 2)}, options);
      INFO(p[0] << ", " << iters << " iterations: " << r.where);
      CHECK(r.error < kGradLimit);
    }
}

TEST_CASE("with eps towards 0 the loss is the best assignment's cost") {
  const int B = 5, V = 7;
  Tensor t = random_tensor({B, V}, 2, 3), s = random_tensor({B, V}, 1, 3);
  Numbers p = softmax(scale(t, 0.5)).values(), q = softmax(scale(s, 0.5)).values();
  auto cost = [&](int i, int j) {
    double c = 0;
    for (int v = 0; v < V; v++) c += std::abs(q[size_t(i * V + v)] - p[size_t(j * V + v)]);
    return c;
  };
  std::vector<int> order(B);
  std::iota(order.begin(), order.end(), 0);
  double best = INFINITY;
  do {
    double c = 0;
    for (int i = 0; i < B; i++) c += cost(i, order[size_t(i)]) / B;
    best = std::min(best, c);
  } while (std::next_permutation(order.begin(), order.end()));
  double before = INFINITY;
  for (const char* eps : {"eps=0.1", "eps=0.01", "eps=0.001"})
    for (const char* value : {"value=sharp", "value=regularised"}) {
      double loss = compute("sinkhorn:unit", {eps, value, "iters=5000"}, t, s).loss[0];
      if (std::string(value) == "value=sharp") {
        CHECK(loss - best < before);
        before = loss - best;
      }
      CHECK(loss > best - 1e-9);
      CHECK((std::string(eps) != "eps=0.001" || loss < best + 0.001 * std::log(B) + 1e-4));
    }
  CHECK(before < 1e-4);
}

TEST_CASE("debiased: equal sides have loss and gradient 0; others have a positive loss") {
  Tensor t = random_tensor({7, 9}, 2, 2), s = random_tensor({7, 9}, 1, 2);
  for (const char* gradient : {"gradient=unrolled", "gradient=envelope", "gradient=implicit"}) {
    Parameters converged{"tol=1e-12", gradient};
    Computed same = compute("sinkhorn_debiased", converged, t, t);
    CHECK(std::abs(same.loss[0]) < 1e-8);
    CHECK(norm(same.grad) < 1e-8);
    CHECK(compute("sinkhorn_debiased", converged, t, s).loss[0] > 0.1);
    // What is taken off: the plain loss of equal sides is not 0, and pulls the student inwards.
    Computed plain = compute("sinkhorn:unit", {"value=regularised", "tol=1e-12", gradient}, t, t);
    CHECK(plain.loss[0] > 0.01);
    CHECK(norm(plain.grad) > 1e-5);
  }
}

TEST_CASE("the published plan's columns are 1 to a few units in the last place", "[cuda]") {
  for (Device device : devices())
    for (auto [dtype, unit] : {std::pair{Dtype::f64, 0x1p-52}, {Dtype::f32, 0x1p-23}}) {
      Tensor t = random_tensor({16, 20}, 2, 3), s = random_tensor({16, 20}, 1, 3);
      Sinkhorn solved = compute("sinkhorn:published", {}, t, s, dtype, {}, device).all.solved[0];
      Numbers p = plan(solved).values();
      double worst_row = 0;
      for (size_t j = 0; j < 16; j++) {
        double column = 0, row = 0;
        for (size_t i = 0; i < 16; i++) column += p[i * 16 + j], row += p[j * 16 + i];
        CHECK(std::abs(column - 1) <= 4 * unit);
        worst_row = std::max(worst_row, std::abs(row - 1));
      }
      CHECK(worst_row > 1e-3);  // 20 iterations do not converge, so the order matters
      // It is the plan of the value and of the reported marginals.
      Numbers c = solved.cost.values(), ratio = solved.row_ratio.values();
      CHECK(std::inner_product(p.begin(), p.end(), c.begin(), 0.0) ==
            Approx(solved.value.item()).epsilon(100 * unit));
      for (size_t i = 0; i < 16; i++)
        CHECK(std::accumulate(&p[i * 16], &p[i * 16] + 16, 0.0) ==
              Approx(std::exp(ratio[i])).epsilon(300 * unit));
      CHECK(report(solved).row_error > 1e-3);
    }
}

TEST_CASE("solver: tolerance, eps scaling, warm start, gap") {
  Tensor cost = parameter(random_tensor({1, 12, 12}, 4, 0.2)),
         w = Tensor::full({1, 12}, -std::log(12.0), Dtype::f64);
  SinkhornOptions o;
  o.eps = 0.05;
  Sinkhorn plain = sinkhorn(cost, w, w, o);
  o.eps_start = 4;
  Sinkhorn scaled = sinkhorn(cost, w, w, o);
  CHECK(report(scaled).row_error < report(plain).row_error);
  o.eps_start = 0, o.start = plain.g;
  CHECK(report(sinkhorn(cost, w, w, o)).row_error < report(plain).row_error);
  o.iters = 40, o.start = {};
  Sinkhorn longer = sinkhorn(cost, w, w, o);
  o.iters = 20, o.start = plain.g;
  CHECK(sinkhorn(cost, w, w, o).value.item() == Approx(longer.value.item()).epsilon(1e-12));
  o.start = {}, o.iters = 100000, o.tol = 1e-9;
  Sinkhorn good = sinkhorn(cost, w, w, o);
  SinkhornReport r = report(good);
  CHECK((r.iterations > 20 && r.iterations < 100000));
  CHECK(r.row_error <= 1e-9);
  CHECK(r.column_error < 1e-12);
  CHECK(std::abs(r.gap) < 1e-8);
  o.rho = 0.7;  // an unbalanced plan is always feasible: the gap is never negative
  Sinkhorn loose = sinkhorn(cost, w, w, o);
  CHECK(std::abs(report(loose).gap) < 1e-8);
  o.tol = 0, o.iters = 2;
  CHECK(report(sinkhorn(cost, w, w, o)).gap > 1e-6);
  o.value = TransportValue::regularised;
  o.iters = 500;
  // Unbalanced weights towards balanced ones.
  o.rho = 1e6;
  double near = sinkhorn(cost, w, w, o).value.item();
  o.rho = INFINITY;
  CHECK(near == Approx(sinkhorn(cost, w, w, o).value.item()).epsilon(1e-4));
}

TEST_CASE("an implicit gradient that does not converge is an error, not a wrong gradient") {
  // Two groups of points that are far from each other: at a small eps hardly anything passes, and
  // what one side's potentials are against the other's moves by exp(-2 / eps) a sweep.
  Numbers costs{0, 0.1, 2, 2.1, 0.2, 0, 2.2, 2, 2, 2.1, 0, 0.3, 2.3, 2, 0.1, 0};
  Tensor w = Tensor::full({1, 4}, -std::log(4.0), Dtype::f64);
  auto gradient = [&](double eps, TransportGradient mode) {
    Tensor c = parameter(Tensor::from(costs, {4, 4}, Dtype::f64));
    SinkhornOptions o;
    o.eps = eps, o.iters = 200, o.gradient = mode;
    backward(sinkhorn(c, w, w, o).value);
    return grad(c).values();
  };
  CHECK(distance(gradient(1, TransportGradient::implicit),
                 gradient(1, TransportGradient::unrolled)) < 1e-10);
  CHECK_THROWS_WITH(gradient(0.2, TransportGradient::implicit),
                    Catch::Contains("the implicit gradient has not converged in 20000 sweeps") &&
                        Catch::Contains("use a larger eps, or gradient=unrolled"));
  CHECK(norm(gradient(0.2, TransportGradient::unrolled)) > 0);
  // Where the solver is far from its fixed point, rounding alone must not keep the sweeps going.
  for (uint64_t seed = 1; seed < 9; seed++)
    for (Dtype dtype : {Dtype::f64, Dtype::f32})
      for (const char* name : {"sinkhorn:unit", "sinkhorn_debiased", "sinkhorn_unbalanced"}) {
        Tensor t = random_tensor({5, 3}, seed), s = random_tensor({5, 3}, 50 + seed);
        check_finite(compute(name, {"gradient=implicit", "eps=0.05"}, t, s, dtype));
      }
}

TEST_CASE("a batch-wise loss of 256 x 32,000 needs 1.5 times its inputs and gradient at most") {
  const int B = 256, V = 32000;
  TransportInputs in;
  in.teacher = dropout(Tensor::full({B, V}, 1, Dtype::f32), 0.5, {1});
  in.student = parameter(dropout(Tensor::full({B, V}, 1, Dtype::f32), 0.5, {2}));
  grad(in.student);
  empty_cache(Device::cpu);
  reset_peak_memory(Device::cpu);
  backward(transport(parse_transport("sinkhorn:published"), in).loss);
  double peak = double(memory_stats(Device::cpu).peak), tensors = 3.0 * B * V * sizeof(float);
  INFO(peak / tensors);
  CHECK(peak < 1.5 * tensors);
  CHECK(sum(mul(grad(in.student), grad(in.student))).item() > 0);
}
