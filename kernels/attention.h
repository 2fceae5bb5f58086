// Scaled dot-product attention, tile by tile (Dao et al. 2022): O = softmax(scale Q K^T + bias) V
// per head, the scores of one tile at a time. Backward computes them again from Q, K and the
// log-sum-exp of each row.
#pragma once
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
  T scale;
  float dropout;
  RandomKey key;
};

/// out (B, T, H, D) and log_sum (B, H, T), both contiguous.
template <class T>
void attention_forward(Device device, const AttentionArgs<T>& args, T* out, T* log_sum);

/// Gradients, contiguous: dq (B, T, H, D), dk and dv (B, S, K, D), dbias of the bias's shape or
/// null. dout is contiguous (B, T, H, D).
template <class T>
void attention_backward(Device device, const AttentionArgs<T>& args, const T* out, const T* log_sum,
                        const T* dout, T* dq, T* dk, T* dv, T* dbias);

/// The CUDA half of both (kernels/attention_cuda.cpp).
template <class T>
void cuda_attention_forward(const AttentionArgs<T>& args, T* out, T* log_sum);
template <class T>
void cuda_attention_backward(const AttentionArgs<T>& args, const T* out, const T* log_sum,
                             const T* dout, T* dq, T* dk, T* dv, T* dbias);

}  // namespace retort
