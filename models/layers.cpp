#include "models/layers.h"

namespace retort {
namespace {

int head_size_of(const ModelConfig& c) { return c.head_size ? c.head_size : c.width / c.heads; }
int kv_heads_of(const ModelConfig& c) { return c.kv_heads ? c.kv_heads : c.heads; }
double scale_of(const ModelConfig& c) { return c.scale_attention ? 0 : 1; }

Attention options_of(const Context& context, double scale, double dropout) {
  Attention o;
  o.scale = scale, o.step = context.cache_length > 0;
  if (context.pass && context.pass->training && dropout > 0)
    o.dropout = dropout, o.key = context.pass->next();
  return o;
}

// (B, T, H, D) -> (B, T, H D).
Tensor merge_heads(const Tensor& x) { return reshape(x, {x.dim(0), x.dim(1), -1}); }

}  // namespace

Tensor drop(const Tensor& x, double p, Pass* pass) {
  return pass && pass->training && p > 0 ? dropout(x, p, pass->next()) : x;
}

Linear::Linear(Parameters& p, const std::string& name, int in, int out, bool with_bias, double std)
    : weight(p.add(name + ".weight", {out, in}, std)) {
  if (with_bias) bias = p.add(name + ".bias", {out}, 0);
}

Norm::Norm(Parameters& p, const std::string& name, const ModelConfig& c) : eps(c.norm_eps) {
  gain = p.add(name + ".gain", {c.width}, 0, 1);
  if (c.norm == "layer_norm") bias = p.add(name + ".bias", {c.width}, 0);
}
Tensor Norm::operator()(const Tensor& x) const {
  return bias.defined() ? layer_norm(x, gain, bias, eps) : rms_norm(x, gain, eps);
}

FeedForward::FeedForward(Parameters& p, const std::string& name, const ModelConfig& c,
                         double out_std)
    : activation(c.activation) {
  int inner = c.ffn ? c.ffn : 4 * c.width;
  in = Linear(p, name + ".in", c.width, inner, c.bias, c.init_std);
  if (c.gated) gate = Linear(p, name + ".gate", c.width, inner, c.bias, c.init_std);
  out = Linear(p, name + ".out", inner, c.width, c.bias, out_std);
}
Tensor FeedForward::operator()(const Tensor& x) const {
  if (activation == "gelu_tanh" && !gate.weight.defined())
    return feed_forward(x, in.weight, in.bias, out.weight, out.bias);
  auto act = [&](const Tensor& h) {
    return activation == "gelu"   ? gelu(h)
           : activation == "relu" ? relu(h)
           : activation == "silu" ? silu(h)
                                  : gelu_tanh(h);
  };
  return out(gate.weight.defined() ? act(gate(x)) * in(x) : act(in(x)));
}

SelfAttention::SelfAttention(Parameters& p, const std::string& name, const ModelConfig& c,
                             double out_std)
    : heads(c.heads),
      kv_heads(kv_heads_of(c)),
      head_size(head_size_of(c)),
      scale(scale_of(c)),
      dropout(c.attention_dropout) {
  qkv = Linear(p, name + ".qkv", c.width, (heads + 2 * kv_heads) * head_size, c.bias, c.init_std);
  out = Linear(p, name + ".out", heads * head_size, c.width, c.bias, out_std);
}

Tensor SelfAttention::operator()(const Tensor& x, const Context& context) const {
  int B = x.dim(0), T = x.dim(1);
  Tensor all = reshape(qkv(x), {B, T, heads + 2 * kv_heads, head_size});
  Attention o = options_of(context, scale, dropout);
  o.causal = context.causal, o.lengths = context.lengths, o.bias = context.bias;
  if (context.angles.defined()) all = rotary(all, context.angles, heads + kv_heads);
  if (!context.cache) return out(merge_heads(attention(all, heads, o)));
  Tensor q = slice(all, 2, 0, heads), kv = slice(all, 2, heads, 2 * kv_heads);
  store(context.cache->own, kv, context.positions);
  if (context.cache_length) kv = slice(context.cache->own, 1, 0, context.cache_length);
  return out(merge_heads(attention(q, kv, o)));
}

CrossAttention::CrossAttention(Parameters& p, const std::string& name, const ModelConfig& c,
                               double out_std)
    : heads(c.heads),
      kv_heads(kv_heads_of(c)),
      head_size(head_size_of(c)),
      scale(scale_of(c)),
      dropout(c.attention_dropout) {
  q = Linear(p, name + ".q", c.width, heads * head_size, c.bias, c.init_std);
  kv = Linear(p, name + ".kv", c.width, 2 * kv_heads * head_size, c.bias, c.init_std);
  out = Linear(p, name + ".out", heads * head_size, c.width, c.bias, out_std);
}

Tensor CrossAttention::operator()(const Tensor& x, const Context& context) const {
  Tensor both = context.cache ? context.cache->cross : Tensor();
  if (!both.defined()) {
    int B = context.memory.dim(0), S = context.memory.dim(1);
    both = reshape(kv(context.memory), {B, S, 2 * kv_heads, head_size});
    if (context.cache) context.cache->cross = both;
  }
  Attention o = options_of(context, scale, dropout);
  o.lengths = context.memory_lengths;
  Tensor queries = reshape(q(x), {x.dim(0), x.dim(1), heads, head_size});
  return out(merge_heads(attention(queries, both, o)));
}

MaskedHead::MaskedHead(Parameters& p, const ModelConfig& c)
    : dense(p, "masked.dense", c.width, c.width, true, c.init_std),
      norm(p, "masked.norm", c),
      bias(p.add("masked.bias", {c.vocab}, 0)) {}

Tensor MaskedHead::operator()(const Tensor& x, const Tensor& tokens) const {
  return linear(norm(gelu(dense(x))), tokens, bias, real_of(x.dtype));
}

}  // namespace retort
