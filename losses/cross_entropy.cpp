#include "losses/cross_entropy.h"

#include <cmath>

#include "engine/map.h"
#include "engine/suggest.h"
#include "kernels/cross_entropy.h"

namespace retort {

Tensor cross_entropy(const Tensor& logits_in, const Tensor& labels_in, double smoothing) {
  ENSURE(logits_in.rank() == 2 && labels_in.shape == Shape{logits_in.dim(0)} &&
             labels_in.dtype == Dtype::i32,
         "cross_entropy: expected logits (N, V) and i32 labels (N), got " + text(logits_in.shape) +
             " and " + text(labels_in.shape));
  ENSURE(smoothing >= 0 && smoothing < 1,
         "cross_entropy: smoothing must be in [0, 1), got " + std::to_string(smoothing));
  Tensor x = contiguous(logits_in), labels = contiguous(labels_in);
  std::vector<int> host = labels.ints();
  for (size_t i = 0; i < host.size(); i++)
    ENSURE(host[i] < x.cols(), "cross_entropy: row " + std::to_string(i) + " has label " +
                                   std::to_string(host[i]) + ", logits have " +
                                   std::to_string(x.cols()) + " classes");
  Tensor loss({x.dim(0)}, x.dtype, x.device()), dx = x.like();
  dispatch_real(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.dim(0),
         CrossEntropy<T>{x.data<T>(), labels.data<int>(), loss.data<T>(), dx.data<T>(),
                         T(smoothing), x.cols()});
  });
  return record("cross_entropy", loss, {x}, [dx](const Tensor& dy_in) {
    scale_rows_in_place(dx, contiguous(dy_in));  // a tape is used once
    return Grads{dx};
  });
}

Reduction parse_reduction(const std::string& name) {
  if (name == "tokens") return Reduction::tokens;
  if (name == "sequences") return Reduction::sequences;
  if (name == "batch") return Reduction::batch;
  std::string near = nearest(name, {"tokens", "sequences", "batch"});
  fail("no reduction \"" + name + "\"; there are tokens, sequences, batch" +
       (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

Tensor reduction_weights(Reduction reduction, const std::vector<int>& valid, int length,
                         double total_rows, double total_sequences, Dtype dtype, Device device) {
  ENSURE(length > 0 && valid.size() % size_t(length) == 0,
         "reduction_weights: " + std::to_string(valid.size()) +
             " rows are no whole number of sequences of " + std::to_string(length));
  std::vector<double> w(valid.size(), 0.0);
  for (size_t first = 0; first < valid.size(); first += size_t(length)) {
    int count = 0;
    for (size_t i = first; i < first + size_t(length); i++) count += valid[i] != 0;
    double each = reduction == Reduction::tokens ? 1 / std::max(1.0, total_rows)
                  : reduction == Reduction::sequences
                      ? 1 / (std::max(1, count) * std::max(1.0, total_sequences))
                      : 1 / std::max(1.0, total_sequences);
    for (size_t i = first; i < first + size_t(length); i++)
      if (valid[i]) w[i] = each;
  }
  return Tensor::from(w, {int(valid.size())}, dtype, device);
}

}  // namespace retort
