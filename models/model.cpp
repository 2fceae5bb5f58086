#include "models/model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/blocks.h"

namespace retort {

struct Cache {
  std::vector<LayerCache> layers;
  std::vector<int> lengths;  // tokens in each row
  std::vector<int> source;   // tokens of each row's source
  Tensor source_lengths;     // the same on the device
  int capacity = 0;
};

namespace {

// What losses and decoding take: float32 where the model computes in bfloat16.
Tensor real(const Tensor& x) { return cast(x, real_of(x.dtype)); }

}  // namespace

struct Model::Net {
  const ModelConfig& config;
  Tensor tokens, logit_bias;
  std::optional<Stack> encoder, decoder;
  Linear head, pooler, classifier;
  std::optional<MaskedHead> masked;

  Net(const ModelConfig& c, Parameters& p) : config(c) {
    tokens = p.add("tokens", {c.vocab, c.width}, c.init_std);
    bool both = c.architecture == "encoder_decoder";
    if (c.architecture != "decoder")
      encoder.emplace(p, "encoder", c, tokens,
                      both && c.encoder_layers ? c.encoder_layers : c.layers, false, false);
    if (c.architecture != "encoder") {
      decoder.emplace(p, "decoder", c, tokens, c.layers, true, both);
      if (!c.tied) head = Linear(p, "head", c.width, c.vocab, false, c.init_std);
      if (c.logit_bias) logit_bias = p.add("logit_bias", {c.vocab}, 0);
    } else if (c.classes == 0) {
      masked.emplace(p, c);
    } else {
      pooler = Linear(p, "pooler", c.width, c.width, true, c.init_std);
      classifier = Linear(p, "classifier", c.width, c.classes, true, c.init_std);
    }
  }

  Tensor encode(const Inputs& in, Pass* pass, std::vector<Tensor>* hidden) const {
    ENSURE(in.source.defined(), "model: an encoder needs inputs.source");
    Context context;
    context.pass = pass, context.lengths = in.source_lengths;
    std::vector<int> first(size_t(in.source.dim(0)), 0);
    return (*encoder)(in.source, in.token_types, first, context, nullptr, hidden);
  }

