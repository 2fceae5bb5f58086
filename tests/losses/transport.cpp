// Transport losses: reference values, what holds of each, refusals.
#include "tests/losses/transport.h"

#include <algorithm>

#include "engine/safetensors.h"
#include "losses/divergence.h"
#include "tests/devices.h"

using namespace retort;

namespace {

// The loss and parameters that a name of the reference file stands for: "sharp:0.02:400".
std::pair<std::string, Parameters> loss_of(const std::string& name) {
  if (name == "published") return {"sinkhorn:published", {"scale=1"}};
  if (name == "debiased") return {"sinkhorn_debiased", {"iters=7"}};
  if (name == "uld") return {"uld", {}};
  std::string value = "value=" + name.substr(name.find('.') + 1);
  if (name.starts_with("unbalanced."))
    return {"sinkhorn_unbalanced", {"rho=0.5", "iters=7", value}};
  if (name.starts_with("sample.")) return {"sinkhorn_sample", {"cost=abs", "iters=7", value}};
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

// At T = 0.05 almost all of a row is on one token. What float32 has lost by then is in the
// distances themselves, not in the differences of slopes that the gradient is made of.
TEST_CASE("float32 gradients of saturated rows are right where distances decide") {
  for (const char* name : {"sinkhorn:published", "sinkhorn:unit", "sinkhorn_debiased",
                           "sinkhorn_unbalanced", "uld", "sinkhorn_sample:published"}) {
    double worst = 0;
    int checked = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
      const int B = 8, V = 53;
      Tensor t = random_tensor({B, V}, 21 + seed).to(Dtype::f32),
             s = random_tensor({B, V}, 122 + seed).to(Dtype::f32);
      auto at_low = [&](Dtype dtype) {
        Transport low = parse_transport(name);
        low.temperature = 0.05;
        TransportInputs in;
        in.teacher = t.to(dtype), in.student = parameter(s.to(dtype));
        backward(sum(transport(low, in).loss));
        return grad(in.student).values();
      };
      Numbers single = at_low(Dtype::f32), exact = at_low(Dtype::f64);
      for (int row = 0; row < B; row++) {
        auto of_row = [&](const Numbers& x) {
          return Numbers(x.begin() + row * V, x.begin() + (row + 1) * V);
        };
        if (norm(of_row(exact)) < 1e-8) continue;
        checked++;
        worst = std::max(worst, distance(of_row(single), of_row(exact)) / norm(of_row(exact)));
      }
    }
    INFO(name);
    CHECK(checked > 30);
    CHECK(worst < 1e-2);
  }
}

TEST_CASE("where probabilities are tied, the slope of their distance is 0") {
  double ln2 = std::log(2.0);  // q = 1/4 each; p = 1/2, 0, 1/4, 1/4
  Tensor s = Tensor::from({0, 0, 0, 0}, {1, 4}, Dtype::f64),
         t = Tensor::from({ln2, -INFINITY, 0, 0}, {1, 4}, Dtype::f64);
  Transport b = parse_transport("sinkhorn:published", {"scale=1"});
  b.temperature = 1;
  for (const Transport& loss :
       {b, parse_transport("uld"), parse_transport("sinkhorn_sample:published")}) {
    TransportInputs in;
    in.teacher = t, in.student = parameter(s);
    Tensor value = transport(loss, in).loss;
    backward(value);
    double scale = loss.name == "sinkhorn_sample:published" ? 0.001 : 1;
    INFO(loss.name);
    CHECK(value.item() == Approx(0.5 * scale));
    // q (sign - mean sign), the signs being -1, 1, 0, 0; uld sorts equal ones by their place.
    Numbers signs = loss.name == "uld" ? Numbers{-1, 0, 0, 1} : Numbers{-1, 1, 0, 0};
    Numbers g = grad(in.student).values();
    for (size_t v = 0; v < 4; v++) CHECK(g[v] == Approx(signs[v] * 0.25 * scale).margin(1e-15));
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

TEST_CASE("an earlier batch's potentials are a start; another batch's size is refused") {
  Tensor t = random_tensor({6, 5}, 2, 2), s = random_tensor({6, 5}, 1, 2);
  TransportInputs in;
  in.teacher = t, in.student = s;
  Transport few = parse_transport("sinkhorn:unit", {"iters=5"});
  TransportLoss first = transport(few, in);
  in.start = first.solved[0].g;
  TransportLoss second = transport(few, in);
  CHECK(second.loss.item() ==
        Approx(compute("sinkhorn:unit", {"iters=10"}, t, s).loss[0]).epsilon(1e-12));
  CHECK(std::abs(second.loss.item() - first.loss.item()) > 1e-6);
  in.mask = Tensor::from(std::vector<int>{1, 1, 1, 1, 1, 0}, {6});
  CHECK_THROWS_WITH(transport(few, in), Catch::Contains("start potentials of shape (1, 5)"));
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

TEST_CASE("transport: what is refused") {
  Tensor t = random_tensor({3, 4}, 2), s = random_tensor({3, 4}, 1);
  auto fails = [&](const std::string& name, const Parameters& p, const std::string& says) {
    INFO(name);
    CHECK_THROWS_WITH(compute(name, p, t, s), Catch::Contains(says) && !Catch::Contains("\n"));
  };
  fails("sinkhorn:unit", {"eps=0"}, "sinkhorn:unit: eps must be positive, got 0");
  fails("sinkhorn:published", {"eps=-1"}, "eps must be positive, got -1");
  for (const char* start : {"eps_start=0.1", "eps_start=-1", "eps_start=inf"})
    fails("sinkhorn:unit", {start},
          "eps_start must be above eps, 0.1, to which it is halved, or 0");
  fails("sinkhorn:unit", {"ground=l2"}, "ground: no \"l2\"; there are l1, squared_l2");
  fails("sinkhorn:published", {"ground=l1"}, "no parameter \"ground=l1\"");
  fails("sinkhorn:unit", {"eps=nan"}, "eps must be positive");
  fails("sinkhorn:unit", {"iters=0"}, "iters must be at least 1, got 0");
  fails("sinkhorn:unit", {"iters=1.5"}, "\"1.5\" is not a whole number");
  fails("sinkhorn_unbalanced", {"rho=0"}, "rho must be positive, got 0");
  fails("sinkhorn:unit", {"rho=1"},
        "no parameter \"rho=1\"; it takes, with their defaults, ground=l1 eps=0.1");
  fails("sinkhorn:unit", {"eps"}, "no parameter \"eps\"");
  fails("uld", {"eps=1"}, "it takes none");
  fails("sinkhorn_sample", {"cost=l3"}, "cost: no \"l3\"; there are zero_one, abs, matrix");
  fails("sinkhorn_sample", {"top=-1"}, "top must not be negative");
  fails("sinkhorn_sample", {"cost=matrix", "top=2"},
        "cost=matrix: expected costs (4, 4), got none");
  fails("sinkhorn_sample", {"cost=matrix"}, "cost=matrix: expected costs (4, 4), got none");
  CHECK_THROWS_WITH(ClassCosts(random_tensor({4, 3}, 1)),
                    Catch::Contains("cost matrix: expected a tensor (V, V), got (4, 3)"));
  CHECK_THROWS_WITH(ClassCosts(Tensor::full({2, 2}, INFINITY)),
                    Catch::Contains("cost of classes 0 and 0 is inf"));
  CHECK_THROWS_WITH(ClassCosts(ClassCost::abs, 16385).matrix(Dtype::f32, Device::cpu),
                    Catch::Contains("16384 are the most; take the likeliest of each row, top=16"));
  fails("sinkhorn:unit", {"gradient=envelope"}, "is not that of value sharp");
  fails("sinkhorn:published", {"gradient=envelope"}, "is not that of value sharp");
  fails("sinkhorn_debiased", {"value=sharp"}, "value must be regularised");
  fails("sinkhorn:unti", {}, "did you mean \"sinkhorn:unit\"");
  fails("sinkhorn", {}, "there are: sinkhorn:published");
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
