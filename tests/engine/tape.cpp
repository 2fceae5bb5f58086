// The tape, memory, parameters, optimizers and files of the engine.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/gradcheck.h"
#include "engine/safetensors.h"

using namespace retort;

namespace {
std::string scratch(const std::string& name) {
  auto folder = std::filesystem::temp_directory_path() / "retort-tests";
  std::filesystem::create_directories(folder);
  return (folder / name).string();
}
std::string bytes_of(const std::string& path) {
  std::ifstream f(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(f), {}};
}
}  // namespace

TEST_CASE("backward frees nodes as it passes them") {
  Tensor w = parameter(random_tensor({256, 256}, 1));
  grad(w);
  size_t before = memory_stats(Device::cpu).used;
  {
    Tensor y = w;
    for (int i = 0; i < 10; i++) y = tanh(y);
    size_t held = memory_stats(Device::cpu).used - before;
    Tensor loss = sum(y);
    y = {};
    backward(loss);
    CHECK(held > 9 * 256 * 256 * 8);
    CHECK(memory_stats(Device::cpu).used - before < 2 * 256 * 256 * 8);
    CHECK_THROWS_WITH(backward(loss), Catch::Contains("freed"));
  }
  CHECK(memory_stats(Device::cpu).used == before);
}

TEST_CASE("an operator without a backward throws and names itself") {
  Tensor x = parameter(random_tensor({3}, 1));
  Tensor y = record("no_way_back", x.detach(), {x}, nullptr);
  CHECK_THROWS_WITH(backward(sum(y)), Catch::Contains("no_way_back"));
}

TEST_CASE("nothing is recorded under NoGrad") {
  Tensor x = parameter(random_tensor({3}, 1));
  NoGrad quiet;
  CHECK_FALSE(exp(x).node);
}

TEST_CASE("gradients add up, and accumulation equals the large batch") {
  Tensor w = parameter(random_tensor({7, 5}, 1)), x = random_tensor({6, 5}, 2);
  backward(mean(tanh(linear(x, w))));
  std::vector<double> whole = grad(w).values();
  Tensor v = parameter(w.detach().to(Dtype::f64));
  for (int i = 0; i < 3; i++)
    backward(scale(mean(tanh(linear(slice(x, 0, 2 * i, 2), v))), 1.0 / 3));
  std::vector<double> parts = grad(v).values();
  for (size_t i = 0; i < whole.size(); i++)
    CHECK(parts[i] == Approx(whole[i]).epsilon(1e-12).margin(1e-15));
}

TEST_CASE("parameters do not depend on the order of declaration, and live in one buffer") {
  Parameters a(5), b(5);
  a.add("x", {3, 5}, 1), a.add("y", {7}, 1);
  b.add("y", {7}, 1), b.add("x", {3, 5}, 1);
  a.flatten(), b.flatten();
  CHECK(a["x"].value.values() == b["x"].value.values());
  CHECK(a["x"].value.storage->owner == a.weights().storage);
  CHECK(a.count() == 22);
  CHECK_THROWS_WITH(a["z"], Catch::Contains("no parameter \"z\""));
}

TEST_CASE("AdamW takes the published steps") {  // by hand, from the paper's algorithm
  Parameters p(1, Dtype::f64);
  Tensor w = p.add("w", {2, 1}, 0, 1);
  p.flatten();
  OptimizerOptions o;
  o.weight_decay = 0.1;
  auto adam = make_optimizer(o, p);
  double x = 1, m = 0, v = 0;
  for (int t = 1; t <= 5; t++) {
    p.zero_grads();
    backward(sum(mul(w, w)));
    adam->step(0.01);
    double g = 2 * x;
    m = 0.9 * m + 0.1 * g, v = 0.999 * v + 0.001 * g * g;
    x = x * (1 - 0.01 * 0.1) -
        0.01 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    CHECK(w.values()[0] == Approx(x).epsilon(1e-12));
  }
}

TEST_CASE("AdamW and Adafactor take the steps of the reference libraries") {
  TensorFile f = load_safetensors("tests/references/optim.safetensors");
  auto json = [&](const char* key) { return nlohmann::json::parse(f.metadata.at(key)); };
  std::vector<double> rates = json("learning_rates");
  for (std::string name : {"adamw", "adafactor"}) {
    Parameters p(1, Dtype::f64);
    p.add("matrix", {5, 7}, 0), p.add("vector", {7}, 0);
    p.flatten();
    p.load({{"matrix", f.tensors["matrix.start"]}, {"vector", f.tensors["vector.start"]}});
    nlohmann::json theirs = json(name.c_str());
    OptimizerOptions o;
    o.name = name, o.weight_decay = json("weight_decay")["matrix"];
    if (theirs.contains("betas")) o.beta1 = theirs["betas"][0], o.beta2 = theirs["betas"][1];
    if (name == "adamw") o.eps = theirs["eps"];
    auto optimizer = make_optimizer(o, p);
    for (size_t step = 0; step < rates.size(); step++) {
      for (const Parameter& q : p.list()) {
        std::vector<double> g = f.tensors[q.name + ".grads"].values();
        std::copy_n(g.begin() + long(step * q.value.size()), q.value.size(),
                    grad(q.value).data<double>());
      }
      optimizer->step(rates[step]);
      for (const Parameter& q : p.list()) {
        std::vector<double> expected = f.tensors[name + "." + q.name].values(),
                            got = q.value.values();
        for (size_t i = 0; i < got.size(); i++)
          REQUIRE(got[i] == Approx(expected[step * got.size() + i]).epsilon(1e-12).margin(1e-14));
      }
    }
  }
}

