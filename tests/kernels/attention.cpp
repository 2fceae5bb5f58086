// Attention of every device and type against the CPU's in float64: outputs and gradients.
#include "kernels/attention.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/gradcheck.h"
#include "engine/ops.h"
#include "tests/devices.h"

using namespace retort;

namespace {

enum class Bias { none, shared, each };
enum class Layout { plain, fused, heads_first };  // fused: q, k, v are slices of one projection

struct Case {
  int B, T, S, H, K, D;
  bool causal = false;
  std::vector<int> lengths = {};
  Bias bias = Bias::none;
  double dropout = 0;
  bool step = false;
  Layout layout = Layout::plain;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  out << "B " << c.B << " T " << c.T << " S " << c.S << " H " << c.H << " K " << c.K << " D " << c.D
      << (c.causal ? " causal" : "") << (c.step ? " step" : "") << " bias " << int(c.bias)
      << " dropout " << c.dropout << " layout " << int(c.layout) << " lengths";
  for (int n : c.lengths) out << ' ' << n;
  return out;
}

// Numbers that all types hold exactly.
Tensor numbers(Shape shape, uint64_t seed) {
  return random_tensor(std::move(shape), seed).to(Dtype::bf16).to(Dtype::f64);
}
Tensor at(const Tensor& x, Dtype type, Device device) {
  return Tensor::from(x.values(), x.shape, type, device);
}

/// Output, then the gradients of q, k, v (or what they are views of) and the bias.
std::vector<std::vector<double>> run(const Case& c, Dtype type, Device device) {
  std::vector<Tensor> leaves;
  auto leaf = [&](Shape shape) {
    leaves.push_back(parameter(at(numbers(std::move(shape), 7 + leaves.size()), type, device)));
    return leaves.back();
  };
  Tensor q, k, v;
  if (c.layout == Layout::fused) {  // S == T; heads of q, then of k, then of v
    Tensor x = leaf({c.B, c.T, c.H + 2 * c.K, c.D});
    q = slice(x, 2, 0, c.H), k = slice(x, 2, c.H, c.K), v = slice(x, 2, c.H + c.K, c.K);
  } else if (c.layout == Layout::heads_first) {
    q = transpose(leaf({c.B, c.H, c.T, c.D}), 1, 2);
    k = transpose(leaf({c.B, c.K, c.S, c.D}), 1, 2);
    v = transpose(leaf({c.B, c.K, c.S, c.D}), 1, 2);
  } else {
    q = leaf({c.B, c.T, c.H, c.D}), k = leaf({c.B, c.S, c.K, c.D}), v = leaf({c.B, c.S, c.K, c.D});
  }
  Attention o;
  o.causal = c.causal, o.step = c.step, o.dropout = c.dropout, o.key = {5, 3, 2, 1};
  if (!c.lengths.empty()) o.lengths = Tensor::from(c.lengths, {c.B}, device);
  if (c.bias == Bias::shared) o.bias = leaf({c.H, c.T + c.S - 1});
  if (c.bias == Bias::each) o.bias = leaf({c.B, c.H, c.T + c.S - 1});
  Tensor y = attention(q, k, v, o);
  std::vector<std::vector<double>> results{y.values()};
  backward(y, at(numbers(y.shape, 3), type, device));
  for (const Tensor& x : leaves) results.push_back(grad(x).values());
  return results;
}

void check(const Case& c, Dtype type, Device device) {
  const char* names[] = {"output", "first gradient", "second gradient", "third gradient",
                         "gradient of the bias"};
  auto expected = run(c, Dtype::f64, Device::cpu), got = run(c, type, device);
  // bf16 rounds the output, from which delta = sum of dout out is computed, and the gradients.
  double limit = type == Dtype::f64 ? 1e-11 : type == Dtype::f32 ? 2e-5 : 2e-2;
  for (size_t r = 0; r < expected.size(); r++) {
    double most = 0.5, error = 0;  // where terms of order 1 cancel, what is left is their rounding
    for (double x : expected[r]) most = std::max(most, std::abs(x));
    for (size_t i = 0; i < expected[r].size(); i++) {
      double e = std::abs(got[r][i] - expected[r][i]);
      error = e <= error ? error : e;  // NaN stays
    }
    INFO(c << ", " << name_of(type) << ", " << names[r] << ": " << error << " of " << most);
    CHECK(error <= limit * most);
  }
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> v{
        {1, 1, 1, 1, 1, 16},
        {2, 3, 3, 2, 2, 32, true},
        {2, 1, 65, 2, 1, 40, false, {65, 30}, Bias::shared, 0, true},
        {1, 3, 130, 2, 2, 80, true, {}, Bias::each, 0.2, true},
        {2, 1, 64, 4, 2, 128, true, {64, 0}, Bias::none, 0, true},
        {1, 8, 300, 2, 2, 64, true, {}, Bias::none, 0, false, Layout::heads_first},
        {2, 31, 31, 2, 2, 40, true, {}, Bias::none, 0, false, Layout::fused},
        {1, 64, 64, 2, 2, 64, true, {}, Bias::none, 0, false, Layout::fused},
        {1, 65, 65, 4, 2, 32, true, {50}, Bias::none, 0.3, false, Layout::fused},
        {1, 130, 130, 1, 1, 128, true, {}, Bias::shared},
        {3, 31, 65, 2, 1, 16, false, {65, 0, 33}, Bias::each, 0.1, false, Layout::heads_first},
        {2, 65, 31, 2, 2, 80, true, {31, 7}, Bias::shared, 0.1},  // the first queries see no key
        {1, 130, 64, 2, 1, 64, false, {63}},
        {1, 64, 130, 2, 2, 5, true, {}, Bias::shared},
        {2, 9, 1, 2, 2, 7, false, {1, 0}, Bias::each, 0.5},
        {1, 33, 17, 3, 1, 126, false, {}, Bias::shared, 0.1, false, Layout::heads_first},
    };
    const int sizes[] = {1, 3, 31, 64, 65, 130}, heads[] = {16, 32, 40, 64, 80, 128};
    for (int i = 0; i < 6; i++)
      for (int j = 0; j < 6; j++) {
        int T = sizes[i], S = sizes[j], n = 7 * i + 3 * j;
        Case c{1, T, S, 2, 1 + n % 2, heads[(i + j) % 6]};
        c.causal = n % 3 == 0, c.bias = Bias(n % 4 % 3), c.dropout = n % 5 == 1 ? 0.25 : 0;
        if (n % 4 == 1) c.lengths = {S - S / 3};
        if (n % 2) c.layout = Layout::heads_first;
        v.push_back(c);
      }
    return v;
  }();
  return all;
}