  // Hidden states (..., C) -> logits (..., V).
  Tensor project(Tensor x) const {
    double f = config.logit_scale ? config.logit_scale : 1 / std::sqrt(double(config.width));
    if (config.tied && f != 1) x = scale(x, f);
    Dtype out = real_of(x.dtype);  // logits are not rounded to bfloat16
    Tensor y = config.tied ? linear(x, tokens, {}, out) : head(x, out);
    return logit_bias.defined() ? y + real(logit_bias.detach()) : y;
  }
};

Model::Model(const ModelConfig& config, uint64_t seed, Dtype dtype, Device device,
             const std::function<void(Parameters&)>& more)
    : config_(std::make_shared<ModelConfig>(config)), parameters_(seed, dtype, device) {
  config.check();
  net_ = std::make_shared<const Net>(*config_, parameters_);
  if (more) more(parameters_);
  parameters_.flatten();
}

Outputs Model::forward(const Inputs& in, Pass& pass, bool hidden) const {
  Outputs out;
  std::vector<Tensor>* encoder_hidden = hidden ? &out.encoder_hidden : nullptr;
  if (config_->architecture == "encoder") {
    Tensor x = net_->encode(in, &pass, encoder_hidden);
    if (net_->masked) {
      x = reshape(x, {-1, x.cols()});
      if (in.positions.defined()) x = embedding(x, in.positions);
      out.logits = (*net_->masked)(x, net_->tokens);
      return out;
    }
    x = reshape(slice(x, 1, 0, 1), {x.dim(0), x.dim(2)});
    out.logits =
        net_->classifier(drop(tanh(net_->pooler(x)), config_->dropout, &pass), real_of(x.dtype));
    return out;
  }
  ENSURE(in.target.defined(), "model: a decoder needs inputs.target");
  Context context;
  context.pass = &pass;
  if (net_->encoder)
    context.memory = net_->encode(in, &pass, encoder_hidden),
    context.memory_lengths = in.source_lengths;
  std::vector<int> first(size_t(in.target.dim(0)), 0);
  out.logits = net_->project(
      (*net_->decoder)(in.target, {}, first, context, nullptr, hidden ? &out.hidden : nullptr));
  return out;
}

std::shared_ptr<Cache> Model::start(const Inputs& in, int capacity, Tensor* logits) const {
  ENSURE(net_->decoder && in.target.defined() && in.target.dim(1) > 0,
         "model: decoding needs a decoder and a prompt");
  NoGrad quiet;
  StableRows stable;
  int B = in.target.dim(0), P = in.target.dim(1);
  auto cache = std::make_shared<Cache>();
  cache->capacity = std::max(capacity, P);
  ENSURE(config_->positions != "learned" || cache->capacity <= config_->max_positions,
         "model: decoding up to position " + std::to_string(cache->capacity - 1) +
             " goes beyond max_positions " + std::to_string(config_->max_positions) +
             "; shorten prompt or max_length");
  cache->lengths =
      in.target_lengths.defined() ? in.target_lengths.ints() : std::vector<int>(size_t(B), P);
  const SelfAttention& self = net_->decoder->blocks[0].self;
  Shape shape{B, cache->capacity, 2 * self.kv_heads, self.head_size};
  for (size_t i = 0; i < net_->decoder->blocks.size(); i++)
    cache->layers.push_back({Tensor::zeros(shape, parameters_.dtype(), device()), {}});
  Context context;
  if (net_->encoder) {
    context.memory = net_->encode(in, nullptr, nullptr);
    context.memory_lengths = cache->source_lengths = in.source_lengths;
    if (in.source_lengths.defined()) cache->source = in.source_lengths.ints();
  }
  std::vector<int> first(size_t(B), 0);
  Tensor x = (*net_->decoder)(in.target, {}, first, context, &cache->layers, nullptr);
  std::vector<int> last(size_t(B), 0);
  for (int b = 0; b < B; b++) {
    ENSURE(cache->lengths[size_t(b)] >= 1 && cache->lengths[size_t(b)] <= P,
           "model: prompt " + std::to_string(b) + " has length " +
               std::to_string(cache->lengths[size_t(b)]));
    last[size_t(b)] = b * P + cache->lengths[size_t(b)] - 1;
  }
  *logits =
      net_->project(embedding(reshape(x, {B * P, x.dim(2)}), Tensor::from(last, {B}, x.device())));
  return cache;
}

Tensor Model::next(Cache& cache, const std::vector<int>& tokens) const {
  NoGrad quiet;
  StableRows stable;
  int B = int(cache.lengths.size());
  ENSURE(int(tokens.size()) == B, "model: next() got " + std::to_string(tokens.size()) +
                                      " tokens for " + std::to_string(B) + " rows");
  int longest = 1 + *std::max_element(cache.lengths.begin(), cache.lengths.end());
  ENSURE(longest <= cache.capacity,
         "model: the cache of " + std::to_string(cache.capacity) + " positions is full");
  std::vector<int> first = cache.lengths;
  for (int& n : cache.lengths) n++;
  Context context;
  context.memory_lengths = cache.source_lengths;
  context.lengths = Tensor::from(cache.lengths, {B}, device());
  context.cache_length = longest;
  Tensor ids = Tensor::from(tokens, {B, 1}, device());
  Tensor x = (*net_->decoder)(ids, {}, first, context, &cache.layers, nullptr);
  return net_->project(reshape(x, {B, x.dim(2)}));
}

void Model::select(Cache& cache, const std::vector<int>& order) const {
  int used = *std::max_element(cache.lengths.begin(), cache.lengths.end());
  for (LayerCache& layer : cache.layers) {
    layer.own = reorder(layer.own, order, used);
    if (layer.cross.defined()) layer.cross = reorder(layer.cross, order, layer.cross.dim(1));
  }
  auto pick = [&](std::vector<int>& list) {
    std::vector<int> picked;
    for (int i : order) picked.push_back(list[size_t(i)]);
    list = picked;
  };
  pick(cache.lengths);
  if (cache.source.empty()) return;
  pick(cache.source);
  cache.source_lengths = Tensor::from(cache.source, {int(cache.source.size())}, device());
}

size_t Model::non_embedding_count() const {
  size_t n = 0;
  for (const Parameter& p : parameters_.list())
    if (p.name != "tokens" && p.name != "head.weight" && p.name != "logit_bias" &&
        p.name != "masked.bias" && p.name.find(".positions") == std::string::npos &&
        p.name.find(".types") == std::string::npos)
      n += p.value.size();
  return n;
}

}  // namespace retort
