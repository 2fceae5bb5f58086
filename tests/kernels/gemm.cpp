// Products on every device against float64 loops: types, transposes, batches, strides, epilogues,
// and rows that do not depend on each other.
#include "kernels/gemm.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/gradcheck.h"
#include "engine/ops.h"
#include "tests/devices.h"

using namespace retort;

namespace {

struct Types {
  Dtype in, out;
};
const Types kTypes[] = {{Dtype::f32, Dtype::f32},
                        {Dtype::f64, Dtype::f64},
                        {Dtype::bf16, Dtype::bf16},
                        {Dtype::bf16, Dtype::f32}};
// Relative to the largest |number|, for sums of k products of normal numbers.
double tolerance(Dtype out) {
  return out == Dtype::f64 ? 1e-13 : out == Dtype::f32 ? 3e-6 : 1.0 / 256;
}

template <class F>
void with_types(Types t, F f) {
  if (t.in == Dtype::f32) f(float(), float());
  if (t.in == Dtype::f64) f(double(), double());
  if (t.in == Dtype::bf16 && t.out == Dtype::bf16) f(bf16(), bf16());
  if (t.in == Dtype::bf16 && t.out == Dtype::f32) f(bf16(), float());
}

// Numbers of a type, on the host and on the device, the first of them `offset` elements into
// aligned memory.
struct Numbers {
  Tensor tensor;
  std::vector<double> host;
  size_t offset;
  Numbers(size_t n, uint64_t seed, Dtype type, Device device, size_t offset = 0) : offset(offset) {
    Tensor x = random_tensor({int(n + offset)}, seed).to(type);
    host = x.values();
    host.erase(host.begin(), host.begin() + long(offset));
    tensor = Tensor::from(x.values(), x.shape, type, device);
  }
  template <class T>
  T* data() const {
    return tensor.data<T>() + offset;
  }
  std::vector<double> now() const {
    std::vector<double> v = tensor.values();
    v.erase(v.begin(), v.begin() + long(offset));
    return v;
  }
};

void compare(const std::vector<double>& got, const std::vector<double>& expected, double limit) {
  REQUIRE(got.size() == expected.size());
  double largest = 1, worst = 0;
  size_t where = 0;
  for (double v : expected) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < got.size(); i++) {
    double d = std::abs(got[i] - expected[i]);
    if (!(d <= worst)) worst = d, where = i;
  }
  INFO("element " << where << ": " << got[where] << " for " << expected[where]);
  CHECK(worst <= limit * largest);
}

// op(A) op(B) + beta C of the first matrix of each.
std::vector<double> loops(const Gemm& g, const double* a, const double* b) {
  std::vector<double> y(size_t(g.m) * size_t(g.n));
  for (int i = 0; i < g.m; i++)
    for (int l = 0; l < g.k; l++) {
      double x = a[g.ta ? size_t(l) * g.lda + i : size_t(i) * g.lda + l];
      for (int j = 0; j < g.n; j++)
        y[size_t(i) * g.n + j] += x * b[g.tb ? size_t(j) * g.ldb + l : size_t(l) * g.ldb + j];
    }
  return y;
}

// One product with rows `extra` apart, from `offset` elements into memory.
void check_product(Device device, Types types, Gemm g, int extra = 0, size_t offset = 0) {
  CAPTURE(name_of(types.in), name_of(types.out), g.m, g.n, g.k, g.ta, g.tb, g.batch, g.beta, extra);
  g.lda = (g.ta ? g.m : g.k) + extra, g.ldb = (g.tb ? g.k : g.n) + extra, g.ldc = g.n + extra;
  g.stride_a = size_t(g.ta ? g.k : g.m) * g.lda + size_t(extra);
  g.stride_b = size_t(g.tb ? g.n : g.k) * g.ldb + size_t(extra);
  g.stride_c = size_t(g.m) * g.ldc + size_t(extra);
  auto count = [&](size_t stride) { return size_t(g.batch) * stride; };
  Numbers a(count(g.stride_a), 1, types.in, device, offset),
      b(count(g.stride_b), 2, types.in, device, offset),
      c(count(g.stride_c), 3, types.out, device, offset);
  std::vector<double> expected = c.host;
  for (int i = 0; i < g.batch; i++) {
    std::vector<double> y =
        loops(g, a.host.data() + i * g.stride_a, b.host.data() + i * g.stride_b);
    for (int r = 0; r < g.m; r++)
      for (int s = 0; s < g.n; s++) {
        double& v = expected[i * g.stride_c + size_t(r) * g.ldc + s];
        v = y[size_t(r) * g.n + s] + double(g.beta) * v;
      }
  }
  with_types(types, [&]<class T, class Out>(T, Out) {
    gemm<T, Out>(device, g, a.data<T>(), b.data<T>(), c.data<Out>());
  });
  compare(c.now(), expected, tolerance(types.out));  // what lies between the rows included
}

