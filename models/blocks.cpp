#include "models/blocks.h"

#include <algorithm>
#include <cmath>

namespace retort {

Block::Block(Parameters& p, const std::string& name, const ModelConfig& c, int depth,
             bool with_cross)
    : pre_norm(c.pre_norm), dropout(c.dropout) {
  // GPT-2's rule: what is added to the residual stream starts smaller in deeper models.
  double out_std = c.pre_norm ? c.init_std / std::sqrt(2.0 * depth) : c.init_std;
  self = SelfAttention(p, name + ".self", c, out_std);
  self_norm = Norm(p, name + ".self_norm", c);
  if (with_cross) {
    cross = CrossAttention(p, name + ".cross", c, out_std);
    cross_norm = Norm(p, name + ".cross_norm", c);
  }
  ffn = FeedForward(p, name + ".ffn", c, out_std);
  ffn_norm = Norm(p, name + ".ffn_norm", c);
}

Tensor Block::operator()(Tensor x, const Context& context) const {
  auto sublayer = [&](const Norm& norm, auto f) {
    x = pre_norm ? x + drop(f(norm(x)), dropout, context.pass)
                 : norm(x + drop(f(x), dropout, context.pass));
  };
  sublayer(self_norm, [&](const Tensor& h) { return self(h, context); });
  if (cross) sublayer(cross_norm, [&](const Tensor& h) { return (*cross)(h, context); });
  sublayer(ffn_norm, [&](const Tensor& h) { return ffn(h); });
  return x;
}

Stack::Stack(Parameters& p, const std::string& name, const ModelConfig& c, const Tensor& tokens,
             int depth, bool decoder, bool with_cross)
    : config(c), tokens(tokens), decoder(decoder) {
  if (c.positions == "learned")
    positions =
        p.add(name + ".positions", {c.max_positions + c.position_offset, c.width}, c.init_std);
  if (c.positions == "relative")
    relative = p.add(name + ".relative", {c.relative_buckets, c.heads}, c.init_std);
  if (c.token_types && !decoder)
    types = p.add(name + ".types", {c.token_types, c.width}, c.init_std);
  if (c.embedding_norm) embedding_norm = Norm(p, name + ".embedding_norm", c);
  for (int i = 0; i < depth; i++)
    blocks.emplace_back(p, name + ".layers." + std::to_string(i), c, depth, with_cross);
  if (c.pre_norm && c.final_norm) final_norm = Norm(p, name + ".final_norm", c);
}

Tensor Stack::relative_bias(int T, int S, int first) const {
  std::vector<int> buckets(size_t(T + S - 1));
  int n = decoder ? config.relative_buckets : config.relative_buckets / 2, exact = n / 2;
  for (int e = 0; e < T + S - 1; e++) {
    int distance = e - (T - 1) - first, bucket = !decoder && distance > 0 ? n : 0;
    int far = decoder ? std::max(0, -distance) : std::abs(distance);
    if (far >= exact) {
      float share = std::log(float(far) / float(exact)) /
                    std::log(float(config.relative_distance) / float(exact));
      far = std::min(n - 1, exact + int(share * float(n - exact)));
    }
    buckets[size_t(e)] = bucket + far;
  }
  return transpose(embedding(relative, Tensor::from(buckets, {T + S - 1}, tokens.device())));
}

Tensor Stack::operator()(const Tensor& ids, const Tensor& token_types,
                         const std::vector<int>& first, Context context,
                         std::vector<LayerCache>* caches, std::vector<Tensor>* hidden) const {
  ENSURE(ids.rank() == 2 && ids.dtype == Dtype::i32,
         "model: expected i32 ids (B, T), got " + text(ids.shape));
  int B = ids.dim(0), T = ids.dim(1);
  std::vector<int> at(size_t(B) * size_t(T));
  for (int b = 0; b < B; b++)
    for (int t = 0; t < T; t++) {
      at[size_t(b * T + t)] = first[size_t(b)] + t;
      ENSURE(first[size_t(b)] + t < config.max_positions || positions.storage == nullptr,
             "model: position " + std::to_string(first[size_t(b)] + t) +
                 " is beyond max_positions " + std::to_string(config.max_positions));
    }
  context.positions = Tensor::from(at, {B, T}, ids.device());
  if (config.positions == "rotary")
    context.angles = rotary_angles(context.positions, blocks.front().self.head_size, tokens.dtype);
  Tensor x = embedding(tokens, ids);
  if (config.embedding_scale != 1) x = scale(x, config.embedding_scale);
  if (positions.defined()) {
    std::vector<int> shifted = at;
    for (int& i : shifted) i += config.position_offset;
    x = x + embedding(positions, Tensor::from(shifted, {B, T}, ids.device()));
  }
  if (types.defined())
    x = x + embedding(types, token_types.defined() ? token_types
                                                   : Tensor::from(std::vector<int>(ids.size(), 0),
                                                                  ids.shape, ids.device()));
  if (embedding_norm.gain.defined()) x = embedding_norm(x);
  x = drop(x, config.dropout, context.pass);
  if (relative.defined()) {
    int keys = context.cache_length ? context.cache_length : T;
    bool together = std::all_of(first.begin(), first.end(), [&](int f) { return f == first[0]; });
    std::vector<Tensor> rows;
    for (size_t b = 0; b < (together ? 1 : first.size()); b++)
      rows.push_back(relative_bias(T, keys, first[b]));
    context.bias = together ? rows[0] : reshape(concat(rows, 0), {B, -1, T + keys - 1});
  }
  context.causal = decoder && !context.cache_length;
  if (hidden) hidden->push_back(x);
  for (size_t i = 0; i < blocks.size(); i++) {
    context.cache = caches ? &(*caches)[i] : nullptr;
    x = blocks[i](x, context);
    if (hidden) hidden->push_back(x);
  }
  return final_norm.gain.defined() ? final_norm(x) : x;
}

}  // namespace retort
