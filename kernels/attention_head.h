// One (sequence, head) of an attention: which keys a query sees, its bias, its dropout, where its
// rows lie. The CPU's and CUDA's kernels share it.
#pragma once
#include "kernels/attention.h"

namespace retort {

template <class T>
struct Head {
  using R = Real<T>;
  const AttentionArgs<T>& a;
  int b, h, keys;  // keys: length of this sequence
  const T* bias;   // bias[j - i] is query i's of key j
  RandomKey key;

  HD Head(const AttentionArgs<T>& args, int batch, int head)
      : a(args),
        b(batch),
        h(head),
        keys(args.lengths ? clamp(args.lengths[batch], 0, args.S) : args.S),
        bias(args.bias ? args.bias + size_t(batch) * args.bias_batch +
                             size_t(head) * size_t(args.T_ + args.S - 1) + args.T_ - 1
                       : nullptr),
        key(args.key) {
    key.site += uint32_t(head + 1) << 16;
  }
  HD static int clamp(int x, int low, int high) { return x < low ? low : x > high ? high : x; }
  /// Keys that query i sees: [0, seen(i)). Grows with i.
  HD int seen(int i) const { return a.causal ? clamp(i + 1 + a.S - a.T_, 0, keys) : keys; }
  HD const T* q(int i) const {
    return a.q + a.qs.batch * size_t(b) + a.qs.position * size_t(i) + a.qs.head * size_t(h);
  }
  HD const T* k() const { return a.k + a.ks.batch * size_t(b) + a.ks.head * size_t(key_head()); }
  HD const T* v() const { return a.v + a.vs.batch * size_t(b) + a.vs.head * size_t(key_head()); }
  HD int key_head() const { return h / (a.H / a.K); }
  /// Where query i begins in a contiguous (B, T, H, D), and its place in (B, H, T).
  HD size_t row(int i) const {
    return ((size_t(b) * size_t(a.T_) + size_t(i)) * size_t(a.H) + size_t(h)) * size_t(a.D);
  }
  HD size_t place(int i) const {
    return (size_t(b) * size_t(a.H) + size_t(h)) * size_t(a.T_) + size_t(i);
  }
  HD size_t row_step() const { return size_t(a.H) * size_t(a.D); }
  /// What probability (i, j) is multiplied with: 0, or 1 / (1 - dropout).
  HD R keep(int i, int j) const {
    return keep_of(uniform(key, uint32_t(b), uint32_t(i) * 65536u + uint32_t(j)));
  }
  HD R keep_of(float u) const { return u < a.dropout ? R(0) : 1 / (1 - R(a.dropout)); }
};

}  // namespace retort
