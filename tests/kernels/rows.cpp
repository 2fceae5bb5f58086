// Row kernels on every device at the shapes where launches change: shorter than a warp, than a
// block, no multiple of 4 or 32, one block a row, several blocks for each of few long rows.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/gradcheck.h"
#include "losses/coarsen.h"
#include "losses/cross_entropy.h"
#include "losses/divergence.h"
#include "tests/devices.h"

using namespace retort;

namespace {

// Largest difference from the float64 numbers, relative to the largest of them.
double distance(const Tensor& a, const Tensor& b) {
  std::vector<double> x = a.values(), y = b.values();
  double worst = 0, scale = 1e-30;
  REQUIRE(x.size() == y.size());
  for (size_t i = 0; i < x.size(); i++) {
    double d = std::abs(x[i] - y[i]);
    worst = d <= worst ? worst : d, scale = std::max(scale, std::abs(y[i]));
  }
  return worst / scale;
}

using Operator = std::function<Tensor(const Tensor& x, const Tensor& y)>;

// Output and gradient in x of f, compared with the CPU's in float64.
void compare(const char* name, const Operator& f, int count, int n, Device device, Dtype dtype) {
  Tensor x = random_tensor({count, n}, 1, 2).to(dtype),
         y = random_tensor({count, n}, 2, 2).to(dtype);
  Tensor dy = random_tensor({count, n}, 3).to(dtype);
  auto run = [&](Device d, Dtype t) {
    Tensor p = parameter(x.to(t).to(d));
    Tensor z = f(p, y.to(t).to(d));
    Tensor up = slice(dy, 1, 0, z.rank() == 1 ? 1 : z.cols());
    backward(z, reshape(up, z.shape).to(z.dtype).to(d));
    return std::pair{z.to(Device::cpu), grad(p).to(Device::cpu)};
  };
  auto [value, gradient] = run(device, dtype);
  auto [expected, slope] = run(Device::cpu, Dtype::f64);
  double limit = dtype == Dtype::bf16 ? 2e-2 : 1e-5;
  INFO(name << " on " << count << " rows of " << n << " in " << name_of(dtype));
  CHECK(distance(value, expected) < limit);
  CHECK(distance(gradient, slope) < limit);
}

void compare_all(Device device, int count, int n) {
  Tensor gain = random_tensor({n}, 4);
  std::vector<int> ids;
  for (int r = 0; r < count; r++) ids.push_back(r * 7919 % n);
  for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    auto check = [&](const char* name, const Operator& f) {
      compare(name, f, count, n, device, dtype);
    };
    auto g = [&](const Tensor& like) { return gain.to(like.dtype).to(like.device()); };
    check("softmax", [](const Tensor& x, const Tensor&) { return softmax(x); });
    if (n > 1) {  // a single number has a normalised form that does not depend on it
      check("layer_norm",
            [&](const Tensor& x, const Tensor&) { return layer_norm(x, g(x), g(x)); });
      check("rms_norm", [&](const Tensor& x, const Tensor&) { return rms_norm(x, g(x)); });
    }
    check("add rows", [&](const Tensor& x, const Tensor&) { return x + g(x); });
    check("mul", [](const Tensor& x, const Tensor& y) { return x * y; });
    check("gelu", [](const Tensor& x, const Tensor&) { return gelu(x); });
    check("dropout", [](const Tensor& x, const Tensor&) { return dropout(x, 0.3, {5, 1, 2, 0}); });
    check("sum", [](const Tensor& x, const Tensor&) { return sum(x, 1); });
    check("gather", [&](const Tensor& x, const Tensor&) {
      return gather(x, Tensor::from(ids, {count}, x.device()));
    });
    check("columns", [&](const Tensor& x, const Tensor&) {
      return n == 1 ? columns(x, {0}) : columns(x, {n - 1, n / 2});
    });
    check("transposed", [](const Tensor& x, const Tensor& y) {
      return transpose(contiguous(transpose(x)) * contiguous(transpose(y)));
    });
    if (dtype == Dtype::bf16) continue;  // losses are computed in float32
    check("cross_entropy", [&](const Tensor& x, const Tensor&) {
      return cross_entropy(x, Tensor::from(ids, {count}, x.device()), 0.1);
    });
    if (n > 1)
      check("coarsen", [&](const Tensor& x, const Tensor&) {
        return coarsen(x, Tensor::from(ids, {count, 1}, x.device()));
      });
    for (const char* loss : {"js", "rkl", "tvd"})
      check(loss, [&](const Tensor& x, const Tensor& y) {
        return divergence(parse_divergence(loss), y, x);
      });
  }
}

}  // namespace

TEST_CASE("rows of every length agree with float64", "[cuda][small]") {
  for (Device device : devices())
    for (auto [count, n] :
         {std::pair{1, 1}, {5, 3}, {7, 31}, {3, 33}, {2, 1003}, {3, 1025}, {1, 8195}})
      compare_all(device, count, n);
}

TEST_CASE("long rows agree with float64", "[cuda]") {
  for (Device device : devices())
    for (auto [count, n] : {std::pair{1, 50257}, {7, 50257}, {3, 9001}, {70, 8195}})
      compare_all(device, count, n);
}