void check_products(Device device) {
  if (!have(device)) return;
  struct Size {
    int m, n, k;
  };
  for (Types types : kTypes) {
    for (Size s : {Size{1, 1, 1}, {3, 33, 130}, {33, 3, 1}, {1, 130, 1003}, {130, 1, 33}})
      for (int t = 0; t < 4; t++)
        check_product(device, types, {.ta = t % 2 > 0, .tb = t > 1, .m = s.m, .n = s.n, .k = s.k});
    for (int t = 0; t < 4; t++) {
      check_product(device, types,
                    {.ta = t % 2 > 0, .tb = t > 1, .m = 33, .n = 40, .k = 64, .beta = 1});
      check_product(device, types, {.ta = t % 2 > 0, .tb = t > 1, .m = 34, .n = 5, .k = 7}, 3, 1);
      check_product(device, types,
                    {.ta = t % 2 > 0, .tb = t > 1, .m = 5, .n = 8, .k = 33, .batch = 6}, t);
    }
    check_product(device, types, {.m = 130, .n = 1003, .k = 33, .beta = 0.5});
    check_product(device, types, {.m = 3, .n = 5, .k = 0});
    // Of the two tiles of the own kernel, the large one is for many blocks.
    check_product(device, types, {.tb = true, .m = 33, .n = 70, .k = 70, .stable_rows = true}, 1);
    check_product(device, types, {.m = 3, .n = 70, .k = 33, .batch = 70, .stable_rows = true}, 1);
  }
}

double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
double gelu_slope(double x) { return (gelu(x + 1e-5) - gelu(x - 1e-5)) / 2e-5; }

// Every epilogue of one shape. An n that 8 divides is what cuBLASLt's GELU wants; with others the
// separate passes run.
template <class T, class Out>
void check_epilogues(Device device, Types types, int m, int n, int k) {
  CAPTURE(name_of(types.in), name_of(types.out), m, n, k);
  double limit = tolerance(types.out);
  if (types.out == Dtype::f64) limit = 1e-9;  // of gelu_slope above
  Gemm g{.tb = true, .m = m, .n = n, .k = k, .lda = k, .ldb = k, .ldc = n};
  size_t size = size_t(m) * size_t(n);
  Numbers a(size_t(m) * size_t(k), 1, types.in, device),
      b(size_t(n) * size_t(k), 2, types.in, device), c(size, 3, types.out, device),
      bias(size_t(n), 4, types.out, device), aux(size, 5, types.out, device),
      sums(size_t(k), 6, types.out, device);
  auto run = [&](const Gemm& g, const Epilogue<Out>& e) {
    gemm<T, Out>(device, g, a.data<T>(), b.data<T>(), c.data<Out>(), e);
  };
  std::vector<double> product = loops(g, a.host.data(), b.host.data()), with_bias = product;
  for (size_t i = 0; i < size; i++) with_bias[i] += bias.host[i % size_t(n)];
  auto each = [&](std::vector<double> x, auto f) {
    for (size_t i = 0; i < size; i++) x[i] = f(x[i], i);
    return x;
  };
  auto of_gelu = [](double x, size_t) { return gelu(x); };

  run(g, {.bias = bias.data<Out>()});
  compare(c.now(), with_bias, limit);
  run(g, {.gelu = true});
  compare(c.now(), each(product, of_gelu), 2 * limit);
  run(g, {.bias = bias.data<Out>(), .gelu = true});
  compare(c.now(), each(with_bias, of_gelu), 2 * limit);
  run(g, {.gelu_of = aux.data<Out>()});
  compare(c.now(), each(product, [&](double x, size_t i) { return x * gelu_slope(aux.host[i]); }),
          2 * limit);
  run(g, {.bias = bias.data<Out>(), .gelu = true, .before_gelu = aux.data<Out>()});
  compare(c.now(), each(with_bias, of_gelu), 2 * limit);
  compare(aux.now(), with_bias, limit);

  // A is stored (m, k): its transpose has k rows, of which the sums are wanted.
  Gemm w{.ta = true, .m = k, .n = n, .k = m, .lda = k, .ldb = n, .ldc = n};
  Numbers dw(size_t(k) * size_t(n), 7, types.out, device), x(size, 8, types.in, device);
  gemm<T, Out>(device, w, a.data<T>(), x.data<T>(), dw.data<Out>(), {.sums = sums.data<Out>()});
  compare(dw.now(), loops(w, a.host.data(), x.host.data()), limit);
  std::vector<double> expected(size_t(k), 0);
  for (int i = 0; i < m; i++)
    for (int l = 0; l < k; l++) expected[size_t(l)] += a.host[size_t(i) * k + l];
  compare(sums.now(), expected, limit);
}

