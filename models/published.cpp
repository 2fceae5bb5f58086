// Names of published weights. Each of our parameters is one published tensor or several, stacked by
// rows (query, key and value lie in one matrix here); GPT-2 stores its matrices transposed.
#include "models/published.h"

#include "engine/ops.h"
#include "engine/suggest.h"

namespace retort {
namespace {

struct Entry {
  std::string ours;
  std::vector<std::string> theirs;  // stacked by rows
  bool transposed = false;
  std::vector<std::string> copies;  // other names of the same tensor, tied to it
};

// The list of entries of one family.
struct Names {
  const ModelConfig& config;
  std::vector<Entry> entries;
  std::string prefix;                // what names of the bare model lack
  std::vector<std::string> ignored;  // ends of names of stored constants
  bool transposed = false;

  void one(const std::string& ours, const std::string& theirs,
           const std::vector<std::string>& copies = {}) {
    entries.push_back({ours, {theirs}, false, copies});
  }
  void linear(const std::string& ours, const std::vector<std::string>& theirs, bool bias) {
    Entry weight{ours + ".weight", {}, transposed, {}}, offset{ours + ".bias", {}, false, {}};
    for (const std::string& t : theirs) {
      weight.theirs.push_back(t + ".weight");
      offset.theirs.push_back(t + ".bias");
    }
    entries.push_back(weight);
    if (bias) entries.push_back(offset);
  }
  void linear(const std::string& ours, const std::vector<std::string>& theirs) {
    linear(ours, theirs, config.bias);
  }
  void norm(const std::string& ours, const std::string& theirs) {
    one(ours + ".gain", theirs + ".weight");
    if (config.norm == "layer_norm") one(ours + ".bias", theirs + ".bias");
  }
  int depth(const std::string& stack) const {
    bool both = config.architecture == "encoder_decoder";
    return both && stack == "encoder" && config.encoder_layers ? config.encoder_layers
                                                               : config.layers;
  }
};

void gpt2(Names& n) {
  n.prefix = "transformer.", n.transposed = true;
  n.ignored = {".attn.bias", ".attn.masked_bias"};
  n.one("tokens", "transformer.wte.weight",
        n.config.tied ? std::vector<std::string>{"lm_head.weight"} : std::vector<std::string>{});
  n.one("decoder.positions", "transformer.wpe.weight");
  for (int i = 0; i < n.config.layers; i++) {
    std::string a = "decoder.layers." + std::to_string(i) + ".",
                b = "transformer.h." + std::to_string(i) + ".";
    n.linear(a + "self.qkv", {b + "attn.c_attn"});
    n.linear(a + "self.out", {b + "attn.c_proj"});
    n.norm(a + "self_norm", b + "ln_1");
    n.linear(a + "ffn.in", {b + "mlp.c_fc"});
    n.linear(a + "ffn.out", {b + "mlp.c_proj"});
    n.norm(a + "ffn_norm", b + "ln_2");
  }
  n.norm("decoder.final_norm", "transformer.ln_f");
  if (!n.config.tied) n.one("head.weight", "lm_head.weight");
}

void bert(Names& n) {
  n.prefix = "bert.", n.ignored = {"embeddings.position_ids"};
  std::string e = "bert.embeddings.";
  n.one("tokens", e + "word_embeddings.weight");
  n.one("encoder.positions", e + "position_embeddings.weight");
  n.one("encoder.types", e + "token_type_embeddings.weight");
  n.norm("encoder.embedding_norm", e + "LayerNorm");
  for (int i = 0; i < n.config.layers; i++) {
    std::string a = "encoder.layers." + std::to_string(i) + ".",
                b = "bert.encoder.layer." + std::to_string(i) + ".", s = b + "attention.self.";
    n.linear(a + "self.qkv", {s + "query", s + "key", s + "value"});
    n.linear(a + "self.out", {b + "attention.output.dense"});
    n.norm(a + "self_norm", b + "attention.output.LayerNorm");
    n.linear(a + "ffn.in", {b + "intermediate.dense"});
    n.linear(a + "ffn.out", {b + "output.dense"});
    n.norm(a + "ffn_norm", b + "output.LayerNorm");
  }
  n.linear("pooler", {"bert.pooler.dense"}, true);
  n.linear("classifier", {"classifier"}, true);
}

void bart(Names& n) {
  n.prefix = "model.";
  n.one(
      "tokens", "model.shared.weight",
      {"model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"});
  for (std::string stack : {"encoder", "decoder"}) {
    std::string m = "model." + stack + ".";
    n.one(stack + ".positions", m + "embed_positions.weight");
    n.norm(stack + ".embedding_norm", m + "layernorm_embedding");
    for (int i = 0; i < n.depth(stack); i++) {
      std::string at = "layers." + std::to_string(i) + ".", a = stack + "." + at, b = m + at,
                  s = b + "self_attn.", x = b + "encoder_attn.";
      n.linear(a + "self.qkv", {s + "q_proj", s + "k_proj", s + "v_proj"});
      n.linear(a + "self.out", {s + "out_proj"});
      n.norm(a + "self_norm", b + "self_attn_layer_norm");
      if (stack == "decoder") {
        n.linear(a + "cross.q", {x + "q_proj"});
        n.linear(a + "cross.kv", {x + "k_proj", x + "v_proj"});
        n.linear(a + "cross.out", {x + "out_proj"});
        n.norm(a + "cross_norm", b + "encoder_attn_layer_norm");
      }
      n.linear(a + "ffn.in", {b + "fc1"});
      n.linear(a + "ffn.out", {b + "fc2"});
      n.norm(a + "ffn_norm", b + "final_layer_norm");
    }
  }
  n.one("logit_bias", "final_logits_bias");
}

void t5(Names& n) {
  std::vector<std::string> copies{"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"};
  if (n.config.tied) copies.push_back("lm_head.weight");
  n.one("tokens", "shared.weight", copies);
  // Early files keep a table that the published model never read.
  n.ignored = {"EncDecAttention.relative_attention_bias.weight"};
  for (std::string stack : {"encoder", "decoder"}) {
    n.one(stack + ".relative",
          stack + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight");
    for (int i = 0; i < n.depth(stack); i++) {
      std::string a = stack + ".layers." + std::to_string(i) + ".",
                  b = stack + ".block." + std::to_string(i) + ".layer.", s = b + "0.SelfAttention.",
                  x = b + "1.EncDecAttention.";
      n.linear(a + "self.qkv", {s + "q", s + "k", s + "v"});
      n.linear(a + "self.out", {s + "o"});
      n.norm(a + "self_norm", b + "0.layer_norm");
      if (stack == "decoder") {
        n.linear(a + "cross.q", {x + "q"});
        n.linear(a + "cross.kv", {x + "k", x + "v"});
        n.linear(a + "cross.out", {x + "o"});
        n.norm(a + "cross_norm", b + "1.layer_norm");
      }
      std::string last = b + (stack == "decoder" ? "2." : "1."), f = last + "DenseReluDense.";
      if (n.config.gated) n.linear(a + "ffn.gate", {f + "wi_0"});
      n.linear(a + "ffn.in", {f + (n.config.gated ? "wi_1" : "wi")});
      n.linear(a + "ffn.out", {f + "wo"});
      n.norm(a + "ffn_norm", last + "layer_norm");
    }
    n.norm(stack + ".final_norm", stack + ".final_layer_norm");
  }
  if (!n.config.tied) n.one("head.weight", "lm_head.weight");
}

Names names_of(const ModelConfig& config, const std::string& family) {
  Names n{config, {}, "", {}};
  if (family == "gpt2") {
    gpt2(n);
  } else if (family == "bert") {
    bert(n);
  } else if (family == "bart") {
    bart(n);
  } else if (family == "t5") {
    t5(n);
  } else {
    fail("published weights: no family \"" + family + "\"; there are gpt2, bert, bart, t5");
  }
  return n;
}

bool ends_with(const std::string& s, const std::string& end) {
  return s.size() >= end.size() && s.compare(s.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

std::map<std::string, Tensor> from_published(const ModelConfig& config, const std::string& family,
                                             const std::map<std::string, Tensor>& tensors) {
  NoGrad quiet;
  Names names = names_of(config, family);
  auto bare = [&](const std::string& s) {
    return s.rfind(names.prefix, 0) == 0 ? s.substr(names.prefix.size()) : s;
  };
  std::map<std::string, Tensor> left, out;
  for (const auto& [name, tensor] : tensors) left[bare(name)] = tensor;
  std::vector<std::string> known;
  auto take = [&](const std::string& name) {
    known.push_back(name);
    auto found = left.find(bare(name));
    Tensor t = found == left.end() ? Tensor() : found->second;
    if (found != left.end()) left.erase(found);
    return t;
  };
  for (const Entry& e : names.entries) {
    std::vector<Tensor> parts;
    for (const std::string& name : e.theirs) {
      Tensor t = take(name);
      for (const std::string& copy : e.copies) {
        Tensor other = take(copy);
        if (!t.defined()) t = other;
      }
      ENSURE(t.defined(), "published weights: tensor \"" + name + "\" is missing");
      ENSURE(!e.transposed || t.rank() == 2,
             "published weights: tensor \"" + name + "\": expected a matrix, got " + text(t.shape));
      ENSURE(parts.empty() || parts[0].shape == t.shape,
             "published weights: tensor \"" + name + "\" has shape " + text(t.shape) + ", \"" +
                 e.theirs[0] + "\" has " + text(parts[0].shape));
      parts.push_back(e.transposed ? transpose(t) : t);
    }
    out[e.ours] = parts.size() == 1 ? contiguous(parts[0]) : concat(parts, 0);
    if (e.ours == "logit_bias") out[e.ours] = reshape(out[e.ours], {-1});  // (1, V) there
  }
  for (const auto& [name, tensor] : left) {
    bool constant = false;
    for (const std::string& end : names.ignored) constant |= ends_with(name, end);
    std::string near = nearest(name, known);
    ENSURE(constant, "published weights: unknown tensor \"" + name + "\"" +
                         (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
  return out;
}

std::map<std::string, Tensor> to_published(const ModelConfig& config, const std::string& family,
                                           const std::map<std::string, Tensor>& values) {
  NoGrad quiet;
  std::map<std::string, Tensor> out;
  for (const Entry& e : names_of(config, family).entries) {
    auto found = values.find(e.ours);
    ENSURE(found != values.end(), "published weights: parameter \"" + e.ours + "\" is missing");
    int parts = int(e.theirs.size()), rows = found->second.dim(0) / parts;
    for (int i = 0; i < parts; i++) {
      Tensor t = slice(found->second, 0, i * rows, rows);
      if (e.ours == "logit_bias") t = reshape(t, {1, -1});
      out[e.theirs[size_t(i)]] = contiguous(e.transposed ? transpose(t) : t);
    }
  }
  return out;
}

}  // namespace retort
