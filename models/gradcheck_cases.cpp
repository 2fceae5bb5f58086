#include "models/gradcheck_cases.h"

#include "models/blocks.h"

namespace retort {
namespace {

ModelConfig small(const std::string& preset) {
  ModelConfig c = ModelConfig::preset(preset);
  c.vocab = 11, c.width = 8, c.heads = 2, c.layers = 1, c.ffn = 12, c.max_positions = 16,
  c.init_std = 0.5;
  c.relative_buckets = 8, c.relative_distance = 16, c.dropout = c.attention_dropout = 0.2;
  if (preset == "llama") c.kv_heads = 1;
  if (preset == "t5") c.activation = "silu";  // finite differences must not cross a kink
  if (preset == "bert") c.classes = 3;
  return c;
}

Inputs inputs_for(const ModelConfig& c, Device device) {
  Inputs in;
  if (c.architecture != "decoder") {
    in.source = Tensor::from(std::vector<int>{4, 5, 6, 7, 8, 9, 10, 0}, {2, 4}, device);
    in.source_lengths = Tensor::from(std::vector<int>{4, 3}, {2}, device);
  }
  if (c.architecture == "encoder" && c.classes == 0)
    in.positions = Tensor::from(std::vector<int>{1, 2, 5}, {3}, device);
  if (c.architecture != "encoder")
    in.target = Tensor::from(std::vector<int>{2, 5, 9, 2, 10, 0}, {2, 3}, device);
  return in;
}

// The whole model as a function of its parameters, dropout included (its draws are fixed by the
// key).
GradResult check_model(const ModelConfig& config, Device device) {
  Model model(config, 3, Dtype::f64, device);
  Inputs in = inputs_for(model.config(), device);
  std::vector<Tensor> values;
  for (const Parameter& p : model.parameters().list())
    if (p.name != "logit_bias") values.push_back(p.value.detach());  // a buffer: no gradient
  auto run = [&](const std::vector<Tensor>& x) {
    long i = 0;
    for (const Parameter& p : model.parameters().list()) {
      if (p.name == "logit_bias") continue;
      // The copies under test take the place of the model's own numbers and nodes.
      device_copy(device, p.value.data<double>(), device, x[size_t(i)].data<double>(),
                  x[size_t(i)].size() * sizeof(double));
      // Orders below 0 come after every operator, and each is its own.
      *p.value.node = Node{
          "copy", -1 - i,        {x[size_t(i)].node}, [](const Tensor& dy) { return Grads{dy}; },
          {},     p.value.shape, p.value.dtype};
      i++;
    }
    Pass pass;
    pass.training = true;
    return model.forward(in, pass).logits;
  };
  GradOptions o;
  o.elements = device == Device::cuda ? 1 : 6, o.device = device;
  return check_gradients(run, values, o);
}

}  // namespace

std::vector<GradCase> layer_cases() {
  std::vector<GradCase> cases;
  for (const char* preset : {"gpt2", "bert", "bart", "t5", "t5-v1.1", "llama"})
    cases.push_back({std::string("model:") + preset,
                     [c = small(preset)](Device d) { return check_model(c, d); }});
  ModelConfig masked = small("bert");
  masked.classes = 0;
  cases.push_back({"model:bert-masked", [masked](Device d) { return check_model(masked, d); }});
  return cases;
}

}  // namespace retort
