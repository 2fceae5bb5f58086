#include "models/config.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "engine/suggest.h"

namespace retort {
namespace {

using Json = nlohmann::json;

// Every field once: reading, writing and the list of known names follow from it.
template <class C, class V>
void visit(C& c, V v) {
  v("architecture", c.architecture), v("vocab", c.vocab), v("width", c.width), v("heads", c.heads);
  v("kv_heads", c.kv_heads), v("head_size", c.head_size), v("layers", c.layers);
  v("encoder_layers", c.encoder_layers), v("ffn", c.ffn), v("max_positions", c.max_positions);
  v("positions", c.positions), v("position_offset", c.position_offset);
  v("relative_buckets", c.relative_buckets), v("relative_distance", c.relative_distance);
  v("norm", c.norm), v("pre_norm", c.pre_norm), v("final_norm", c.final_norm);
  v("embedding_norm", c.embedding_norm), v("norm_eps", c.norm_eps), v("activation", c.activation);
  v("gated", c.gated), v("bias", c.bias), v("tied", c.tied),
      v("scale_attention", c.scale_attention);
  v("logit_scale", c.logit_scale), v("logit_bias", c.logit_bias),
      v("embedding_scale", c.embedding_scale);
  v("token_types", c.token_types), v("classes", c.classes), v("dropout", c.dropout);
  v("attention_dropout", c.attention_dropout), v("init_std", c.init_std);
  v("pad", c.pad), v("bos", c.bos), v("eos", c.eos);
}

[[noreturn]] void bad(const std::string& what) { throw std::invalid_argument("model: " + what); }

void one_of(const char* field, const std::string& value, const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& n : names) {
    if (n == value) return;
    list += (list.empty() ? "" : ", ") + n;
  }
  bad(std::string(field) + ": no \"" + value + "\"; there are: " + list +
      did_you_mean(value, names));
}

}  // namespace

std::string ModelConfig::to_json() const {
  Json j;
  visit(*this, [&](const char* key, const auto& value) { j[key] = value; });
  return j.dump();
}

std::string ModelConfig::difference(const std::string& json) const {
  Json theirs = Json::parse(json, nullptr, false), ours = Json::parse(to_json());
  if (!theirs.is_object()) return "the file holds no configuration";
  for (const auto& [key, value] : ours.items())
    if (key != "dropout" && key != "attention_dropout" && key != "init_std" && theirs[key] != value)
      return key + " = " + theirs[key].dump() + ", the recipe says " + value.dump();
  return "";
}

ModelConfig ModelConfig::from_json(const std::string& text) {
  Json j = Json::parse(text);
  if (!j.is_object()) bad("expected a table of fields");
  ModelConfig c;
  std::vector<std::string> names;
  visit(c, [&](const char* key, auto& value) {
    names.push_back(key);
    auto found = j.find(key);
    if (found == j.end()) return;
    using T = std::decay_t<decltype(value)>;
    bool fits = std::is_same_v<T, bool>          ? found->is_boolean()
                : std::is_same_v<T, std::string> ? found->is_string()
                : std::is_same_v<T, int>
                    ? found->is_number_integer() && found->get<int64_t>() == found->get<int>()
                    : found->is_number();
    if (!fits)
      bad(std::string(key) + " = " + found->dump() +
          " has the wrong type or size, expected one like " + Json(value).dump());
    value = found->get<T>();
    j.erase(found);
  });
  if (!j.empty()) {
    std::string key = j.begin().key();
    bad("unknown field \"" + key + "\"" + did_you_mean(key, names));
  }
  return c;
}

ModelConfig ModelConfig::preset(const std::string& name) {
  ModelConfig c;
  if (name == "gpt2") {
    c.activation = "gelu_tanh", c.max_positions = 1024, c.dropout = c.attention_dropout = 0.1;
  } else if (name == "bert") {
    c.architecture = "encoder", c.pre_norm = false, c.embedding_norm = true, c.norm_eps = 1e-12,
    c.token_types = 2;
    c.classes = 2, c.dropout = c.attention_dropout = 0.1;
  } else if (name == "bart") {
    c.architecture = "encoder_decoder", c.pre_norm = false, c.embedding_norm = true,
    c.position_offset = 2;
    c.logit_bias = true, c.max_positions = 1024, c.dropout = 0.1;
  } else if (name == "t5" || name == "t5-v1.1") {
    c.architecture = "encoder_decoder", c.positions = "relative", c.norm = "rms_norm",
    c.norm_eps = 1e-6;
    c.bias = false, c.scale_attention = false, c.dropout = c.attention_dropout = 0.1,
    c.activation = "relu";
    if (name == "t5-v1.1") c.gated = true, c.activation = "gelu_tanh", c.tied = false;
    // T5 v1.0 scales the tied logits by width^-0.5; the width is the caller's, so 0 stands for
    // that.
    if (name == "t5") c.logit_scale = 0;
  } else if (name == "llama") {
    c.positions = "rotary", c.norm = "rms_norm", c.norm_eps = 1e-5, c.bias = false, c.gated = true;
    c.activation = "silu", c.tied = false, c.max_positions = 4096;
  } else {
    std::vector<std::string> names = {"gpt2", "bert", "bart", "t5", "t5-v1.1", "llama"};
    std::string near = nearest(name, names);
    bad("no preset \"" + name + "\"; there are: gpt2, bert, bart, t5, t5-v1.1, llama" +
        (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
  return c;
}

void ModelConfig::check() const {
  one_of("architecture", architecture, {"decoder", "encoder", "encoder_decoder"});
  one_of("positions", positions, {"learned", "rotary", "relative", "none"});
  one_of("norm", norm, {"layer_norm", "rms_norm"});
  one_of("activation", activation, {"gelu", "gelu_tanh", "relu", "silu"});
  auto positive = [](const char* field, int v) {
    if (v <= 0) bad(std::string(field) + " = " + std::to_string(v) + " must be positive");
  };
  positive("vocab", vocab), positive("width", width), positive("heads", heads),
      positive("layers", layers);
  positive("max_positions", max_positions);
  auto not_negative = [](const char* field, double v) {
    if (!(v >= 0)) bad(std::string(field) + " must not be negative, got " + Json(v).dump());
  };
  not_negative("kv_heads", kv_heads), not_negative("head_size", head_size);
  not_negative("encoder_layers", encoder_layers), not_negative("ffn", ffn);
  not_negative("position_offset", position_offset), not_negative("token_types", token_types);
  not_negative("init_std", init_std), not_negative("norm_eps", norm_eps);
  if (head_size == 0 && width % heads)
    bad("width " + std::to_string(width) + " is no multiple of heads " + std::to_string(heads) +
        "; give head_size");
  int kv = kv_heads ? kv_heads : heads;
  if (kv < 0 || heads % kv)
    bad("heads " + std::to_string(heads) + " is no multiple of kv_heads " + std::to_string(kv));
  if (positions == "rotary" && (head_size ? head_size : width / heads) % 2)
    bad("rotary positions need an even head size");
  if (positions == "relative" && relative_buckets < 4) bad("relative_buckets must be at least 4");
  for (double p : {dropout, attention_dropout})
    if (!(p >= 0 && p < 1)) bad("dropout must be in [0, 1)");
  for (int id : {pad, bos, eos})
    if (id < 0 || id >= vocab)
      bad("special id " + std::to_string(id) + " is outside the vocabulary of " +
          std::to_string(vocab));
  not_negative("classes", classes);
}

}  // namespace retort