TEST_CASE("clipping scales to the norm; schedules at their corners") {
  Parameters p(1, Dtype::f64);
  Tensor w = p.add("w", {3}, 0, 2);
  p.flatten();
  backward(sum(mul(w, w)));
  CHECK(clip_grad_norm(p, 1) == Approx(std::sqrt(48.0)));
  CHECK(clip_grad_norm(p, 1) == Approx(1));
  Schedule s{"linear", 1, 0.1, 10, 110};
  CHECK(learning_rate(s, 0) == Approx(0.1));
  CHECK(learning_rate(s, 9) == Approx(1));
  CHECK(learning_rate(s, 60) == Approx(0.55));
  CHECK(learning_rate(s, 500) == Approx(0.1));
  s.name = "cosine";
  CHECK(learning_rate(s, 60) == Approx(0.55));
  s.name = "inverse_sqrt", s.floor = 0;
  CHECK(learning_rate(s, 40) == Approx(0.5));
}

TEST_CASE("a checkpoint restores every bit, and refuses another model's") {
  auto make = [](int width) {
    auto p = std::make_unique<Parameters>(3);
    p->add("layer.weight", {width, 5}, 1), p->add("layer.bias", {width}, 1);
    p->flatten();
    return p;
  };
  for (const char* name : {"adamw", "adafactor"}) {
    OptimizerOptions o;
    o.name = name;
    auto a = make(7), b = make(7);
    auto x = make_optimizer(o, *a), y = make_optimizer(o, *b);
    auto step = [](Parameters& p, Optimizer& opt) {
      p.zero_grads();
      backward(sum(
          exp(linear(Tensor::full({2, 5}, 0.1), p["layer.weight"].value, p["layer.bias"].value))));
      opt.step(0.01);
    };
    for (int i = 0; i < 3; i++) step(*a, *x);
    std::string path = scratch("checkpoint");
    save_checkpoint(path, *a, *x, {{"note", "ă"}});
    CHECK(load_checkpoint(path, *b, *y)["note"] == "ă");
    for (int i = 0; i < 3; i++) step(*a, *x), step(*b, *y);
    CHECK(a->weights().values() == b->weights().values());
    auto other = make(8);
    auto z = make_optimizer(o, *other);
    CHECK_THROWS_WITH(load_checkpoint(path, *other, *z), Catch::Contains("checkpoint"));
  }
}

TEST_CASE("a safetensors file cut anywhere, or lying, is one error") {
  std::string path = scratch("file.safetensors"), cut = scratch("cut.safetensors");
  save_safetensors(
      path, {{"a", random_tensor({3, 5}, 1)}, {"b", Tensor::from(std::vector<int>{1, 2}, {2})}},
      {{"k", "v"}});
  TensorFile back = load_safetensors(path);
  CHECK(back.tensors["a"].values() == random_tensor({3, 5}, 1).values());
  CHECK(back.tensors["b"].ints() == std::vector<int>{1, 2});
  CHECK(back.metadata["k"] == "v");
  std::string whole = bytes_of(path);
  for (size_t n = 0; n < whole.size(); n++) {
    std::ofstream(cut, std::ios::binary) << whole.substr(0, n);
    REQUIRE_THROWS_WITH(load_safetensors(cut), Catch::Contains("cut.safetensors: "));
  }
  auto lie = [&](const std::string& header) {
    uint64_t n = header.size();
    std::ofstream(cut, std::ios::binary)
        << std::string(reinterpret_cast<char*>(&n), 8) << header << std::string(16, '\0');
    CHECK_THROWS_WITH(load_safetensors(cut), Catch::Contains("cut.safetensors: "));
  };
  lie(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}})");
  lie(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[4,20]}})");
  lie(R"({"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})");
  lie(R"({"a":{"dtype":"F32","shape":[4000000000,4000000000],"data_offsets":[0,16]}})");
  lie(R"({"a":{"dtype":"Q8","shape":[16],"data_offsets":[0,16]}})");
  lie(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})");
  lie(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})");
  lie(R"({"a":)");
  lie(R"([1])");
  CHECK_THROWS_WITH(load_safetensors(scratch("absent")),
                    Catch::Contains("absent: cannot be opened"));
}
