// Blocks and stacks: what the three architectures are made of.
#pragma once
#include <optional>

#include "models/layers.h"

namespace retort {

/// Self-attention, cross-attention in a decoder with memory, feed-forward; norms before or after
/// each.
struct Block {
  SelfAttention self;
  std::optional<CrossAttention> cross;
  FeedForward ffn;
  Norm self_norm, cross_norm, ffn_norm;
  bool pre_norm;
  double dropout;
  Block(Parameters& p, const std::string& name, const ModelConfig& c, int depth, bool with_cross);
  Tensor operator()(Tensor x, const Context& context) const;
};

/// Token, position and type embeddings, blocks, final norm.
struct Stack {
  const ModelConfig& config;
  Tensor tokens;                      // (V, C), shared between stacks
  Tensor positions, types, relative;  // tables, where the config has them
  Norm embedding_norm, final_norm;
  std::vector<Block> blocks;
  bool decoder;  ///< causal
  Stack(Parameters& p, const std::string& name, const ModelConfig& c, const Tensor& tokens,
        int depth, bool decoder, bool with_cross);
  /// ids (B, T) at absolute positions `first`[b] + t. Fills *hidden (embedding output and each
  /// block's) when given. context.positions and bias are set here.
  Tensor operator()(const Tensor& ids, const Tensor& token_types, const std::vector<int>& first,
                    Context context, std::vector<LayerCache>* caches,
                    std::vector<Tensor>* hidden) const;
  /// Bias (H, T + S - 1) of queries at positions first + i against keys j (T5: Raffel et al. 2020,
  /// section 2.1).
  Tensor relative_bias(int T, int S, int first) const;
};

}  // namespace retort
