// A published config.json in this engine's words.
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/check.h"
#include "models/published.h"

namespace retort {
namespace {

using Json = nlohmann::json;

struct Reader {
  const Json& json;

  [[noreturn]] void wrong(const std::string& key, const std::string& what) const {
    fail("published configuration: \"" + key + "\" " + what);
  }
  template <class T>
  T get(const std::string& key) const {
    auto found = json.find(key);
    if (found == json.end() || found->is_null()) wrong(key, "is missing");
    bool fits = std::is_same_v<T, bool>          ? found->is_boolean()
                : std::is_same_v<T, int>         ? found->is_number_integer()
                : std::is_same_v<T, std::string> ? found->is_string()
                                                 : found->is_number();
    if (!fits) wrong(key, "= " + found->dump() + " has the wrong type");
    return found->get<T>();
  }
  template <class T>
  T get(const std::string& key, T otherwise) const {
    auto found = json.find(key);
    return found == json.end() || found->is_null() ? otherwise : get<T>(key);
  }
  std::string activation(const std::string& key, const std::string& otherwise) const {
    std::string a = get<std::string>(key, otherwise);
    if (a == "gelu_new" || a == "gelu_pytorch_tanh") return "gelu_tanh";
    if (a == "swish") return "silu";
    if (a != "gelu" && a != "relu" && a != "silu") wrong(key, "= \"" + a + "\" is not known here");
    return a;
  }
  // Both stacks of an encoder-decoder have the same blocks here.
  int same(const std::string& encoder, const std::string& decoder) const {
    int n = get<int>(encoder);
    if (get<int>(decoder) != n) wrong(decoder, "differs from \"" + encoder + "\"");
    return n;
  }
};

void gpt2(const Reader& r, ModelConfig& c) {
  c.width = r.get<int>("n_embd"), c.heads = r.get<int>("n_head"), c.layers = r.get<int>("n_layer");
  c.ffn = r.get<int>("n_inner", 0), c.max_positions = r.get<int>("n_positions");
  c.activation = r.activation("activation_function", "gelu_new");
  c.norm_eps = r.get<double>("layer_norm_epsilon", 1e-5);
  c.dropout = r.get<double>("resid_pdrop", 0.1);
  c.attention_dropout = r.get<double>("attn_pdrop", 0.1);
  c.bos = r.get<int>("bos_token_id", c.vocab - 1), c.eos = r.get<int>("eos_token_id", c.vocab - 1);
}

void bert(const Reader& r, ModelConfig& c) {
  c.width = r.get<int>("hidden_size"), c.heads = r.get<int>("num_attention_heads");
  c.layers = r.get<int>("num_hidden_layers"), c.ffn = r.get<int>("intermediate_size");
  c.max_positions = r.get<int>("max_position_embeddings");
  c.token_types = r.get<int>("type_vocab_size", 2);
  c.activation = r.activation("hidden_act", "gelu");
  c.norm_eps = r.get<double>("layer_norm_eps", 1e-12);
  c.dropout = r.get<double>("hidden_dropout_prob", 0.1);
  c.attention_dropout = r.get<double>("attention_probs_dropout_prob", 0.1);
  auto labels = r.json.find("id2label");
  c.classes = r.get<int>("num_labels", labels == r.json.end() ? 2 : int(labels->size()));
}

void bart(const Reader& r, ModelConfig& c) {
  c.width = r.get<int>("d_model");
  c.heads = r.same("encoder_attention_heads", "decoder_attention_heads");
  c.ffn = r.same("encoder_ffn_dim", "decoder_ffn_dim");
  c.encoder_layers = r.get<int>("encoder_layers"), c.layers = r.get<int>("decoder_layers");
  c.max_positions = r.get<int>("max_position_embeddings");
  c.activation = r.activation("activation_function", "gelu");
  if (r.get<bool>("scale_embedding", false)) c.embedding_scale = std::sqrt(double(c.width));
  c.dropout = r.get<double>("dropout", 0.1);
  c.attention_dropout = r.get<double>("attention_dropout", 0);
  c.bos = r.get<int>("decoder_start_token_id", 2), c.eos = r.get<int>("eos_token_id", 2);
}

void t5(const Reader& r, ModelConfig& c) {
  c.width = r.get<int>("d_model"), c.heads = r.get<int>("num_heads");
  c.head_size = r.get<int>("d_kv"), c.ffn = r.get<int>("d_ff");
  c.encoder_layers = r.get<int>("num_layers");
  c.layers = r.get<int>("num_decoder_layers", c.encoder_layers);
  c.relative_buckets = r.get<int>("relative_attention_num_buckets", 32);
  c.relative_distance = r.get<int>("relative_attention_max_distance", 128);
  c.norm_eps = r.get<double>("layer_norm_epsilon", 1e-6);
  std::string ffn = r.get<std::string>("feed_forward_proj", "relu");
  c.gated = ffn.rfind("gated-", 0) == 0;
  c.activation = ffn == "gated-gelu" ? "gelu_tanh" : c.gated ? ffn.substr(6) : ffn;
  c.tied = r.get<bool>("tie_word_embeddings", true);
  c.logit_scale = c.tied ? 0 : 1;
  c.dropout = c.attention_dropout = r.get<double>("dropout_rate", 0.1);
  c.bos = r.get<int>("decoder_start_token_id", 0), c.eos = r.get<int>("eos_token_id", 1);
}

}  // namespace

ModelConfig published_config(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  ENSURE(json.is_object(), "published configuration: expected a JSON object");
  Reader r{json};
  std::string family = r.get<std::string>("model_type");
  ENSURE(family == "gpt2" || family == "bert" || family == "bart" || family == "t5",
         "published configuration: model_type \"" + family +
             "\" is not known; there are gpt2, bert, bart, t5");
  ModelConfig c = ModelConfig::preset(family);
  c.vocab = r.get<int>("vocab_size");
  c.pad = r.get<int>("pad_token_id", 0);
  family == "gpt2"   ? gpt2(r, c)
  : family == "bert" ? bert(r, c)
  : family == "bart" ? bart(r, c)
                     : t5(r, c);
  if (family == "gpt2") c.tied = r.get<bool>("tie_word_embeddings", true);
  c.check();
  return c;
}

}  // namespace retort
