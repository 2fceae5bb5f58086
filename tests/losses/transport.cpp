// Transport losses: reference values, what holds of each, memory, refusals.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/gradcheck.h"
#include "engine/safetensors.h"
#include "losses/divergence.h"
#include "losses/transport.h"
#include "tests/devices.h"

using namespace retort;

namespace {

using Numbers = std::vector<double>;
using Parameters = std::vector<std::string>;

struct Computed {
  Numbers loss, grad;
  TransportLoss all;
};
Computed compute(const std::string& name, const Parameters& parameters, const Tensor& teacher,
                 const Tensor& student, Dtype dtype = Dtype::f64, const Tensor& mask = {},
                 Device device = Device::cpu) {
  Tensor s = parameter(student.to(dtype).to(device));
  TransportInputs in;
  in.teacher = teacher.to(dtype).to(device), in.student = s;
  if (mask.defined()) in.mask = mask.to(device);
  TransportLoss loss = transport(parse_transport(name, parameters), in);
  backward(sum(loss.loss));
  return {loss.loss.values(), grad(s).values(), loss};
}
double norm(const Numbers& x) {
  return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.));
}
double distance(Numbers x, const Numbers& y) {
  REQUIRE(x.size() == y.size());
  for (size_t i = 0; i < x.size(); i++) x[i] -= y[i];
  return norm(x);
}
void check_finite(const Computed& c) {
  for (double x : c.loss) CHECK(std::isfinite(x));
  for (double x : c.grad) CHECK(std::isfinite(x));
}

// The loss and parameters that a name of the reference file stands for: "sharp:0.02:400".
std::pair<std::string, Parameters> loss_of(const std::string& name) {
  if (name == "published") return {"sinkhorn:published", {"scale=1"}};
  if (name == "debiased") return {"sinkhorn_debiased", {"iters=7"}};
  if (name == "uld") return {"uld", {}};
  if (size_t dot = name.find('.'); dot != std::string::npos && name[0] != 'r' && name[1] != 'h') {
    std::string value = "value=" + name.substr(dot + 1);
    if (name[0] == 'u') return {"sinkhorn_unbalanced", {"rho=0.5", "iters=7", value}};
    return {"sinkhorn_sample", {"cost=abs", "iters=7", value}};
  }
  size_t a = name.find(':'), b = name.find(':', a + 1);
  return {"sinkhorn:unit",
          {"value=" + name.substr(0, a), "eps=" + name.substr(a + 1, b - a - 1),
           "iters=" + name.substr(b + 1)}};
}

}  // namespace

TEST_CASE("transport losses reproduce the reference values in both types", "[cuda]") {
  TensorFile file = load_safetensors("tests/references/sinkhorn.safetensors");
  int compared = 0;
  for (Device device : devices())
    for (const auto& [key, loss] : file.tensors) {
      size_t at = key.find(".loss.");
      if (at == std::string::npos) continue;
      std::string c = key.substr(0, at), what = key.substr(at + 6);
      // On the shim, which is slow: what differs by more than the number of iterations.
      bool long_one = what.ends_with(":400") || (c == "case2" && what != "published");
      if (device == Device::cuda && long_one) continue;
      auto [name, parameters] = loss_of(what);
      Numbers slope = file.tensors.at(c + ".grad." + what).values(), value = loss.values();
      for (Dtype dtype : {Dtype::f64, Dtype::f32}) {
        Computed r = compute(name, parameters, file.tensors.at(c + ".teacher"),
                             file.tensors.at(c + ".student"), dtype, {}, device);
        double limit = dtype == Dtype::f64 ? 1e-9 : 1e-4;
        INFO(key << " " << name_of(dtype));
        CHECK(distance(r.loss, value) < limit * std::max(1.0, norm(value)));
        CHECK(distance(r.grad, slope) <= limit * norm(slope));
        compared++;
      }
    }
  CHECK(compared == 52 + 34 * int(devices().size() - 1));
}

