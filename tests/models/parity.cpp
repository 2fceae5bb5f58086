// The published functions: logits and every parameter gradient of GPT-2, BERT, BART and T5 against
// transformers' (tests/references/README.md).
#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/safetensors.h"
#include "losses/cross_entropy.h"
#include "models/blocks.h"
#include "models/model.h"
#include "models/published.h"
#include "tests/devices.h"

using namespace retort;

namespace {

struct Reference {
  TensorFile file;
  ModelConfig config;
  std::string family;

  explicit Reference(const std::string& name)
      : file(load_safetensors("tests/references/" + name + ".safetensors")) {
    config = published_config(file.metadata.at("config"));
    family = nlohmann::json::parse(file.metadata.at("config"))["model_type"];
  }
  std::map<std::string, Tensor> with_prefix(const std::string& prefix) const {
    std::map<std::string, Tensor> out;
    for (const auto& [name, t] : file.tensors)
      if (name.rfind(prefix, 0) == 0) out[name.substr(prefix.size())] = t;
    return out;
  }
  const Tensor& operator[](const std::string& name) const { return file.tensors.at(name); }
  Inputs inputs(Device device) const {
    Inputs in = inputs();
    for (Tensor* t :
         {&in.source, &in.source_lengths, &in.target, &in.target_lengths, &in.token_types})
      if (t->defined()) *t = Tensor::from(t->ints(), t->shape, device);
    return in;
  }
  Inputs inputs() const {
    Inputs in;
    if (family == "gpt2") {
      in.target = (*this)["input_ids"], in.target_lengths = (*this)["lengths"];
      return in;
    }
    in.source = (*this)["input_ids"], in.source_lengths = (*this)["lengths"];
    if (family == "bert") {
      in.token_types = (*this)["token_type_ids"];
    } else {
      in.target = (*this)["decoder_input_ids"], in.target_lengths = (*this)["decoder_lengths"];
    }
    return in;
  }
};

double norm(const std::vector<double>& x) {
  double s = 0;
  for (double v : x) s += v * v;
  return std::sqrt(s);
}
double distance(std::vector<double> x, const std::vector<double>& y) {
  REQUIRE(x.size() == y.size());
  for (size_t i = 0; i < x.size(); i++) x[i] -= y[i];
  return norm(x);
}

void compare(const std::string& name, Dtype dtype, Device device, double limit) {
  INFO(name << " in " << name_of(dtype) << (device == Device::cuda ? " on cuda" : ""));
  Reference ref(name);
  Model model(ref.config, 7, dtype, device);
  model.parameters().load(from_published(ref.config, ref.family, ref.with_prefix("weight.")));
  Pass pass;
  Tensor logits = model.forward(ref.inputs(device), pass).logits;
  int V = logits.cols(), n = logits.rows();
  std::vector<int> wanted = ref["labels"].ints();
  Tensor labels = Tensor::from(wanted, {n}, device);
  int count = 0;
  std::vector<double> got = logits.values(), expected = ref["logits"].values();
  for (int r = 0; r < n; r++) {
    if (wanted[size_t(r)] >= 0)
      count++;
    else
      std::fill_n(got.begin() + r * V, V, 0);
  }
  CHECK(distance(got, expected) < limit * norm(expected));
  Tensor loss = scale(sum(cross_entropy(reshape(logits, {n, V}), labels)), 1.0 / count);
  CHECK(loss.item() == Approx(ref["loss"].item()).epsilon(limit));
  backward(loss);
  std::map<std::string, Tensor> grads, stored = ref.with_prefix("grad.");
  for (const Parameter& p : model.parameters().list()) grads[p.name] = grad(p.value);
  grads = to_published(ref.config, ref.family, grads);
  grads.erase("final_logits_bias");  // a buffer
  REQUIRE(grads.size() == stored.size());
  for (const auto& [key, g] : stored) {
    INFO(key);
    REQUIRE(grads.count(key));
    REQUIRE(grads[key].shape == g.shape);
    std::vector<double> y = g.values();
    // Keys' biases do not matter, so their gradients are rounding.
    CHECK(distance(grads[key].values(), y) < limit * std::max(norm(y), 1e-3));
  }
}

}  // namespace

