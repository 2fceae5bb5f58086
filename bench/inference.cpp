// Without gradients: samples of students with a KV cache, an encoder's classification.
#include "bench/bench.h"
#include "engine/ops.h"
#include "engine/safetensors.h"
#include "models/decode.h"

namespace retort {
namespace {

constexpr int B = 64, kNew = 64, V = 8192, C = 512, L = 6, H = 8;

// Peers are compared by the logits of the first sequence's first token: samples differ.
std::function<Results()> sampling(std::shared_ptr<Model> model, const Inputs& in) {
  Inputs one = in;
  for (Tensor* x : {&one.source, &one.source_lengths, &one.target})
    if (x->defined()) *x = slice(*x, 0, 0, 1);
  return [=] {
    NoGrad quiet;
    DecodeOptions o;
    o.method = "sample", o.min_length = o.max_length = kNew;
    decode(*model, in, o);
    Tensor logits;
    model->start(one, one.target.dim(1), &logits);
    return Results{{"logits", logits}, {"score", slice(log_softmax(logits), 1, 5, 1)}};
  };
}

std::function<Results()> decoder(const std::string& folder) {
  ModelConfig c = ModelConfig::preset("gpt2");
  c.vocab = V, c.width = C, c.heads = H, c.layers = L, c.max_positions = 1024, c.init_std = 0.05;
  c.bos = c.eos = V - 1;
  auto model = std::make_shared<Model>(c, 1);
  publish(*model, "gpt2",
          {{"vocab_size", V},
           {"n_embd", C},
           {"n_layer", L},
           {"n_head", H},
           {"n_positions", 1024},
           {"activation_function", "gelu_pytorch_tanh"},
           {"bos_token_id", V - 1},
           {"eos_token_id", V - 1}},
          folder + "/model");
  Inputs in;
  in.target = random_ids({B, 16}, 3, V - 1);
  save_safetensors(folder + "/inputs.safetensors", {{"target", in.target}});
  return sampling(model, in);
}

std::function<Results()> encoder_decoder(const std::string& folder) {
  ModelConfig c = ModelConfig::preset("bart");
  c.vocab = V, c.width = C, c.heads = H, c.layers = c.encoder_layers = L, c.init_std = 0.05;
  c.max_positions = 1024, c.pad = 1, c.bos = c.eos = 2;
  auto model = std::make_shared<Model>(c, 1);
  publish(*model, "bart",
          {{"vocab_size", V},
           {"d_model", C},
           {"encoder_layers", L},
           {"decoder_layers", L},
           {"encoder_attention_heads", H},
           {"decoder_attention_heads", H},
           {"encoder_ffn_dim", 4 * C},
           {"decoder_ffn_dim", 4 * C},
           {"max_position_embeddings", 1024},
           {"normalize_before", false},  // CTranslate2 asks for it
           {"pad_token_id", 1},
           {"bos_token_id", 0},
           {"eos_token_id", 2},
           {"decoder_start_token_id", 2}},
          folder + "/model");
  Inputs in;
  in.source = random_ids({B, 64}, 3, V);
  in.source_lengths = Tensor::from(std::vector<int>(B, 64), {B});
  in.target = Tensor::from(std::vector<int>(B, 2), {B, 1});
  save_safetensors(folder + "/inputs.safetensors", {{"source", in.source}});
  return sampling(model, in);
}

std::function<Results()> encoder(const std::string& folder) {
  ModelConfig c = ModelConfig::preset("bert");
  c.vocab = 30522, c.width = 768, c.heads = 12, c.layers = 6, c.dropout = 0;
  c.attention_dropout = 0;
  auto model = std::make_shared<Model>(c, 1);
  publish(*model, "bert",
          {{"vocab_size", c.vocab},
           {"hidden_size", c.width},
           {"num_hidden_layers", c.layers},
           {"num_attention_heads", c.heads},
           {"intermediate_size", 4 * c.width},
           {"max_position_embeddings", c.max_positions}},
          folder + "/model");
  Inputs in;
  in.source = random_ids({32, 128}, 3, c.vocab);
  in.source_lengths = Tensor::from(std::vector<int>(32, 128), {32});
  save_safetensors(folder + "/inputs.safetensors", {{"source", in.source}});
  return [=] {
    NoGrad quiet;
    Pass pass;
    return Results{{"logits", model->forward(in, pass).logits}};
  };
}

}  // namespace

std::vector<Work> inference_works() {
  return {{"sample/decoder", decoder},
          {"sample/encoder-decoder", encoder_decoder},
          {"encode", encoder}};
}

}  // namespace retort
