// Every operator against finite differences, and against plain loops; what errors say.
#include <array>
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/gradcheck.h"
#include "engine/ops.h"
#include "tests/devices.h"

using namespace retort;

TEST_CASE("every operator passes the gradient check", "[gradcheck][cuda]") {
  for (Device device : devices())
    for (const GradCase& c : operator_cases()) {
      GradResult r = c.run(device);
      INFO(c.name << (device == Device::cuda ? " on cuda: " : ": ") << r.where);
      CHECK(r.error < kGradLimit);
    }
}

TEST_CASE("a wrong backward fails the gradient check", "[cuda][small]") {
  auto wrong = [](const std::vector<Tensor>& x) {
    Tensor y = exp(x[0].detach());
    return record("wrong", y, {x[0]},
                  [y](const Tensor& dy) { return Grads{scale(mul(dy, y), 1.01)}; });
  };
  auto nan = [](const std::vector<Tensor>& x) {
    return record("nan", exp(x[0].detach()), {x[0]}, [y = exp(x[0].detach())](const Tensor& dy) {
      std::vector<double> g = mul(dy, y).values();
      g[4] = NAN;
      return Grads{Tensor::from(g, dy.shape, dy.dtype, dy.device())};
    });
  };
  for (Device device : devices()) {
    GradOptions o;
    o.device = device;
    GradResult r = check_gradients(wrong, {random_tensor({3, 5}, 1)}, o);
    CHECK(r.error > 1e-3);
    CHECK(r.where.find("input 0") != std::string::npos);
    CHECK(check_gradients(nan, {random_tensor({3, 5}, 1)}, o).error > 1);
  }
}

TEST_CASE("matmul agrees with loops, in both types", "[cuda]") {
  for (Device device : devices())
    for (Dtype type : {Dtype::f32, Dtype::f64})
      for (auto [m, k, n] :
           {std::array<int, 3>{1, 1, 1}, {3, 33, 5}, {65, 130, 67}, {1, 1003, 2}}) {
        Tensor a = random_tensor({m, k}, 1, 1, 0, device).to(type),
               b = random_tensor({k, n}, 2, 1, 0, device).to(type);
        std::vector<double> y = matmul(a, b).values(), x = a.values(), w = b.values();
        for (int i = 0; i < m; i++)
          for (int j = 0; j < n; j++) {
            double s = 0;
            for (int l = 0; l < k; l++) s += x[size_t(i * k + l)] * w[size_t(l * n + j)];
            REQUIRE(y[size_t(i * n + j)] == Approx(s).margin(type == Dtype::f32 ? 1e-4 : 1e-11));
          }
      }
}

TEST_CASE("float32 operators agree with float64", "[cuda]") {
  for (Device device : devices())
    for (auto f : {exp, tanh, relu, silu, gelu, gelu_tanh, softmax, log_softmax, logsumexp}) {
      Tensor x = random_tensor({5, 1003}, 3, 2, 0, device).to(Dtype::f32);
      std::vector<double> a = f(x).values(), b = f(x.to(Dtype::f64)).values();
      for (size_t i = 0; i < a.size(); i++)
        REQUIRE(a[i] == Approx(b[i]).epsilon(3e-6).margin(1e-6));
    }
}

TEST_CASE("rows that are all -inf stay defined", "[cuda][small]") {
  for (Device device : devices()) {
    Tensor x = Tensor::full({2, 5}, -INFINITY, Dtype::f32, device);
    for (double v : softmax(x).values()) CHECK(v == 0);
    for (double v : logsumexp(x).values()) CHECK(v == -INFINITY);
  }
}

