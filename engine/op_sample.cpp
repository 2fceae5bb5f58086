#include "engine/sample.h"

#include "engine/map.h"
#include "kernels/sample.h"

namespace retort {

BestTokens best(const Tensor& logits, int count) {
  ENSURE(logits.rank() == 2 && count > 0 && count <= logits.cols(),
         "best: expected logits (N, V) and from 1 to V tokens, got " + text(logits.shape) +
             " and " + std::to_string(count));
  Tensor x = logits.to(Dtype::f32);
  BestTokens y{Tensor({x.dim(0), count}, Dtype::f32, x.device()),
               Tensor({x.dim(0), count}, Dtype::i32, x.device())};
  rows(x.device(), x.dim(0),
       Best{x.data<float>(), y.values.data<float>(), y.ids.data<int>(), count, x.cols()});
  return y;
}

Tensor uniform_numbers(const RandomKey& key, const Tensor& sequences, uint32_t index) {
  Tensor u({int(sequences.size())}, Dtype::f32, sequences.device());
  map(u.device(), u.size(), u.data<float>(), Uniform{key, index}, sequences.data<int>());
  return u;
}

Tensor sample(const Tensor& logits, const Tensor& uniform, const Sampling& o) {
  ENSURE(logits.rank() == 2 && logits.cols() > 0 && uniform.shape == Shape{logits.dim(0)} &&
             uniform.dtype == Dtype::f32 && uniform.device() == logits.device(),
         "sample: expected logits (N, V) and f32 numbers (N) on one device, got " +
             text(logits.shape) + " and " + name_of(uniform.dtype) + " " + text(uniform.shape));
  ENSURE(o.temperature > 0 && o.top_k >= 0 && o.top_p > 0 && o.top_p <= 1,
         "sample: expected temperature above 0, top_k from 0 up, top_p in (0, 1]");
  Tensor x = logits.to(Dtype::f32), u = uniform.to(Dtype::f32), weights = x.like(),
         y({x.dim(0)}, Dtype::i32, x.device());
  rows(x.device(), x.dim(0),
       Draw{x.data<float>(), u.data<float>(), weights.data<float>(), y.data<int>(),
            float(1 / o.temperature), o.top_k, o.top_p, x.cols()});
  return y;
}

}  // namespace retort