TEST_CASE("transport of longer rows, on every device", "[cuda][small]") {
  struct Case {
    const char* name;
    int B, V;
  };
  // More classes than a span of pairwise costs, than a block; odd numbers of them.
  for (Case c : {Case{"sinkhorn:published", 3, 2051},
                 {"sinkhorn_debiased", 2, 33},
                 {"uld", 2, 1003},
                 {"sinkhorn_sample", 1, 37}}) {
    Tensor t = random_tensor({c.B, c.V}, 2, 2), s = random_tensor({c.B, c.V}, 1, 2);
    Computed exact = compute(c.name, {}, t, s);
    for (Device device : devices()) {
      Computed r = compute(c.name, {}, t, s, Dtype::f32, {}, device);
      INFO(c.name);
      CHECK(distance(r.loss, exact.loss) < 1e-5 * norm(exact.loss));
      CHECK(distance(r.grad, exact.grad) < 1e-4 * norm(exact.grad));
    }
  }
}

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

TEST_CASE("the order of the teacher's rows is nothing to a batch-wise loss") {
  Tensor t = random_tensor({8, 11}, 2, 2), s = random_tensor({8, 11}, 1, 2);
  Tensor turned = concat({slice(t, 0, 3, 5), slice(t, 0, 0, 3)}, 0);
  for (const char* name :
       {"sinkhorn:published", "sinkhorn:unit", "sinkhorn_debiased", "sinkhorn_unbalanced"}) {
    Computed a = compute(name, {}, t, s), b = compute(name, {}, turned, s);
    INFO(name);
    CHECK(std::abs(a.loss[0] - b.loss[0]) < 1e-12);
    CHECK(distance(a.grad, b.grad) < 1e-12);
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
      CHECK(report(solved).row_error > 1e-3);
    }
}

TEST_CASE("one row, equal rows and ties") {
  for (Dtype dtype : {Dtype::f64, Dtype::f32})
    for (const char* eps : {"eps=0.1", "eps=0.001"}) {
      // B = 1: the plan is 1, the loss the distance.
      Tensor t = random_tensor({1, 5}, 2), s = random_tensor({1, 5}, 1);
      Numbers p = softmax(scale(t, 0.5)).values(), q = softmax(scale(s, 0.5)).values();
      double l1 = 0;
      for (size_t v = 0; v < 5; v++) l1 += std::abs(q[v] - p[v]);
      double near = dtype == Dtype::f64 ? 1e-12 : 1e-6;
      CHECK(compute("sinkhorn:published", {eps}, t, s, dtype).loss[0] ==
            Approx(0.001 * l1).epsilon(near));
      for (const char* value : {"value=sharp", "value=regularised"})
        CHECK(compute("sinkhorn:unit", {eps, value}, t, s, dtype).loss[0] ==
              Approx(l1).epsilon(near));
      // All rows equal on both sides: no cost, no slope at ties.
      Tensor same = expand(t, {4, 5});
      Computed c = compute("sinkhorn:unit", {eps}, contiguous(same), contiguous(same), dtype);
      CHECK(std::abs(c.loss[0]) < near);
      CHECK(norm(c.grad) == 0);
      // Students all equal, teachers not: every plan costs the same.
      check_finite(compute("sinkhorn:unit", {eps}, random_tensor({4, 5}, 3), contiguous(same)));
    }
}

TEST_CASE("small eps and bfloat16 stay finite, and near float64") {
  Tensor t = random_tensor({9, 33}, 2, 3).to(Dtype::bf16),
         s = random_tensor({9, 33}, 1, 3).to(Dtype::bf16);
  for (const TransportInfo& info : transport_losses())
    for (const char* eps : {"eps=0.1", "eps=0.001"}) {
      Parameters parameters;
      if (info.parameters.find("eps") != std::string::npos) parameters.push_back(eps);
      Computed exact = compute(info.name, parameters, t, s),
               small = compute(info.name, parameters, t, s, Dtype::bf16),
               single = compute(info.name, parameters, t, s, Dtype::f32);
      INFO(info.name << " " << eps);
      check_finite(small), check_finite(single), check_finite(exact);
      // Logits of bfloat16 count in float32: the loss is the same; gradients are rounded at the
      // end.
      CHECK(small.loss == single.loss);
      CHECK(distance(small.grad, single.grad) <= 1e-2 * norm(single.grad));
      CHECK(distance(single.loss, exact.loss) < 1e-4 * norm(exact.loss) + 1e-6);
      CHECK(distance(single.grad, exact.grad) <= 2e-2 * norm(exact.grad));
    }
}

