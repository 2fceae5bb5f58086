// What a transformer is made of. One set of blocks, three architectures; presets name published
// shapes.
#pragma once
#include <string>
#include <vector>

namespace retort {

struct ModelConfig {
  std::string architecture = "decoder";  ///< decoder, encoder, encoder_decoder
  int vocab = 0, width = 256, heads = 4, kv_heads = 0 /* 0: heads */,
      head_size = 0 /* 0: width/heads */;
  int layers = 4;          ///< of the decoder, or of the encoder of an encoder-only model
  int encoder_layers = 0;  ///< of an encoder_decoder; 0: layers
  int ffn = 0;             ///< inner width of the feed-forward; 0: 4 width
  int max_positions = 512;
  std::string positions = "learned";  ///< learned, rotary, relative (T5's buckets), none
  int position_offset = 0;            ///< BART's learned positions start at 2
  int relative_buckets = 32, relative_distance = 128;
  std::string norm = "layer_norm";  ///< layer_norm, rms_norm
  bool pre_norm = true;             ///< norm before each sublayer (GPT-2, T5) or after (BERT, BART)
  bool final_norm = true;           ///< after the last block (pre-norm models)
  bool embedding_norm = false;      ///< after the embeddings (BERT, BART)
  double norm_eps = 1e-5;
  std::string activation = "gelu";  ///< gelu, gelu_tanh, relu, silu
  bool gated = false;               ///< act(x W0) * (x W1) (T5 v1.1, Llama)
  bool bias = true;                 ///< in linear layers
  bool tied = true;                 ///< output projection = token embedding
  bool scale_attention = true;      ///< scores / sqrt(head size); T5: false
  double logit_scale = 1;           ///< T5 v1.0 with tied embeddings: width^-0.5
  bool logit_bias = false;          ///< BART's final_logits_bias (a buffer, not trained)
  double embedding_scale = 1;       ///< BART's scale_embedding: sqrt(width)
  int token_types = 0;              ///< BERT: 2
  int classes = 0;                  ///< encoder: size of the classification head; 1 = regression,
                                    ///< 0 = a head that predicts masked tokens instead
  double dropout = 0, attention_dropout = 0;
  double init_std = 0.02;
  int pad = 0, bos = 2, eos = 3;  ///< token ids; bos starts a decoder

  /// JSON text of every field, and back; unknown or mistyped fields are errors that name them.
  std::string to_json() const;
  static ModelConfig from_json(const std::string& json);
  /// The first field in which this is another function than the model of a file, whose
  /// configuration is `json`: "heads = 4, the recipe says 2"; "" where there is none.
  std::string difference(const std::string& json) const;
  /// Published shapes: "gpt2", "bert", "bart", "t5" (v1.0), "t5-v1.1", "llama": flags as those
  /// models set them; sizes are the caller's.
  static ModelConfig preset(const std::string& name);
  void check() const;  ///< throws, naming the field, on sizes that cannot be
};

}  // namespace retort
