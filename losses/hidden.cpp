#include "losses/hidden.h"

#include "losses/squared_error.h"

namespace retort {
namespace {

// The states of the listed positions (N, C), in the type that losses are computed in.
Tensor states(const Tensor& x, const Tensor& rows) {
  Tensor picked = embedding(reshape(x, {-1, x.cols()}), rows);
  return cast(picked, real_of(picked.dtype));
}

Tensor normal(const Tensor& x) {
  Tensor one =
      Tensor::from(std::vector<double>(size_t(x.cols()), 1), {x.cols()}, x.dtype, x.device());
  return layer_norm(x, one, Tensor::zeros(one.shape, x.dtype, x.device()));
}

}  // namespace

Tensor hidden_loss(const Tensor& student, const Tensor& teacher, const std::vector<int>& valid,
                   const Tensor& weights, const Tensor& projection, bool normalize) {
  std::vector<int> counted;
  for (size_t i = 0; i < valid.size(); i++)
    if (valid[i]) counted.push_back(int(i));
  Tensor rows = Tensor::from(counted, {int(counted.size())}, student.device());
  Tensor h = states(student, rows), t = states(teacher.detach(), rows);
  Tensor w = reshape(embedding(reshape(weights, {-1, 1}), rows), {-1});
  if (projection.defined()) h = linear(h, cast(projection, h.dtype));
  ENSURE(h.cols() == t.cols(), "hidden_loss: states " + text(student.shape) + " and " +
                                   text(teacher.shape) + " differ in width; give a projection");
  if (normalize) h = normal(h), t = normal(t);
  return sum(mul(squared_error(h, t), w));
}

}  // namespace retort
