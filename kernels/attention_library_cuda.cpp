// Whether cuDNN's fused attention or the own kernel runs. cuDNN is taken by the shape alone, so
// that a run makes the same choice when it is resumed, and only for whole tiles: a plan takes half
// a second to build, and training text has many lengths.
#include "kernels/attention_cudnn.h"
#include "kernels/attention_library.h"
#include "kernels/cuda.h"

namespace retort {
namespace {

bool suits(const AttentionArgs<bf16>& a) {
  bool sees = a.lengths == nullptr || a.no_empty;
  return a.T_ % 64 == 0 && a.S % 64 == 0 && sees && !a.bias && a.dropout == 0 && !a.stable;
}
AttentionShape shape_of(const AttentionArgs<bf16>& a) {
  auto strides = [](const Heads& h) {
    return AttentionStrides{int64_t(h.batch), int64_t(h.position), int64_t(h.head)};
  };
  return {a.B,
          a.T_,
          a.S,
          a.H,
          a.K,
          a.D,
          a.causal,
          a.lengths != nullptr,
          exactness().deterministic,
          strides(a.qs),
          strides(a.ks),
          strides(a.vs)};
}
AttentionBuffers buffers_of(const AttentionArgs<bf16>& a, const bf16* out, const float* log_sum) {
  return {a.q, a.k, a.v, a.lengths, a.scale, const_cast<bf16*>(out), const_cast<float*>(log_sum)};
}

}  // namespace

bool library_attention_forward(const AttentionArgs<bf16>& a, bf16* out, float* log_sum) {
  AttentionShape shape = shape_of(a);
  return suits(a) && cudnn_attention_accepts(shape) &&
         cudnn_attention_forward(shape, buffers_of(a, out, log_sum), cuda_context().stream,
                                 cuda_workspace);
}

bool library_attention_backward(const AttentionArgs<bf16>& a, const bf16* out, const float* log_sum,
                                const bf16* dout, bf16* dq, bf16* dk, bf16* dv) {
  AttentionShape shape = shape_of(a);
  if (!suits(a) || !cudnn_attention_accepts(shape)) return false;
  AttentionBuffers b = buffers_of(a, out, log_sum);
  b.dout = dout, b.dq = dq, b.dk = dk, b.dv = dv;
  return cudnn_attention_backward(shape, b, cuda_context().stream, cuda_workspace);
}

}  // namespace retort