TEST_CASE("indices read on the host are the ones the device has", "[cuda][small]") {
  for (Device device : devices()) {
    Tensor x = Tensor::from(std::vector<int>{0, 1, 2, 3, 4, 5}, {2, 3}, device);
    CHECK(x.storage->host_ints.empty() == (device == Device::cpu));
    Tensor wide = expand(reshape(slice(x, 1, 1, 1), {2, 1}), {2, 2}),
           turned = reshape(transpose(slice(x, 1, 1, 2)), {4});
    CHECK(x.ints() == std::vector<int>{0, 1, 2, 3, 4, 5});
    CHECK(wide.ints() == std::vector<int>{1, 1, 4, 4});
    CHECK(turned.ints() == std::vector<int>{1, 4, 2, 5});
    CHECK(slice(x, 0, 1, 1).ints() == std::vector<int>{3, 4, 5});
    CHECK(slice(x, 0, 1, 0).ints().empty());
    CHECK(x.to(Device::cpu).ints() == x.ints());
    // What a kernel wrote: concat's copy, seen as doubles and as ints.
    Tensor both = concat({wide, reshape(turned, {2, 2})}, 1);
    CHECK(both.storage->host_ints.empty());
    CHECK(both.ints() == std::vector<int>{1, 1, 1, 4, 4, 4, 2, 5});
    CHECK(contiguous(wide).values() == std::vector<double>{1, 1, 4, 4});
    CHECK_THROWS_WITH(Tensor::zeros({2}, Dtype::f32, device).ints(), "ints: the tensor is f32");
    Tensor f = random_tensor({3, 4}, 1);
    CHECK(transpose(f).to(device).values() == transpose(f).values());
    CHECK(Tensor::full({2, 3}, 7, Dtype::i32, device).ints() == std::vector<int>(6, 7));
  }
}

TEST_CASE("shape errors name the operation and both shapes", "[cuda]") {
  Device device = GENERATE(from_range(devices()));
  auto zeros = [&](Shape s) { return Tensor::zeros(s, Dtype::f32, device); };
  Tensor a = zeros({8, 64, 256}), b = zeros({128, 512}), c = zeros({3});
  CHECK_THROWS_WITH(matmul(a, b), "matmul: inner sizes differ: (8, 64, 256) x (128, 512)");
  CHECK_THROWS_WITH(add(a, c), "add: shapes do not broadcast: (8, 64, 256) and (3)");
  CHECK_THROWS_WITH(concat({a, b}, 0), Catch::Contains("concat") &&
                                           Catch::Contains("(8, 64, 256)") &&
                                           Catch::Contains("(128, 512)"));
  CHECK_THROWS_WITH(linear(a, b), Catch::Contains("linear") && Catch::Contains("(128, 512)"));
  CHECK_THROWS_WITH(layer_norm(a, c, c), Catch::Contains("layer_norm") && Catch::Contains("(3)"));
  CHECK_THROWS_WITH(attention(a, a, a),
                    Catch::Contains("attention") && Catch::Contains("(8, 64, 256)"));
  Tensor heads = Tensor::zeros({1, 2, 1, 4}, Dtype::bf16);
  Attention biased;
  biased.bias = Tensor::zeros({1, 3});
  CHECK_THROWS_WITH(attention(heads, heads, heads, biased),
                    Catch::Contains("of type bf16, got (1, 3) f32"));
  CHECK_THROWS_WITH(embedding(b, Tensor::from(std::vector<int>{1, 128}, {2}, device)),
                    "embedding: id 128 at position 1 is outside [0, 128)");
  CHECK_THROWS_WITH(reshape(a, {5, -1}), Catch::Contains("reshape"));
  CHECK_THROWS_WITH(slice(b, 0, 100, 50),
                    Catch::Contains("slice") && Catch::Contains("(128, 512)"));
  CHECK_THROWS_WITH(slice(b, 1, 2147483647, 2), Catch::Contains("slice"));
  CHECK_THROWS_WITH(reshape(a, {-3, -5}), Catch::Contains("reshape"));
  CHECK_THROWS_WITH(masked_fill(b, Tensor::from(std::vector<int>{1, 1, 0}, {3}, device), 0),
                    "masked_fill: mask (3) does not broadcast to (128, 512)");
  CHECK_THROWS_WITH(add(b, b.to(Dtype::f64)), Catch::Contains("types differ"));
}