TEST_CASE("published models are reproduced, logits and gradients", "[cuda]") {
  for (Device device : devices())
    for (const char* name : {"gpt2", "bert", "bart", "t5", "t5-v1.1"}) {
      compare(name, Dtype::f64, device, 1e-6);  // the stored numbers are float32
      compare(name, Dtype::f32, device, 1e-4);
    }
}

TEST_CASE("published weights come back unchanged, with or without the prefix") {
  for (const char* name : {"gpt2", "bert", "bart", "t5", "t5-v1.1"}) {
    Reference ref(name);
    std::map<std::string, Tensor> weights = ref.with_prefix("weight."), bare;
    Model model(ref.config, 1);
    model.parameters().load(from_published(ref.config, ref.family, weights));
    std::map<std::string, Tensor> back =
        to_published(ref.config, ref.family, model.parameters().values());
    REQUIRE(back.size() == weights.size());
    for (const auto& [key, value] : weights) {
      INFO(key);
      REQUIRE(back.count(key));
      CHECK(back[key].shape == value.shape);
      CHECK(back[key].values() == value.values());
      size_t prefix = key.rfind("transformer.", 0) == 0 ? 12
                      : key.rfind("bert.", 0) == 0      ? 5
                      : key.rfind("model.", 0) == 0     ? 6
                                                        : 0;
      bare[key.substr(prefix)] = value;
    }
    CHECK(from_published(ref.config, ref.family, bare).size() == model.parameters().list().size());
  }
}

TEST_CASE("published weights that do not fit are named") {
  Reference ref("t5");
  std::map<std::string, Tensor> weights = ref.with_prefix("weight.");
  auto with = [&](auto change) {
    auto w = weights;
    change(w);
    return from_published(ref.config, "t5", w);
  };
  CHECK_NOTHROW(with([](auto& w) { w["lm_head.weight"] = w.at("shared.weight"); }));
  CHECK_THROWS_WITH(
      with([](auto& w) { w["encoder.final_layer_norm.wieght"] = Tensor::zeros({1}); }),
      "published weights: unknown tensor \"encoder.final_layer_norm.wieght\"; did "
      "you mean \"encoder.final_layer_norm.weight\"?");
  CHECK_THROWS_WITH(
      with([](auto& w) { w.erase("decoder.block.1.layer.0.SelfAttention.k.weight"); }),
      "published weights: tensor \"decoder.block.1.layer.0.SelfAttention.k.weight\" is missing");
  CHECK_THROWS_WITH(with([](auto& w) {
                      w["decoder.block.1.layer.0.SelfAttention.k.weight"] = Tensor::zeros({3, 24});
                    }),
                    Catch::Contains("SelfAttention.k.weight\" has shape (3, 24)"));
  CHECK_THROWS_WITH(from_published(ref.config, "gtp2", weights),
                    "published weights: no family \"gtp2\"; there are gpt2, bert, bart, t5");
  CHECK_THROWS_WITH(published_config("[]"), "published configuration: expected a JSON object");
  CHECK_THROWS_WITH(published_config("{\"model_type\": \"gpt2\", \"vocab_size\": \"x\"}"),
                    "published configuration: \"vocab_size\" = \"x\" has the wrong type");
  CHECK_THROWS_WITH(published_config("{\"model_type\": \"gpt2\", \"vocab_size\": 9}"),
                    "published configuration: \"n_embd\" is missing");
}

TEST_CASE("relative positions fall into T5's buckets") {
  Reference ref("t5");
  ModelConfig c = ref.config;
  c.relative_buckets = 32, c.relative_distance = 128;
  for (bool decoder : {false, true}) {
    INFO((decoder ? "decoder" : "encoder"));
    Parameters p;
    Stack stack(p, "stack", c, p.add("tokens", {c.vocab, c.width}, 1), 1, decoder, false);
    for (int bucket = 0; bucket < 32; bucket++)
      for (int h = 0; h < c.heads; h++)
        stack.relative.data<float>()[bucket * c.heads + h] = float(bucket);
    std::vector<double> bias = stack.relative_bias(151, 151, 0).values();  // (H, 301): -150..150
    std::vector<int> buckets = ref[decoder ? "buckets.causal" : "buckets.bidirectional"].ints();
    for (size_t i = 0; i < 301; i++) REQUIRE(bias[301 + i] == buckets[i]);
  }
}
