// A divergence behind output projections equals the same of whole logits, for any number of rows at
// once; how much memory it takes; what it refuses.
#include "losses/projection.h"

#include <catch2/catch.hpp>

#include "engine/gradcheck.h"
#include "tests/devices.h"

using namespace retort;

namespace {

struct Problem {
  Tensor teacher_hidden, teacher_weight, hidden, weight, weights, mask;
  Problem(Dtype dtype, Device device, int N = 11, int V = 37, int C = 5)
      : teacher_hidden(random_tensor({N, C}, 1, 1, 0, device).to(dtype)),
        teacher_weight(random_tensor({V, C}, 2, 1, 0, device).to(dtype)),
        hidden(parameter(random_tensor({N, C}, 3, 1, 0, device).to(dtype))),
        weight(parameter(random_tensor({V, C}, 4, 1, 0, device).to(dtype))),
        weights(random_tensor({N}, 5, 1, 0, device).to(dtype)) {
    std::vector<int> m(size_t(N), 1);
    m[2] = m[size_t(N) - 1] = 0;
    mask = Tensor::from(m, {N}, device);
  }
};

void check_equal_to_whole_logits(Device device, Dtype dtype, double tolerance) {
  for (const char* name : {"js", "kl", "rkl", "tvd", "skew_kl"})
    for (int rows : {1, 4, 11, 0}) {
      Problem a(dtype, device), b(dtype, device);
      DivergenceOptions o;
      o.temperature = 2, o.mask = a.mask;
      ProjectedLoss part =
          projected_divergence(parse_divergence(name), {a.teacher_hidden, a.teacher_weight},
                               {a.hidden, a.weight}, a.weights, o, rows);
      Tensor losses = divergence(parse_divergence(name), linear(b.teacher_hidden, b.teacher_weight),
                                 linear(b.hidden, b.weight), o);
      Tensor whole = sum(mul(losses, b.weights));
      backward(scale(part.total, 3)), backward(scale(whole, 3));
      INFO(name << " " << rows);
      CHECK(part.total.item() == Approx(whole.item()).epsilon(tolerance).margin(tolerance));
      for (auto [x, y] : {std::pair{part.rows, losses},
                          {grad(a.hidden), grad(b.hidden)},
                          {grad(a.weight), grad(b.weight)}}) {
        std::vector<double> u = x.values(), v = y.values();
        REQUIRE(u.size() == v.size());
        for (size_t i = 0; i < u.size(); i++)
          CHECK(u[i] == Approx(v[i]).epsilon(tolerance).margin(tolerance));
      }
    }
}

}  // namespace

TEST_CASE("a divergence behind projections is that of whole logits") {
  check_equal_to_whole_logits(Device::cpu, Dtype::f64, 1e-12);
  check_equal_to_whole_logits(Device::cpu, Dtype::f32, 1e-5);
}
TEST_CASE("a divergence behind projections is that of whole logits on CUDA", "[cuda][small]") {
  if (!have(Device::cuda)) return;
  check_equal_to_whole_logits(Device::cuda, Dtype::f32, 1e-5);
}

TEST_CASE("a divergence behind projections holds the logits of some rows only") {
  constexpr int N = 512, V = 1000, C = 8;
  Problem a(Dtype::f32, Device::cpu, N, V, C);
  reset_peak_memory(Device::cpu);
  size_t before = memory_stats(Device::cpu).used;
  backward(projected_divergence({"js"}, {a.teacher_hidden, a.teacher_weight}, {a.hidden, a.weight},
                                a.weights, {}, 32)
               .total);
  size_t gradients = size_t(N + V) * C * 4, logits = size_t(32) * V * 4;
  CHECK(memory_stats(Device::cpu).peak - before < gradients + 4 * logits);
}

TEST_CASE("a divergence behind projections without a gradient") {
  Problem a(Dtype::f64, Device::cpu);
  ProjectedLoss p = projected_divergence({"kl"}, {a.teacher_hidden, a.teacher_weight},
                                         {a.hidden.detach(), a.weight.detach()}, a.weights);
  CHECK(!p.total.node);
  CHECK(p.rows.shape == Shape{11});
}

TEST_CASE("a divergence behind projections refuses what does not fit") {
  Problem a(Dtype::f64, Device::cpu);
  Projection teacher{a.teacher_hidden, a.teacher_weight}, student{a.hidden, a.weight};
  auto run = [&](const Projection& t, const Projection& s, const Tensor& w) {
    projected_divergence({"kl"}, t, s, w);
  };
  CHECK_THROWS_WITH(run({a.teacher_hidden, random_tensor({37, 6}, 1)}, student, a.weights),
                    Catch::Contains("of the teacher, got (11, 5) and (37, 6)"));
  CHECK_THROWS_WITH(run(teacher, {a.hidden, random_tensor({36, 5}, 1)}, a.weights),
                    Catch::Contains("as many rows and tokens"));
  CHECK_THROWS_WITH(run(teacher, student, random_tensor({10}, 1)), Catch::Contains("weights (N)"));
  CHECK_THROWS_WITH(run(teacher, student, a.weights.to(Dtype::f32)),
                    Catch::Contains("all of one type"));
  Tensor broken = Tensor::from(std::vector<double>(55, NAN), {11, 5}, Dtype::f64);
  CHECK_THROWS_WITH(projected_divergence({"kl"}, teacher, {broken, a.weight}, a.weights, {}, 4),
                    Catch::Contains("row 0") && Catch::Contains("counted from 0"));
}
