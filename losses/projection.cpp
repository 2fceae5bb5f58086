#include "losses/projection.h"

#include <algorithm>

#include "kernels/gemm.h"

namespace retort {
namespace {

// Rows of dh = ds W, and dW += ds^T h.
template <class T>
void products(const Tensor& ds, const Tensor& h, const Tensor& w, T* dh, T* dw) {
  int n = ds.rows(), V = ds.cols(), C = w.cols();
  const T* s = ds.data<T>();
  gemm<T, T>(h.device(), {.m = n, .n = C, .k = V, .lda = V, .ldb = C, .ldc = C}, s, w.data<T>(),
             dh);
  Gemm add{.ta = true, .m = V, .n = C, .k = n, .lda = V, .ldb = C, .ldc = C};
  add.beta = 1;
  gemm<T, T>(h.device(), add, s, h.data<T>(), dw);
}

void check(const Projection& p, const char* who) {
  ENSURE(p.hidden.rank() == 2 && p.weight.rank() == 2 && p.hidden.cols() == p.weight.cols(),
         std::string(
             "projected_divergence: expected hidden states (N, C) and a matrix (V, C) of the ") +
             who + ", got " + text(p.hidden.shape) + " and " + text(p.weight.shape));
}

}  // namespace

ProjectedLoss projected_divergence(const DivergenceName& name, const Projection& teacher,
                                   const Projection& student, const Tensor& weights,
                                   const DivergenceOptions& options, int rows_at_once) {
  check(teacher, "teacher"), check(student, "student");
  int N = student.hidden.dim(0), V = student.weight.dim(0);
  ENSURE(teacher.hidden.dim(0) == N && teacher.weight.dim(0) == V && weights.shape == Shape{N},
         "projected_divergence: expected as many rows and tokens of both and weights (N), got " +
             text(teacher.hidden.shape) + ", " + text(teacher.weight.shape) + "; " +
             text(student.hidden.shape) + ", " + text(student.weight.shape) + "; " +
             text(weights.shape));
  Dtype dtype = student.hidden.dtype;
  ENSURE(
      N > 0 && real_of(dtype) == dtype && student.weight.dtype == dtype &&
          teacher.hidden.dtype == dtype && teacher.weight.dtype == dtype && weights.dtype == dtype,
      std::string("projected_divergence: expected at least one row, and all of one type, f32 or ") +
          "f64, got " + text(student.hidden.shape) + " " + name_of(dtype));
  ENSURE(!options.mixture.defined(), "projected_divergence: mixtures of rows are not for it");
  Tensor h = contiguous(student.hidden.detach()), w = contiguous(student.weight.detach());
  bool wants = recorded({student.hidden, student.weight});
  Tensor dh, dw;
  if (wants) dh = h.like(), dw = Tensor::zeros(w.shape, w.dtype, w.device());
  // On the CPU the gradient lies where the teacher's logits did.
  size_t row = (h.device() == Device::cpu ? 2 : 3) * size_t(V) * size_of(h.dtype);
  int each = rows_at_once ? rows_at_once : std::max(1, int((size_t(52) << 20) / row));
  std::vector<Tensor> losses;
  for (int first = 0; first < N; first += each) {
    auto part = [&](const Tensor& x) {
      return x.defined() ? slice(x.detach(), 0, first, std::min(each, N - first)) : x;
    };
    DivergenceOptions o = options;
    o.mask = part(options.mask);
    Tensor logits = linear(part(h), w), loss;
    if (wants) logits = parameter(logits);
    try {
      loss = divergence(name, linear(part(teacher.hidden), teacher.weight.detach()), logits, o);
    } catch (const std::invalid_argument& e) {
      fail(std::string(e.what()) + " (rows are counted from " + std::to_string(first) + ")");
    }
    losses.push_back(loss.detach());
    if (!wants) continue;
    backward(loss, part(weights));
    dispatch_real(h.dtype, [&]<class T>(T) {
      products(grad(logits), part(h), w, dh.data<T>() + size_t(first) * size_t(h.cols()),
               dw.data<T>());
    });
  }
  Tensor of_rows = concat(losses, 0);
  return {
      record("projected_divergence", sum(mul(of_rows, weights)), {student.hidden, student.weight},
             [dh, dw](const Tensor& dy) {
               for (const Tensor& g : {dh, dw})  // a tape is used once: in place
                 scale_rows_in_place(g, contiguous(expand(dy, {g.dim(0)})));
               return Grads{dh, dw};
             }),
      of_rows};
}

}  // namespace retort