TEST_CASE("dropout draws do not depend on the batch's layout, nor on the device", "[cuda]") {
  RandomKey key{11, 3, 2, 0}, second = key;
  second.sequence = 2;
  std::vector<double> first;
  for (Device device : devices()) {
    Tensor x = Tensor::full({4, 7, 5}, 1, Dtype::f32, device);
    std::vector<double> whole = dropout(x, 0.4, key).values();
    std::vector<double> tail = dropout(slice(x, 0, 2, 2), 0.4, second).values();
    CHECK(std::vector<double>(whole.begin() + 70, whole.end()) == tail);
    if (first.empty()) first = whole;
    CHECK(whole == first);
    for (size_t i = 0; i < whole.size(); i++)
      CHECK((whole[i] == 0) == (uniform(key, uint32_t(i / 35), uint32_t(i % 35)) < 0.4f));
    double kept = 0;
    for (double v : dropout(Tensor::full({100, 1000}, 1, Dtype::f32, device), 0.4, key).values())
      kept += v != 0;
    CHECK(kept / 1e5 == Approx(0.6).margin(0.01));
  }
}

TEST_CASE("rotary turns pairs by the position's angles, and the first heads alone", "[cuda]") {
  for (Device device : devices()) {
    int T = 3, H = 3, D = 6, turned = 2;
    std::vector<int> at{0, 7, 1000};
    std::vector<double> x(size_t(T * H * D));
    for (size_t i = 0; i < x.size(); i++) x[i] = std::sin(1.0 + double(i));
    Tensor positions = Tensor::from(at, {1, T}, device);
    std::vector<double> y = rotary(Tensor::from(x, {1, T, H, D}, Dtype::f64, device),
                                   rotary_angles(positions, D, Dtype::f64), turned)
                                .values();
    for (int t = 0; t < T; t++)
      for (int h = 0; h < H; h++)
        for (int i = 0; i < D / 2; i++) {
          size_t p = size_t((t * H + h) * D + i), q = p + size_t(D / 2);
          double angle = h < turned ? at[size_t(t)] * std::pow(10000.0, -2.0 * i / D) : 0;
          CHECK(y[p] == Approx(x[p] * std::cos(angle) - x[q] * std::sin(angle)).margin(1e-12));
          CHECK(y[q] == Approx(x[q] * std::cos(angle) + x[p] * std::sin(angle)).margin(1e-12));
        }
  }
}

TEST_CASE("Philox gives the published values") {  // Random123's known answers
  auto words = [](Philox p) { return std::array<uint32_t, 4>{p.c0, p.c1, p.c2, p.c3}; };
  CHECK(words(Philox::draw(0, 0, 0, 0, 0, 0)) ==
        std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  uint32_t f = 0xffffffff;
  CHECK(words(Philox::draw(f, f, f, f, f, f)) ==
        std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("float32 exp, log, tanh, erf, softplus keep their accuracy") {
  for (int i = -80000; i <= 80000; i++) {
    float x = float(i) * 1e-3f;
    REQUIRE(exp_(x) == Approx(std::exp(double(x))).epsilon(3e-7).margin(1e-37));
    REQUIRE(tanh_(x) == Approx(std::tanh(double(x))).epsilon(5e-7));
    REQUIRE(std::abs(erf_(x) - std::erf(double(x))) < 2e-7);
    REQUIRE(softplus_(x) ==
            Approx(std::log1p(std::exp(-std::abs(double(x)))) + std::max(0., double(x)))
                .epsilon(5e-7)
                .margin(1e-37));
    if (x > 0) REQUIRE(log_(x) == Approx(std::log(double(x))).epsilon(3e-7).margin(1e-7));
  }
  for (float x : {-1.f, -1e-30f, -INFINITY, NAN}) CHECK(std::isnan(log_(x)));
  for (float x : {INFINITY, 1e-40f, 1.2e-38f, 3.4e38f})
    CHECK(log_(x) == Approx(std::log(double(x))).epsilon(1e-6));
  CHECK(exp(Tensor::full({1}, 100)).item() == INFINITY);
  CHECK(std::isnan(relu(Tensor::full({1}, NAN)).item()));
  CHECK(exp_(-INFINITY) == 0);
  CHECK(log_(0.f) == -INFINITY);
  CHECK(std::isnan(exp_(NAN)));
}
