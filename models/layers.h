// Layers: parameters and a forward function each. Shapes: B batch, T length, C width, H heads, K
// key heads, D head size.
#pragma once
#include "engine/parameters.h"
#include "models/config.h"
#include "models/model.h"

namespace retort {

/// x W^T + b.
struct Linear {
  Tensor weight, bias;  // (O, I), (O) or undefined
  Linear() = default;
  Linear(Parameters& p, const std::string& name, int in, int out, bool bias, double std);
  Tensor operator()(const Tensor& x, std::optional<Dtype> out = {}) const {
    return linear(x, weight, bias, out);
  }
};

/// LayerNorm or RMSNorm.
struct Norm {
  Tensor gain, bias;
  double eps = 0;
  Norm() = default;
  Norm(Parameters& p, const std::string& name, const ModelConfig& c);
  Tensor operator()(const Tensor& x) const;
};

/// act(x W0) W1, or act(x Wg) * (x Wu) W1 when gated.
struct FeedForward {
  Linear in, gate, out;
  std::string activation;
  FeedForward() = default;
  FeedForward(Parameters& p, const std::string& name, const ModelConfig& c, double out_std);
  Tensor operator()(const Tensor& x) const;
};

/// One decoder layer's keys and values, the K heads of keys before those of values: of the tokens
/// so far (B, capacity, 2 K, D), of the source (B, S, 2 K, D).
struct LayerCache {
  Tensor own, cross;
};

/// What a block's attention sees besides its input.
struct Context {
  Pass* pass = nullptr;
  bool causal = false;
  Tensor lengths;                 ///< self-attention's keys per row, (B); undefined: all
  Tensor bias;                    ///< relative positions, (H, T + S - 1) or (B, ...), or undefined
  Tensor positions;               ///< (B, T), for the cache
  Tensor angles;                  ///< rotary positions' (B, T, D), or undefined
  Tensor memory, memory_lengths;  ///< encoder output (B, S, C), for cross-attention
  LayerCache* cache = nullptr;
  int cache_length = 0;  ///< keys to read from the cache, new ones included; 0: prefill, read none
};

struct SelfAttention {
  Linear qkv, out;  // rows of qkv: H query heads, K key heads, K value heads, D each
  int heads = 0, kv_heads = 0, head_size = 0;
  double scale = 0, dropout = 0;
  SelfAttention() = default;
  SelfAttention(Parameters& p, const std::string& name, const ModelConfig& c, double out_std);
  Tensor operator()(const Tensor& x, const Context& context) const;
};

struct CrossAttention {
  Linear q, kv, out;
  int heads = 0, kv_heads = 0, head_size = 0;
  double scale = 0, dropout = 0;
  CrossAttention() = default;
  CrossAttention(Parameters& p, const std::string& name, const ModelConfig& c, double out_std);
  Tensor operator()(const Tensor& x, const Context& context) const;
};

/// BERT's head for masked tokens: norm(gelu(x W + b)) E^T + c, E the token embeddings (always,
/// whatever `tied` says).
struct MaskedHead {
  Linear dense;
  Norm norm;
  Tensor bias;  // (V)
  MaskedHead(Parameters& p, const ModelConfig& c);
  /// Hidden states (N, C) and embeddings (V, C) -> logits (N, V), f32 of bf16.
  Tensor operator()(const Tensor& x, const Tensor& tokens) const;
};

/// Dropout of a training pass, nothing otherwise.
Tensor drop(const Tensor& x, double p, Pass* pass);

}  // namespace retort
