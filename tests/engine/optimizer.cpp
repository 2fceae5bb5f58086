// Parameters, optimizers, clipping, schedules and checkpoints.
#include "engine/optimizer.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/safetensors.h"
#include "tests/devices.h"
#include "tests/engine/scratch.h"

using namespace retort;

namespace {

// The gradient of p becomes these numbers.
void put_grad(const Parameter& p, const std::vector<double>& numbers) {
  Tensor g = grad(p.value), from = Tensor::from(numbers, g.shape, g.dtype);
  device_copy(g.device(), g.bytes(), Device::cpu, from.bytes(), g.size() * size_of(g.dtype));
}

struct Small {  // a layer with a constant input
  Parameters parameters;
  std::unique_ptr<Optimizer> optimizer;
  Small(int width, const std::string& name, Device device, Dtype dtype = Dtype::f32)
      : parameters(3, dtype, device) {
    parameters.add("layer.weight", {width, 5}, 1), parameters.add("layer.bias", {width}, 1);
    parameters.flatten();
    OptimizerOptions o;
    o.name = name;
    optimizer = make_optimizer(o, parameters);
  }
  Tensor loss() const {
    Tensor x = Tensor::full({2, 5}, 0.1, parameters.dtype(), parameters.device());
    return sum(exp(linear(x, parameters["layer.weight"].value, parameters["layer.bias"].value)));
  }
  void step() {
    parameters.zero_grads();
    backward(loss());
    optimizer->step(0.01, clip_grad_norm(parameters, 1));
  }
};

}  // namespace

TEST_CASE("parameters do not depend on the order of declaration, and live in one buffer",
          "[cuda][small]") {
  for (Device device : devices())
    for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
      Parameters a(5, dtype, device), b(5, dtype, device);
      a.add("x", {3, 5}, 1), a.add("y", {7}, 1);
      b.add("y", {7}, 1), b.add("x", {3, 5}, 1);
      a.flatten(), b.flatten();
      CHECK(a["x"].value.values() == b["x"].value.values());
      CHECK(a["x"].value.device() == device);
      const Tensor& flat = dtype == Dtype::bf16 ? a.copy() : a.weights();
      CHECK(a["x"].value.storage->owner == flat.storage);
      CHECK(a.copy().defined() == (dtype == Dtype::bf16));
      CHECK(a.weights().dtype == real_of(dtype));
      CHECK(a.master(a["x"]).to(dtype).values() == a["x"].value.values());
      CHECK(a.count() == 22);
      CHECK_THROWS_WITH(a["z"], Catch::Contains("no parameter \"z\""));
    }
}

