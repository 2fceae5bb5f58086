// Attention on the CPU. Each task owns one (batch, head) of queries forward, one (batch, key head)
// backward, so that every sum has one order whatever the number of threads.
#include <algorithm>
#include <vector>

#include "kernels/attention.h"
#include "kernels/tile.h"

namespace retort {
namespace {

constexpr int N = 64;  // tile: N queries x N keys

// Copies `count` positions of a head into rows of `width` (>= D), zeros behind D.
template <class T>
void pack(const T* x, size_t step, int count, int D, int width, T* y) {
  for (int i = 0; i < count; i++) {
    const T* a = x + size_t(i) * step;
    T* b = y + size_t(i) * width;
    for (int d = 0; d < D; d++) b[d] = a[d];
    for (int d = D; d < width; d++) b[d] = 0;
  }
}

// Tiles of N keys, each transposed to (D, N); keys behind `count` are zeros.
template <class T>
void pack_transposed(const T* x, size_t step, int count, int D, T* y) {
  for (int j0 = 0; j0 < count; j0 += N, y += D * N)
    for (int j = 0; j < N; j++)
      for (int d = 0; d < D; d++)
        y[d * N + j] = j0 + j < count ? x[size_t(j0 + j) * step + d] : T(0);
}

// One (batch, head): which keys a query sees, and the scores of a tile.
template <class T>
struct Head {
  const AttentionArgs<T>& a;
  int b, h, keys;  // keys: length of this sequence
  const T* bias;
  RandomKey key;

  Head(const AttentionArgs<T>& args, int batch, int head)
      : a(args),
        b(batch),
        h(head),
        keys(args.lengths ? std::clamp(args.lengths[batch], 0, args.S) : args.S),
        bias(args.bias ? args.bias + size_t(batch) * args.bias_batch +
                             size_t(head) * (args.T_ + args.S - 1) + args.T_ - 1
                       : nullptr),
        key(args.key) {
    key.site += uint32_t(head + 1) << 16;
  }
  /// Keys that query i sees: [0, seen(i)).
  int seen(int i) const { return a.causal ? std::clamp(i + 1 + a.S - a.T_, 0, keys) : keys; }
  const T* q(int i) const { return a.q + a.qs.batch * b + a.qs.position * i + a.qs.head * h; }
  const T* k() const { return a.k + a.ks.batch * b + a.ks.head * (h / (a.H / a.K)); }
  const T* v() const { return a.v + a.vs.batch * b + a.vs.head * (h / (a.H / a.K)); }