/// Memory of attention's results on one device, to call the kernels themselves.
template <class T>
struct Direct {
  Device device;
  int B = 2, T_ = 70, S = 40, H = 2, D = 32;
  Tensor q, out, log_sum, lengths;
  explicit Direct(Device device) : device(device) {
    Dtype type = dtype_of<T>();
    q = at(numbers({B, T_, H, D}, 1), type, device), out = q.like();
    log_sum = Tensor({B, H, T_}, real_of(type), device);
    lengths = Tensor::from(std::vector<int>{S, 0}, {B}, device);
    Heads heads{q.strides[0], q.strides[1], q.strides[2]};
    AttentionArgs<T> a{B,       T_,           S,     H,     H,       D,       data(q), data(q),
                       data(q), heads,        heads, heads, nullptr, nullptr, 0,       true,
                       false,   Real<T>(0.2), 0.f,   {}};
    a.lengths = lengths.data<int>();
    attention_forward(device, a, data(out), log_sum.data<Real<T>>());
  }
  static T* data(const Tensor& x) { return x.data<T>(); }
};

}  // namespace

TEST_CASE("attention of the CPU agrees with float64 in float32 and bfloat16") {
  for (const Case& c : cases())
    for (Dtype type : {Dtype::f32, Dtype::bf16}) check(c, type, Device::cpu);
}

TEST_CASE("a query that sees no key: zeros, and an infinite log-sum-exp") {
  for (Device device : devices()) {
    Direct<float> x(device);
    std::vector<double> y = x.out.values(), l = x.log_sum.values();
    for (int b = 0; b < x.B; b++)
      for (int h = 0; h < x.H; h++)
        for (int i = 0; i < x.T_; i++) {
          bool blind = b == 1 || i < x.T_ - x.S;
          REQUIRE(std::isinf(l[size_t((b * x.H + h) * x.T_ + i)]) == blind);
          if (blind) REQUIRE(y[size_t(((b * x.T_ + i) * x.H + h) * x.D)] == 0);
        }
  }
}

TEST_CASE("attention on CUDA agrees with float64", "[cuda][small]") {
  if (!have(Device::cuda)) return;
  for (const Case& c : cases())
    for (Dtype type : {Dtype::f32, Dtype::f64, Dtype::bf16}) check(c, type, Device::cuda);
}

TEST_CASE("attention on CUDA gives the same bits each time, and the CPU's log-sum-exp",
          "[cuda][small]") {
  if (!have(Device::cuda)) return;
  Case c{2, 70, 90, 4, 2, 40, true, {90, 61}, Bias::shared, 0.1};
  CHECK(run(c, Dtype::f32, Device::cuda) == run(c, Dtype::f32, Device::cuda));
  std::vector<double> a = Direct<float>(Device::cuda).log_sum.values(),
                      b = Direct<float>(Device::cpu).log_sum.values();
  for (size_t i = 0; i < a.size(); i++)
    if (!std::isinf(b[i])) REQUIRE(a[i] == Approx(b[i]).epsilon(1e-5).margin(1e-5));
}

TEST_CASE("attention on CUDA says which head sizes it takes", "[cuda]") {
  if (!have(Device::cuda)) return;
  Tensor x = Tensor::zeros({1, 2, 1, 136}, Dtype::f32, Device::cuda);
  CHECK_THROWS_WITH(attention(x, x, x),
                    "attention: heads of 136 numbers; CUDA's kernels take at most 128");
}