TEST_CASE("masked rows leave the batch, whatever they hold") {
  Tensor t = random_tensor({5, 6}, 2), s = random_tensor({5, 6}, 1);
  Tensor bad_t = scale(t, 1), bad_s = scale(s, 1);
  bad_t.data<double>()[6] = NAN, bad_s.data<double>()[7] = INFINITY;
  Tensor mask = Tensor::from(std::vector<int>{1, 0, 1, 3, 1}, {5});
  auto without = [](const Tensor& x) { return concat({slice(x, 0, 0, 1), slice(x, 0, 2, 3)}, 0); };
  for (const TransportInfo& info : transport_losses()) {
    Computed whole = compute(info.name, {}, bad_t, bad_s, Dtype::f64, mask),
             alone = compute(info.name, {}, without(t), without(s));
    Numbers loss = whole.loss, grad = whole.grad;
    INFO(info.name);
    if (info.per_row) {
      CHECK(loss[1] == 0);
      loss.erase(loss.begin() + 1);
    }
    for (size_t v = 6; v < 12; v++) CHECK(grad[v] == 0);
    grad.erase(grad.begin() + 6, grad.begin() + 12);
    CHECK(loss == alone.loss);
    CHECK(grad == alone.grad);
  }
}

TEST_CASE("losses of rows: what they are made of") {
  Tensor t = random_tensor({3, 6}, 2, 2), s = random_tensor({3, 6}, 1, 2);
  Computed tvd{divergence({"tvd"}, t, s).values(), {}, {}};
  Computed published = compute("sinkhorn_sample:published", {}, t, s);
  Computed unequal = compute("sinkhorn_sample", {"eps=0.002", "iters=3000"}, t, s);
  Computed line = compute("sinkhorn_sample", {"cost=abs", "eps=0.002", "iters=3000"}, t, s);
  Numbers p = softmax(t).values(), q = softmax(s).values();
  for (size_t row = 0; row < 3; row++) {
    CHECK(published.loss[row] == Approx(0.002 * tvd.loss[row]));      // 0.001 |q - p|_1
    CHECK(unequal.loss[row] == Approx(tvd.loss[row]).epsilon(1e-3));  // moving what differs
    double between = 0, ahead = 0;  // on a line: the area between the distribution functions
    for (size_t v = 0; v < 6; v++) {
      ahead += q[row * 6 + v] - p[row * 6 + v];
      between += std::abs(ahead);
    }
    CHECK(line.loss[row] == Approx(between).epsilon(1e-3));
  }
  // The likeliest classes of both: with all of them nothing is left out, with few the rest is one.
  Parameters all{"cost=abs"}, most{"cost=abs", "top=6"}, few{"eps=0.002", "iters=3000", "top=2"};
  CHECK(distance(compute("sinkhorn_sample", most, t, s).loss,
                 compute("sinkhorn_sample", all, t, s).loss) < 1e-14);
  CHECK(distance(compute("sinkhorn_sample", most, t, s).grad,
                 compute("sinkhorn_sample", all, t, s).grad) < 1e-14);
  Numbers merged = compute("sinkhorn_sample", few, t, s).loss;
  for (size_t row = 0; row < 3; row++) {
    std::vector<size_t> order{0, 1, 2, 3, 4, 5}, kept;
    for (const Numbers* x : {&q, &p}) {
      std::sort(order.begin(), order.end(),
                [&](size_t a, size_t b) { return (*x)[row * 6 + a] > (*x)[row * 6 + b]; });
      kept.insert(kept.end(), order.begin(), order.begin() + 2);
    }
    double distance = 0, rest = 0;
    for (size_t v = 0; v < 6; v++) {
      double d = q[row * 6 + v] - p[row * 6 + v];
      bool inside = std::find(kept.begin(), kept.end(), v) != kept.end();
      (inside ? distance : rest) += inside ? std::abs(d) / 2 : d / 2;
    }
    CHECK(merged[row] == Approx(distance + std::abs(rest)).epsilon(2e-3));
  }
  // uld sees no names: any order of the classes, zeros behind, other vocabularies.
  Tensor turned = concat(
      {slice(t, 1, 4, 2), Tensor::full({3, 2}, -INFINITY, Dtype::f64), slice(t, 1, 0, 4)}, 1);
  CHECK(norm(compute("uld", {}, turned, t).loss) < 1e-14);
  CHECK(distance(compute("uld", {}, turned, s).loss, compute("uld", {}, t, s).loss) < 1e-14);
  CHECK(distance(compute("uld", {}, turned, s).grad, compute("uld", {}, t, s).grad) < 1e-14);
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

TEST_CASE("transport: what is refused") {
  Tensor t = random_tensor({3, 4}, 2), s = random_tensor({3, 4}, 1);
  auto fails = [&](const std::string& name, const Parameters& p, const std::string& says) {
    INFO(name);
    CHECK_THROWS_WITH(compute(name, p, t, s), Catch::Contains(says) && !Catch::Contains("\n"));
  };
  fails("sinkhorn:unit", {"eps=0"}, "sinkhorn:unit: eps must be positive, got 0");
  fails("sinkhorn:published", {"eps=-1"}, "eps must be positive, got -1");
  fails("sinkhorn:unit", {"eps=nan"}, "eps must be positive");
  fails("sinkhorn:unit", {"iters=0"}, "iters must be at least 1, got 0");
  fails("sinkhorn:unit", {"iters=1.5"}, "\"1.5\" is not a whole number");
  fails("sinkhorn_unbalanced", {"rho=0"}, "rho must be positive, got 0");
  fails("sinkhorn:unit", {"rho=1"},
        "no parameter \"rho=1\"; it takes, with their defaults, eps=0.1");
  fails("sinkhorn:unit", {"eps"}, "no parameter \"eps\"");
  fails("uld", {"eps=1"}, "it takes none");
  fails("sinkhorn_sample", {"cost=l3"}, "cost: no \"l3\"; there are zero_one, abs, matrix");
  fails("sinkhorn_sample", {"top=-1"}, "top must not be negative");
  fails("sinkhorn_sample", {"cost=matrix", "top=2"}, "cost matrix: expected");
  fails("sinkhorn_sample", {"cost=matrix"}, "cost matrix: expected a tensor (4, 4)");
  fails("sinkhorn:unit", {"gradient=envelope"}, "is not that of value sharp");
  fails("sinkhorn:published", {"gradient=envelope"}, "is not that of value sharp");
  fails("sinkhorn_debiased", {"value=sharp"}, "value must be regularised");
  fails("sinkhorn:unti", {}, "did you mean \"sinkhorn:unit\"");
  fails("sinkhorn", {}, "There are: sinkhorn:published");
  for (const TransportInfo& info : transport_losses()) {
    const std::string& name = info.name;
    INFO(name);
    Tensor one = random_tensor({3, 1}, 1), none = Tensor({0, 4}, Dtype::f64);
    CHECK_THROWS_WITH(compute(name, {}, one, one), Catch::Contains("logits of one class"));
    CHECK_THROWS_WITH(compute(name, {}, none, none), Catch::Contains("a batch of 0 rows"));
    Tensor off = Tensor::from(std::vector<int>{0, 0, 0}, {3});
    if (!info.per_row)
      CHECK_THROWS_WITH(compute(name, {}, t, s, Dtype::f64, off),
                        Catch::Contains("all are masked"));
    for (double bad : {double(NAN), double(INFINITY)})
      for (bool teacher : {true, false}) {
        Tensor x = scale(t, 1), y = scale(s, 1);
        (teacher ? x : y).data<double>()[6] = bad;
        CHECK_THROWS_WITH(compute(name, {}, x, y),
                          Catch::Contains(std::string("row 1, token 2: the ") +
                                          (teacher ? "teacher" : "student") + "'s logit is"));
      }
    Tensor x = scale(t, 1);
    for (int v = 0; v < 4; v++) x.data<double>()[v] = -INFINITY;
    CHECK_THROWS_WITH(compute(name, {}, x, s), Catch::Contains("row 0: all logits of the teacher"));
    x.data<double>()[2] = 1;  // -inf excludes a class
    check_finite(compute(name, {}, x, s));
  }
}
