// The three transformers, from one set of blocks (models/blocks.h). Shapes: B batch, S source
// length, T target length, C width, V vocabulary.
#pragma once
#include <functional>

#include "engine/parameters.h"
#include "models/config.h"

namespace retort {

/// How a forward pass runs: with or without dropout, and from which randomness. Each dropout takes
/// the next site, so a pass is a function of (seed, step, sequence).
struct Pass {
  bool training = false;
  RandomKey key;
  uint32_t sites = 0;  ///< handed out so far
  RandomKey next() {
    RandomKey k = key;
    k.site = ++sites;
    return k;
  }
};

/// Token batches, right-padded, i32. decoder: target only. encoder: source only. encoder_decoder:
/// both.
struct Inputs {
  Tensor source, source_lengths;  ///< (B, S), (B)
  Tensor target, target_lengths;  ///< (B, T) decoder input, (B)
  Tensor token_types;             ///< (B, S), BERT; undefined: all 0
  Tensor positions = {};          ///< (N), of B S: masked tokens to predict; undefined: all
};

struct Outputs {
  /// (B, T, V), or of an encoder (B, classes), (N, V) where it has no classes; f32 of a bf16 model.
  Tensor logits;
  std::vector<Tensor> encoder_hidden,
      hidden;  ///< embedding output and each block's, when asked for
};

/// Keys and values a decoder has seen; made by Model::start, grown by Model::next.
struct Cache;

class Model {
 public:
  /// Parameters are drawn from `seed` by name. bf16: weights, activations and caches are, logits
  /// are f32. `more` declares parameters that are trained with the model's and that no forward pass
  /// reads.
  Model(const ModelConfig& config, uint64_t seed, Dtype dtype = Dtype::f32,
        Device device = Device::cpu, const std::function<void(Parameters&)>& more = {});

  Outputs forward(const Inputs& inputs, Pass& pass, bool hidden = false) const;

  /// Decoding: reads source and prompt (inputs.target, right-padded, at least one token per row),
  /// returns the cache and, in *logits, (B, V) of each row's last prompt position. `capacity` is
  /// the longest target.
  std::shared_ptr<Cache> start(const Inputs& inputs, int capacity, Tensor* logits) const;
  /// One more token per row (host ids, size B) -> logits (B, V).
  Tensor next(Cache& cache, const std::vector<int>& tokens) const;
  /// Keeps rows `order` of the cache (beam search reorders, finished rows leave).
  void select(Cache& cache, const std::vector<int>& order) const;

  const ModelConfig& config() const { return *config_; }
  Device device() const { return parameters_.device(); }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  /// Parameters without token and position embeddings and output projection.
  size_t non_embedding_count() const;

 private:
  struct Net;
  std::shared_ptr<const ModelConfig> config_;
  Parameters parameters_;
  std::shared_ptr<const Net> net_;
};

/// Copies embeddings, head and the listed teacher layers into the student ("0,2,5"; for an
/// encoder-decoder "0,2,5/0,3": encoder / decoder). Returns the mapping in words, one line per
/// student layer. Of an encoder without classes only the encoder is copied into one with classes,
/// whose head stays as it was drawn. `from` is what errors call the teacher. Throws where widths
/// differ, naming the parameter.
std::string copy_layers(const Model& teacher, Model& student, const std::string& layers,
                        const std::string& from = "teacher");

}  // namespace retort