TEST_CASE("AdamW takes the published steps",
          "[cuda][small]") {  // by hand, from the paper's algorithm
  for (Device device : devices()) {
    Parameters p(1, Dtype::f64, device);
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
}

TEST_CASE("AdamW and Adafactor take the steps of the reference libraries", "[cuda][small]") {
  TensorFile f = load_safetensors("tests/references/optim.safetensors");
  auto json = [&](const char* key) { return nlohmann::json::parse(f.metadata.at(key)); };
  std::vector<double> rates = json("learning_rates");
  for (Device device : devices())
    for (std::string name : {"adamw", "adafactor"}) {
      Parameters p(1, Dtype::f64, device);
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
          auto first = g.begin() + long(step * q.value.size());
          put_grad(q, {first, first + long(q.value.size())});
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

TEST_CASE("clipping scales to the norm", "[cuda][small]") {
  for (Device device : devices())
    for (int n : {3, 5000}) {
      Parameters p(1, Dtype::f64, device);
      Tensor w = p.add("w", {n}, 0, 2);
      p.flatten();
      backward(sum(mul(w, w)));
      double norm = std::sqrt(16.0 * n);
      CHECK(clip_grad_norm(p, 0).item() == Approx(norm));
      CHECK(clip_grad_norm(p, 2 * norm).item() == Approx(norm));
      CHECK(clip_grad_norm(p, 1).item() == Approx(norm));
      CHECK(clip_grad_norm(p, 1).item() == Approx(1));
    }
}

TEST_CASE("a gradient that is not finite leaves weights and state alone", "[cuda][small]") {
  for (Device device : devices())
    for (const char* name : {"adamw", "adafactor"})
      for (Dtype dtype : {Dtype::f32, Dtype::bf16})
        for (double broken : {double(NAN), double(INFINITY)}) {
          Small s(7, name, device, dtype);
          s.step();
          auto everything = [&] {
            std::vector<std::vector<double>> all{s.parameters.weights().values()};
            for (const Parameter& p : s.parameters.list()) all.push_back(p.value.values());
            for (const auto& [key, value] : s.optimizer->state()) all.push_back(value.values());
            return all;
          };
          auto before = everything();
          put_grad(s.parameters["layer.bias"], {1, 2, 3, broken, 5, 6, 7});
          Tensor norm = clip_grad_norm(s.parameters, 1);
          s.optimizer->step(0.01, norm);
          CHECK_FALSE(std::isfinite(norm.item()));
          CHECK(everything() == before);
          put_grad(s.parameters["layer.bias"], {1, 2, 3, 4, 5, 6, 7});
          s.optimizer->step(0.01, clip_grad_norm(s.parameters, 1));
          CHECK(everything() != before);
        }
}

TEST_CASE("learning-rate schedules at their corners") {
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

TEST_CASE("a checkpoint restores every bit, and refuses another model's", "[cuda][small]") {
  for (Device device : devices())
    for (const char* name : {"adamw", "adafactor"})
      for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        Small a(7, name, device, dtype), b(7, name, device, dtype), other(8, name, device, dtype);
        for (int i = 0; i < 3; i++) a.step();
        std::string path = scratch("checkpoint");
        save_checkpoint(path, a.parameters, *a.optimizer, {{"note", "ă"}});
        CHECK(load_checkpoint(path, b.parameters, *b.optimizer)["note"] == "ă");
        CHECK(load_safetensors(path).tensors.at("weight.layer.bias").values() ==
              a.parameters.values().at("layer.bias").values());
        for (int i = 0; i < 3; i++) {
          CHECK(a.loss().item() == b.loss().item());
          a.step(), b.step();
        }
        CHECK(a.parameters.weights().values() == b.parameters.weights().values());
        CHECK_THROWS_WITH(load_checkpoint(path, other.parameters, *other.optimizer),
                          Catch::Contains("checkpoint"));
      }
}

TEST_CASE("a bfloat16 model learns by float32 masters", "[cuda]") {
  std::vector<int> words{4, 0, 3, 7, 1, 6, 2, 5};
  for (Device device : devices())
    for (const char* name : {"adamw", "adafactor"}) {
      Parameters p(1, Dtype::bf16, device);
      Tensor table = p.add("table", {8, 16}, 0.5), in = p.add("in", {16, 16}, 0.3),
             bias = p.add("bias", {16}, 0), gain = p.add("gain", {16}, 0, 1),
             shift = p.add("shift", {16}, 0), out = p.add("out", {8, 16}, 0.3);
      p.flatten();
      OptimizerOptions o;
      o.name = name;
      auto optimizer = make_optimizer(o, p);
      Tensor x = Tensor::from(words, {8}, device);
      std::vector<int> next(words.begin() + 1, words.end());
      next.push_back(words[0]);
      Tensor y = Tensor::from(next, {8}, device);
      double loss = 0;
      for (int step = 0; step < 500; step++) {
        p.zero_grads();
        Tensor h = layer_norm(tanh(linear(embedding(table, x), in, bias)), gain, shift);
        Tensor l = scale(mean(gather(log_softmax(cast(linear(h, out), Dtype::f32)), y)), -1);
        loss = l.item();
        if (loss < 0.01) break;
        backward(l);
        CHECK(grad(out).dtype == Dtype::f32);
        // Steps far below bfloat16's resolution add up in the masters.
        optimizer->step(0.003, clip_grad_norm(p, 1));
      }
      INFO(name);
      CHECK(loss < 0.01);
      for (const Parameter& q : p.list())
        CHECK(p.master(q).to(Dtype::bf16).values() == q.value.values());
      std::map<std::string, Tensor> values;
      for (const auto& [key, value] : p.values()) values[key] = value.to(Device::cpu);
      CHECK(values.at("out").dtype == Dtype::f32);
      Parameters q(2, Dtype::bf16, device);
      for (const Parameter& r : p.list()) q.add(r.name, r.value.shape, 1);
      q.flatten();
      q.load(values);
      CHECK(q["out"].value.values() == out.values());
    }
}