  // s (rows, N) = scores of queries i0.. and keys j0..; unseen keys are -inf.
  void scores(int i0, int rows, int j0, const T* kt, T* s) const {
    std::fill(s, s + rows * N, T(0));
    tile_gemm<T>(rows, N, a.D, q(i0), a.qs.position, 1, kt, N, s, N);
    for (int r = 0; r < rows; r++) finish(i0 + r, j0, s + r * N);
  }
  void finish(int i, int j0, T* s) const {
    T f = a.scale;
    int n = std::clamp(seen(i) - j0, 0, N);
    if (bias) {
      const T* c = bias + j0 - i;
#pragma omp simd
      for (int j = 0; j < n; j++) s[j] = s[j] * f + c[j];
    } else {
#pragma omp simd
      for (int j = 0; j < n; j++) s[j] *= f;
    }
    for (int j = n; j < N; j++) s[j] = -INFINITY;
  }
  // What a probability is multiplied with: 0, or 1 / (1 - dropout).
  void drop(int i, int j0, T* p) const {
    T keep = 1 / (1 - T(a.dropout));
    for (int j = 0; j < N; j++)
      p[j] *= uniform(key, uint32_t(b), uint32_t(i) * 65536u + uint32_t(j0 + j)) < a.dropout ? T(0)
                                                                                             : keep;
  }
};

// Softmax over tiles as they come: the running maximum and sum of one query.
template <class T>
struct Online {
  T max = -INFINITY, sum = 0;
  /// s becomes exp(s - new maximum); returns what earlier results shrink by.
  T take(T* s) {
    T m = max;
#pragma omp simd reduction(max : m)
    for (int j = 0; j < N; j++) m = s[j] > m ? s[j] : m;
    T base = max_(m, T(-1e30)), shrink = exp_(max_(max, T(-1e30)) - base), total = 0;
#pragma omp simd reduction(+ : total)
    for (int j = 0; j < N; j++) {
      s[j] = exp_(s[j] - base);
      total += s[j];
    }
    sum = sum * shrink + total;
    max = m;
    return shrink;
  }
  T log_sum() const { return sum > 0 ? max + log_(sum) : T(INFINITY); }
};

template <class T>
void forward_tiles(const Head<T>& head, int i0, int rows, const T* kt, const T* v, int width,
                   T* out, T* log_sum, std::vector<T>& scratch) {
  const AttentionArgs<T>& a = head.a;
  scratch.resize(size_t(N) * (N + width));
  T *s = scratch.data(), *o = s + N * N;
  std::fill(o, o + rows * width, T(0));
  Online<T> online[N];
  int last = 0;
  for (int r = 0; r < rows; r++) last = std::max(last, head.seen(i0 + r));
  for (int j0 = 0; j0 < last; j0 += N) {
    head.scores(i0, rows, j0, kt + size_t(j0) * a.D, s);
    for (int r = 0; r < rows; r++) {
      T shrink = online[r].take(s + r * N);
      T* x = o + r * width;
      if (shrink != 1)
#pragma omp simd
        for (int d = 0; d < width; d++) x[d] *= shrink;
      if (a.dropout > 0) head.drop(i0 + r, j0, s + r * N);
    }
    tile_gemm<T>(rows, width, std::min(N, head.keys - j0), s, N, 1, v + size_t(j0) * width, width,
                 o, width);
  }
  for (int r = 0; r < rows; r++) {
    T f = online[r].sum > 0 ? 1 / online[r].sum : T(0);
    T* y = out + (size_t(head.b) * a.T_ + i0 + r) * a.H * a.D + size_t(head.h) * a.D;
    for (int d = 0; d < a.D; d++) y[d] = o[r * width + d] * f;
    log_sum[(size_t(head.b) * a.H + head.h) * a.T_ + i0 + r] = online[r].log_sum();
  }
}

// One query, as in decoding: dot products on K and V where they lie.
template <class T>
void forward_row(const Head<T>& head, int i, T* out, T* log_sum) {
  const AttentionArgs<T>& a = head.a;
  const T *q = head.q(i), *k = head.k(), *v = head.v();
  T* y = out + (size_t(head.b) * a.T_ + i) * a.H * a.D + size_t(head.h) * a.D;
  std::fill(y, y + a.D, T(0));
  Online<T> online;
  int last = head.seen(i), D = a.D;
  for (int j0 = 0; j0 < last; j0 += N) {
    T s[N] = {};
    int n = std::min(N, last - j0);
    for (int j = 0; j < n; j++) {
      const T* x = k + size_t(j0 + j) * a.ks.position;
      T dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int d = 0; d < D; d++) dot += q[d] * x[d];
      s[j] = dot;
    }
    head.finish(i, j0, s);
    T shrink = online.take(s);
    for (int d = 0; d < D; d++) y[d] *= shrink;
    if (a.dropout > 0) head.drop(i, j0, s);
    for (int j = 0; j < n; j++) {
      const T *x = v + size_t(j0 + j) * a.vs.position, p = s[j];
#pragma omp simd
      for (int d = 0; d < D; d++) y[d] += p * x[d];
    }
  }
  T f = online.sum > 0 ? 1 / online.sum : T(0);
  for (int d = 0; d < D; d++) y[d] *= f;
  log_sum[(size_t(head.b) * a.H + head.h) * a.T_ + i] = online.log_sum();
}

template <class T>
void forward(const AttentionArgs<T>& a, T* out, T* log_sum) {
  int width = padded<T>(a.D);
  // A chunk of queries is a task: all of them when there are heads enough to share out.
  int tiles = (a.T_ + N - 1) / N, chunks = a.step || a.B * a.H >= 16 ? 1 : std::min(tiles, 8);
#pragma omp parallel if (size_t(a.B) * a.H * a.T_ * a.S > 4096)
  {
    std::vector<T> kt, v, scratch;
#pragma omp for schedule(dynamic)
    for (int task = 0; task < a.B * a.H * chunks; task++) {
      Head<T> head(a, task / chunks / a.H, task / chunks % a.H);
      if (a.step) {
        for (int i = 0; i < a.T_; i++) forward_row(head, i, out, log_sum);
        continue;
      }
      int chunk = task % chunks, first = tiles * chunk / chunks * N,
          end = std::min(a.T_, tiles * (chunk + 1) / chunks * N);
      int keys = head.keys, whole = (keys + N - 1) / N * N;
      kt.resize(size_t(whole) * a.D), v.resize(size_t(whole) * width);
      pack_transposed(head.k(), a.ks.position, keys, a.D, kt.data());
      pack(head.v(), a.vs.position, keys, a.D, width, v.data());
      for (int i0 = first; i0 < end; i0 += N)
        forward_tiles(head, i0, std::min(N, end - i0), kt.data(), v.data(), width, out, log_sum,
                      scratch);
    }
  }
}

template <class T>
struct Scratch {  // of one backward task
  std::vector<T> kt, vt, k, q, dout, dk, dv, tiles;
};

template <class T>
void backward_head(const Head<T>& head, const T* out, const T* log_sum, const T* dout, T* dq,
                   T* dbias, Scratch<T>& w) {
  const AttentionArgs<T>& a = head.a;
  int width = padded<T>(a.D), D = a.D;
  w.q.resize(size_t(N) * width), w.dout.resize(size_t(N) * width);
  w.tiles.resize(size_t(N) * (2 * N + width));
  T *p = w.tiles.data(), *ds = p + N * N, *dq_tile = ds + N * N;
  size_t row_step = size_t(a.H) * D;
  for (int i0 = 0; i0 < a.T_; i0 += N) {
    int rows = std::min(N, a.T_ - i0), last = 0;
    const T* from = dout + (size_t(head.b) * a.T_ + i0) * row_step + size_t(head.h) * D;
    const T* o = out + (from - dout);
    pack(head.q(i0), a.qs.position, rows, D, width, w.q.data());
    pack(from, row_step, rows, D, width, w.dout.data());
    T delta[N];
    for (int r = 0; r < rows; r++) {
      T s = 0;
      for (int d = 0; d < D; d++) s += from[r * row_step + d] * o[r * row_step + d];
      delta[r] = s;
      last = std::max(last, head.seen(i0 + r));
    }
    std::fill(dq_tile, dq_tile + rows * width, T(0));
    const T* lse = log_sum + (size_t(head.b) * a.H + head.h) * a.T_ + i0;
    for (int j0 = 0; j0 < last; j0 += N) {
      int n = std::min(N, head.keys - j0);
      head.scores(i0, rows, j0, w.kt.data() + size_t(j0) * D, p);
      std::fill(ds, ds + rows * N, T(0));
      tile_gemm<T>(rows, N, D, w.dout.data(), width, 1, w.vt.data() + size_t(j0) * D, N, ds, N);
      for (int r = 0; r < rows; r++) {
        T *pr = p + r * N, *dr = ds + r * N, l = lse[r], dl = delta[r];
        if (a.dropout > 0) {
          T keep[N];
          std::fill(keep, keep + N, T(1));
          head.drop(i0 + r, j0, keep);
          for (int j = 0; j < N; j++) {
            T x = exp_(pr[j] - l);
            dr[j] = x * (dr[j] * keep[j] - dl);
            pr[j] = x * keep[j];
          }
        } else {
#pragma omp simd
          for (int j = 0; j < N; j++) {
            T x = exp_(pr[j] - l);
            dr[j] = x * (dr[j] - dl);
            pr[j] = x;
          }
        }
        if (dbias)
          for (int j = 0; j < n; j++) dbias[j0 + j - i0 - r + a.T_ - 1] += dr[j];
      }
      tile_gemm<T>(n, width, rows, p, 1, N, w.dout.data(), width, w.dv.data() + size_t(j0) * width,
                   width);
      tile_gemm<T>(n, width, rows, ds, 1, N, w.q.data(), width, w.dk.data() + size_t(j0) * width,
                   width);
      tile_gemm<T>(rows, width, n, ds, N, 1, w.k.data() + size_t(j0) * width, width, dq_tile,
                   width);
    }
    T* y = dq + (from - dout);
    for (int r = 0; r < rows; r++)
      for (int d = 0; d < D; d++) y[r * row_step + d] = dq_tile[r * width + d] * a.scale;
  }
}

template <class T>
void backward(const AttentionArgs<T>& a, const T* out, const T* log_sum, const T* dout, T* dq,
              T* dk, T* dv, T* dbias) {
  int width = padded<T>(a.D), group = a.H / a.K, span = a.T_ + a.S - 1;
  std::vector<T> partial(dbias ? size_t(a.B) * a.H * span : 0);
#pragma omp parallel if (size_t(a.B) * a.H * a.T_ * a.S > 4096)
  {
    Scratch<T> w;
#pragma omp for schedule(dynamic)
    for (int task = 0; task < a.B * a.K; task++) {
      int b = task / a.K, kv = task % a.K;
      Head<T> first(a, b, kv * group);
      int keys = first.keys, whole = (keys + N - 1) / N * N;
      w.kt.resize(size_t(whole) * a.D), w.vt.resize(size_t(whole) * a.D),
          w.k.resize(size_t(whole) * width);
      w.dk.assign(size_t(whole) * width, T(0)), w.dv.assign(size_t(whole) * width, T(0));
      pack_transposed(first.k(), a.ks.position, keys, a.D, w.kt.data());
      pack_transposed(first.v(), a.vs.position, keys, a.D, w.vt.data());
      pack(first.k(), a.ks.position, keys, a.D, width, w.k.data());
      for (int h = kv * group; h < (kv + 1) * group; h++)
        backward_head(Head<T>(a, b, h), out, log_sum, dout, dq,
                      dbias ? partial.data() + (size_t(b) * a.H + h) * span : nullptr, w);
      for (int j = 0; j < a.S; j++)
        for (int d = 0; d < a.D; d++) {
          size_t at = ((size_t(b) * a.S + j) * a.K + kv) * a.D + d;
          dk[at] = j < keys ? w.dk[size_t(j) * width + d] * a.scale : T(0);
          dv[at] = j < keys ? w.dv[size_t(j) * width + d] : T(0);
        }
    }
  }
  if (dbias && a.bias_batch) std::copy(partial.begin(), partial.end(), dbias);
  if (dbias && !a.bias_batch)
    for (int i = 0; i < a.H * span; i++) {
      T s = 0;
      for (int b = 0; b < a.B; b++) s += partial[size_t(b) * a.H * span + i];
      dbias[i] = s;
    }
}

}  // namespace

template <class T>
void attention_forward(Device device, const AttentionArgs<T>& args, T* out, T* log_sum) {
  if (device == Device::cuda) return cuda_attention_forward(args, out, log_sum);
  forward(args, out, log_sum);
}
template <class T>
void attention_backward(Device device, const AttentionArgs<T>& args, const T* out, const T* log_sum,
                        const T* dout, T* dq, T* dk, T* dv, T* dbias) {
  if (device == Device::cuda)
    return cuda_attention_backward(args, out, log_sum, dout, dq, dk, dv, dbias);
  backward(args, out, log_sum, dout, dq, dk, dv, dbias);
}
template void attention_forward(Device, const AttentionArgs<float>&, float*, float*);
template void attention_forward(Device, const AttentionArgs<double>&, double*, double*);
template void attention_backward(Device, const AttentionArgs<float>&, const float*, const float*,
                                 const float*, float*, float*, float*, float*);
template void attention_backward(Device, const AttentionArgs<double>&, const double*, const double*,
                                 const double*, double*, double*, double*, double*);

}  // namespace retort
