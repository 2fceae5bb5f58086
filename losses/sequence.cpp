#include "losses/sequence.h"

#include <cmath>

namespace retort {
namespace {

// A product with a triangle of ones, which every device has, with its backward.
Tensor sum_over(const Tensor& x, int sequences, bool before) {
  ENSURE(x.rank() == 1 && sequences > 0 && x.dim(0) % sequences == 0,
         "sum over positions: expected (B T) of " + std::to_string(sequences) + " sequences, got " +
             text(x.shape));
  int T = x.dim(0) / sequences;
  std::vector<double> ones(size_t(T) * size_t(T), 0);  // [s, t]: position s counts for t
  for (int s = 0; s < T; s++)
    for (int t = 0; t < T; t++)
      if (before ? s < t : s > t) ones[size_t(s) * size_t(T) + size_t(t)] = 1;
  Tensor triangle = Tensor::from(ones, {T, T}, x.dtype, x.device());
  return reshape(matmul(reshape(x, {sequences, T}), triangle), {-1});
}

}  // namespace

Tensor sum_before(const Tensor& x, int sequences) { return sum_over(x, sequences, true); }
Tensor sum_after(const Tensor& x, int sequences) { return sum_over(x, sequences, false); }

Tensor exact_mixture(double weight, const Tensor& teacher_nll, const Tensor& student_nll,
                     int sequences) {
  ENSURE(weight > 0 && weight < 1, "exact_mixture: the weight must lie between 0 and 1");
  Tensor ratio = sum_before(sub(student_nll, teacher_nll), sequences);
  return scale(ratio, 1, std::log(weight) - std::log1p(-weight));
}

Tensor sampled_log_ratio(const Tensor& teacher_nll, const Tensor& student_nll,
                         const Tensor& mixture) {
  NoGrad quiet;
  Tensor d = sub(student_nll, teacher_nll);  // log p/q
  if (!mixture.defined()) return scale(d, -1);
  // log m/q = log(w p/q + 1 - w) = softplus(d + x) - softplus(x)
  auto softplus = [](const Tensor& x) {
    Tensor zero = scale(x, 0), both = concat({reshape(x, {-1, 1}), reshape(zero, {-1, 1})}, 1);
    return logsumexp(both);
  };
  return sub(softplus(mixture), softplus(add(d, mixture)));
}

Tensor score_term(const Tensor& reward, const Tensor& student_nll, int sequences) {
  Tensor to_go = sum_after(reward.detach(), sequences);
  Tensor s = scale(sum(mul(student_nll, to_go)), -1);
  return sub(s, s.detach());
}

}  // namespace retort
