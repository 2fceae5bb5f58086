// Scaled dot-product attention, tile by tile (Dao et al. 2022): O = softmax(scale Q K^T + bias) V
// per head, the scores of one tile at a time. Backward computes them again from Q, K and the
// log-sum-exp of each row.
#pragma once
#include "kernels/bf16.h"
#include "kernels/device.h"
#include "kernels/random.h"

namespace retort {

/// A (batch, length, head, D) operand: distances between its batches, positions and heads; D is
/// contiguous.
struct Heads {
  size_t batch = 0, position = 0, head = 0;
};

template <class T>
struct AttentionArgs {
  int B, T_, S, H, K, D;  // H query heads share K key heads in groups of H / K
  const T *q, *k, *v;
  Heads qs, ks, vs;
  const int* lengths;  // (B) keys of each sequence, or null
  const T* bias;  // (H, T + S - 1): bias[h, j - i + T - 1] is added to the scaled score, or null
  size_t bias_batch;  // distance between the biases of two sequences; 0: all share one
  bool causal;        // query i sees keys j <= i + (S - T)
  bool step;          // a decoding step: few queries, so K and V are read where they lie
  Real<T> scale;
  float dropout;
  RandomKey key;
  bool no_empty = false;  // every length is known to be 1 at least
  bool stable = false;    // a sequence's bits do not depend on T, S and B beside its own length
};

/// out (B, T, H, D) and log_sum (B, H, T), both contiguous. log_sum is inf, and out zero, where a
/// query sees no key.
template <class T>
void attention_forward(Device device, const AttentionArgs<T>& args, T* out, Real<T>* log_sum);

/// Gradients, contiguous: dq (B, T, H, D), dk and dv (B, S, K, D), dbias of the bias's shape or
/// null. dout is contiguous (B, T, H, D). `scratch` has room for attention_scratch() numbers.
template <class T>
void attention_backward(Device device, const AttentionArgs<T>& args, const T* out,
                        const Real<T>* log_sum, const T* dout, T* dq, T* dk, T* dv, Real<T>* dbias,
                        Real<T>* scratch);
/// Numbers of type Real<T> that attention_backward needs as scratch, with or without dbias.
template <class T>
size_t attention_scratch(Device device, const AttentionArgs<T>& args, bool dbias);

/// The CUDA half of the three (kernels/attention_*_cuda.cpp). D is at most 128.
template <class T>
void cuda_attention_forward(const AttentionArgs<T>& args, T* out, Real<T>* log_sum);
template <class T>
void cuda_attention_backward(const AttentionArgs<T>& args, const T* out, const Real<T>* log_sum,
                             const T* dout, T* dq, T* dk, T* dv, Real<T>* dbias, Real<T>* scratch);
template <class T>
size_t cuda_attention_scratch(const AttentionArgs<T>& args, bool dbias);

}  // namespace retort