void check_epilogues(Device device) {
  if (!have(device)) return;
  for (Types types : kTypes)
    with_types(types, [&]<class T, class Out>(T, Out) {
      check_epilogues<T, Out>(device, types, 33, 64, 40);
      check_epilogues<T, Out>(device, types, 7, 33, 5);
      check_epilogues<T, Out>(device, types, 1, 8, 130);
    });
}

void check_stable_rows(Device device) {
  if (!have(device)) return;
  constexpr int n = 530, k = 70, most = 1003;
  for (Types types : kTypes)
    for (bool tb : {true, false}) {
      Numbers a(most * k, 1, types.in, device), b(n * k, 2, types.in, device),
          bias(n, 3, types.out, device);
      std::vector<double> first;  // rows of the smaller product before
      for (int m : {1, 2, 7, 130, most}) {
        CAPTURE(name_of(types.in), name_of(types.out), m, tb);
        Numbers c(size_t(m) * n, 4, types.out, device);
        Gemm g{.tb = tb, .m = m, .n = n, .k = k, .lda = k, .ldb = tb ? k : n, .ldc = n};
        g.stable_rows = true;
        with_types(types, [&]<class T, class Out>(T, Out) {
          gemm<T, Out>(device, g, a.data<T>(), b.data<T>(), c.data<Out>(),
                       {.bias = bias.data<Out>()});
        });
        std::vector<double> y = c.now();
        CHECK(std::equal(first.begin(), first.end(), y.begin()));
        first = y;
      }
    }
}

// What the operators make of it: float32 and bf16 near float64, gradients too.
void check_operators(Device device) {
  if (!have(device)) return;
  Tensor inputs[] = {random_tensor({3, 11, 40}, 1), random_tensor({64, 40}, 2, 0.2),
                     random_tensor({64}, 3), random_tensor({24, 64}, 4, 0.2),
                     random_tensor({24}, 5)};
  auto run = [&](Dtype type, Device on, bool cuts) {
    std::vector<Tensor> x;
    for (const Tensor& t : inputs)
      x.push_back(parameter(Tensor::from(t.to(Dtype::bf16).values(), t.shape, type, on)));
    Tensor y = cuts ? linear(gelu_tanh(linear(x[0], x[1], x[2])), x[3], x[4], real_of(type))
                    : feed_forward(x[0], x[1], x[2], x[3], x[4]);
    CHECK(y.dtype == (cuts ? real_of(type) : type));
    backward(
        y, Tensor::from(random_tensor(y.shape, 6).to(Dtype::bf16).values(), y.shape, y.dtype, on));
    std::vector<std::vector<double>> all{y.values()};
    for (const Tensor& t : x) {
      CHECK(grad(t).dtype == real_of(type));
      all.push_back(grad(t).values());
    }
    return all;
  };
  auto expected = run(Dtype::f64, Device::cpu, true);
  for (Dtype type : {Dtype::f32, Dtype::f64, Dtype::bf16})
    for (bool cuts : {true, false}) {
      CAPTURE(name_of(type), cuts);
      auto got = run(type, device, cuts);
      for (size_t i = 0; i < got.size(); i++)
        compare(got[i], expected[i],
                type == Dtype::bf16  ? 0.02
                : type == Dtype::f32 ? 5e-6
                                     : 1e-12);
    }
}

}  // namespace

TEST_CASE("products agree with loops") { check_products(Device::cpu); }
TEST_CASE("products agree with loops on CUDA", "[cuda][small]") { check_products(Device::cuda); }
TEST_CASE("epilogues of products") { check_epilogues(Device::cpu); }
TEST_CASE("epilogues of products on CUDA", "[cuda][small]") { check_epilogues(Device::cuda); }
TEST_CASE("stable rows keep their bits") { check_stable_rows(Device::cpu); }
TEST_CASE("stable rows keep their bits on CUDA", "[cuda]") { check_stable_rows(Device::cuda); }
TEST_CASE("linear layers in every type") { check_operators(Device::cpu); }
TEST_CASE("linear layers in every type on CUDA", "[cuda][small]") { check_operators(Device::cuda); }

TEST_CASE("TF32 rounds the factors of float32 products, and only when asked", "[cuda][small]") {
  if (!have(Device::cuda)) return;
  const int n = 64;
  Tensor a = random_tensor({n, n}, 1).to(Dtype::f32).to(Device::cuda);
  auto worst = [&] {
    std::vector<double> x = a.values(), y = matmul(a, a).values();
    double worst = 0;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) {
        double sum = 0;
        for (int l = 0; l < n; l++) sum += x[size_t(i * n + l)] * x[size_t(l * n + j)];
        worst = std::max(worst, std::abs(sum - y[size_t(i * n + j)]));
      }
    return worst;
  };
  CHECK(worst() < 1e-4);
  exactness().tf32 = true;
  double rounded = worst();
  exactness().tf32 = false;
  CHECK(rounded > 1e-4);
  CHECK(rounded < 0.05);  // 64 products of normal numbers, each off by 2^-11 at most
  CHECK(worst() < 1e-4);
}
