// Attention on the CPU. Each task owns one (batch, head) of queries forward, one (batch, key head)
// backward, so that every sum has one order whatever the number of threads.
#include <algorithm>
#include <vector>

#include "kernels/attention_head.h"
#include "kernels/tile.h"

namespace retort {
namespace {

constexpr int N = 64;  // tile: N queries x N keys, of which a short sequence uses a few vectors

// Copies `count` positions of a head into rows of `width` (>= D), zeros behind D.
template <class T>
void pack(const T* x, size_t step, int count, int D, int width, Real<T>* y) {
  for (int i = 0; i < count; i++) {
    const T* a = x + size_t(i) * step;
    Real<T>* b = y + size_t(i) * width;
    for (int d = 0; d < D; d++) b[d] = a[d];
    for (int d = D; d < width; d++) b[d] = 0;
  }
}

// Tiles of N keys, each transposed to (D, N); keys behind `count` are zeros, of the last tile as
// many as fill a vector.
template <class T>
void pack_transposed(const T* x, size_t step, int count, int D, Real<T>* y) {
  using R = Real<T>;
  for (int j0 = 0; j0 < count; j0 += N, y += D * N) {
    int n = std::min(N, count - j0);
    for (int j = 0; j < n; j++)
      for (int d = 0; d < D; d++) y[d * N + j] = x[size_t(j0 + j) * step + d];
    for (int d = 0; d < D; d++) std::fill(y + d * N + n, y + d * N + padded<R>(n), R(0));
  }
}

// s becomes the scores of query i and `count` keys j0.., from its products; unseen keys are -inf.
template <class T>
void finish(const Head<T>& head, int i, int j0, int count, Real<T>* s) {
  Real<T> f = head.a.scale;
  int n = std::clamp(head.seen(i) - j0, 0, count);
  if (head.bias) {
    const T* c = head.bias + j0 - i;
#pragma omp simd
    for (int j = 0; j < n; j++) s[j] = s[j] * f + c[j];
  } else {
#pragma omp simd
    for (int j = 0; j < n; j++) s[j] *= f;
  }
  for (int j = n; j < count; j++) s[j] = -INFINITY;
}
// s (rows, N) = scores of queries i0.., rows of q at distance `step`, and `count` keys j0...
template <class T>
void scores(const Head<T>& head, int i0, int rows, int j0, int count, const Real<T>* q, size_t step,
            const Real<T>* kt, Real<T>* s) {
  std::fill(s, s + rows * N, Real<T>(0));
  tile_gemm<Real<T>>(rows, count, head.a.D, q, step, 1, kt, N, s, N);
  for (int r = 0; r < rows; r++) finish(head, i0 + r, j0, count, s + r * N);
}
// p times what dropout keeps of the keys j0.. that query i sees; j0 is a multiple of 4.
template <class T>
void drop(const Head<T>& head, int i, int j0, int count, Real<T>* p) {
  auto* four = reinterpret_cast<Four<Real<T>>*>(p);
  int n = (std::min(count, head.seen(i) - j0) + 3) / 4;
#pragma omp simd
  for (int j = 0; j < n; j++) {
    Four<float> u =
        uniforms(head.key, uint32_t(head.b), uint32_t(i) * 16384u + uint32_t(j0 / 4 + j));
    Four<Real<T>> x = four[j];
    for (int k = 0; k < 4; k++) x.at[k] *= head.keep_of(u.at[k]);
    four[j] = x;
  }
}

// Softmax over tiles as they come: the running maximum and sum of one query.
template <class T>
struct Online {
  T max = -INFINITY, sum = 0;
  /// s becomes exp(s - new maximum); returns what earlier results shrink by.
  T take(T* s, int count) {
    T m = max;
#pragma omp simd reduction(max : m)
    for (int j = 0; j < count; j++) m = s[j] > m ? s[j] : m;
    T base = max_(m, T(-1e30)), shrink = exp_(max_(max, T(-1e30)) - base), total = 0;
#pragma omp simd reduction(+ : total)
    for (int j = 0; j < count; j++) {
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
void forward_tiles(const Head<T>& head, int i0, int rows, const Real<T>* kt, const Real<T>* v,
                   int width, T* out, Real<T>* log_sum, std::vector<Real<T>>& scratch) {
  using R = Real<T>;
  const AttentionArgs<T>& a = head.a;
  scratch.resize(size_t(N) * (N + 2 * width));
  R *s = scratch.data(), *o = s + N * N, *packed = o + N * width;
  std::fill(o, o + rows * width, R(0));
  const R* q = packed;
  size_t step = size_t(width);
  if constexpr (std::is_same_v<T, R>)
    q = head.q(i0), step = a.qs.position;
  else
    pack(head.q(i0), a.qs.position, rows, a.D, width, packed);
  Online<R> online[N];
  int last = 0;
  for (int r = 0; r < rows; r++) last = std::max(last, head.seen(i0 + r));
  for (int j0 = 0; j0 < last; j0 += N) {
    int n = std::min(N, head.keys - j0), wide = padded<R>(n);
    scores(head, i0, rows, j0, wide, q, step, kt + size_t(j0) * a.D, s);
    for (int r = 0; r < rows; r++) {
      R shrink = online[r].take(s + r * N, wide);
      R* x = o + r * width;
      if (shrink != 1)
#pragma omp simd
        for (int d = 0; d < width; d++) x[d] *= shrink;
      if (a.dropout > 0) drop(head, i0 + r, j0, n, s + r * N);
    }
    tile_gemm<R>(rows, width, n, s, N, 1, v + size_t(j0) * width, width, o, width);
  }
  for (int r = 0; r < rows; r++) {
    R f = online[r].sum > 0 ? 1 / online[r].sum : R(0);
    T* y = out + head.row(i0 + r);
    for (int d = 0; d < a.D; d++) y[d] = o[r * width + d] * f;
    log_sum[head.place(i0 + r)] = online[r].log_sum();
  }
}

// W neighbours as numbers of the type of computation.
template <class T>
auto load(const T* x) {
  typename Vec<Real<T>>::type v;
  for (int i = 0; i < Vec<Real<T>>::size; i++) v[i] = Real<T>(x[i]);
  return v;
}
// The sums of W vectors as one: lane i of level d takes its half from vector i or i + d.
template <class R>
auto sums_of(typename Vec<R>::type* v) {
  using Lanes = std::conditional_t<sizeof(R) == 4, int32_t, int64_t>;
  typedef Lanes Mask __attribute__((vector_size(64)));
  constexpr int W = Vec<R>::size;
#pragma GCC unroll 4
  for (int d = W / 2; d > 0; d /= 2) {
    Mask near, far;
#pragma GCC unroll 16
    for (int e = 0; e < W; e++) near[e] = e & d ? W + e - d : e, far[e] = e & d ? W + e : e + d;
#pragma GCC unroll 8
    for (int i = 0; i < d; i++)
      v[i] = __builtin_shuffle(v[i], v[i + d], near) + __builtin_shuffle(v[i], v[i + d], far);
  }
  return v[0];
}

// s[j] = q . k_j for `count` keys, W of them at a time, and what D leaves over one by one.
template <class T>
void dots(const T* q, const T* k, size_t step, int count, int D, Real<T>* s) {
  using R = Real<T>;
  using V = typename Vec<R>::type;
  constexpr int W = Vec<R>::size;
  for (int j0 = 0; j0 < count; j0 += W) {
    V v[W] = {};
    int n = std::min(W, count - j0);
    for (int j = 0; j < n; j++) {
      const T* x = k + size_t(j0 + j) * step;
      for (int d = 0; d + W <= D; d += W) v[j] += load(q + d) * load(x + d);
    }
    V sum = sums_of<R>(v);
    for (int j = 0; j < n; j++) s[j0 + j] = sum[j];
  }
  for (int d = D / W * W; d < D; d++)
    for (int j = 0; j < count; j++) s[j] += R(q[d]) * R(k[size_t(j) * step + d]);
}

// y += sum_j p_j v_j, as many as U vectors of y in registers at a time.
template <int U, class T>
void weigh(const Real<T>* p, const T* v, size_t step, int count, Real<T>* y) {
  using V = typename Vec<Real<T>>::type;
  constexpr int W = Vec<Real<T>>::size;
  V sum[U];
  for (int u = 0; u < U; u++) sum[u] = load(y + u * W);
  for (int j = 0; j < count; j++)
    for (int u = 0; u < U; u++) sum[u] += p[j] * load(v + size_t(j) * step + u * W);
  for (int u = 0; u < U; u++)
    for (int i = 0; i < W; i++) y[u * W + i] = sum[u][i];
}

// One query, as in decoding: K and V are read where they lie.
template <class T>
void forward_row(const Head<T>& head, int i, T* out, Real<T>* log_sum,
                 std::vector<Real<T>>& scratch) {
  using R = Real<T>;
  constexpr int W = Vec<R>::size;
  const AttentionArgs<T>& a = head.a;
  const T *q = head.q(i), *k = head.k(), *v = head.v();
  scratch.assign(size_t(a.D), R(0));
  R* y = scratch.data();
  Online<R> online;
  int last = head.seen(i), D = a.D;
  for (int j0 = 0; j0 < last; j0 += N) {
    R s[N] = {};
    int n = std::min(N, last - j0), wide = padded<R>(n), d = 0;
    dots(q, k + size_t(j0) * a.ks.position, a.ks.position, n, D, s);
    finish(head, i, j0, wide, s);
    R shrink = online.take(s, wide);
    for (int e = 0; e < D; e++) y[e] *= shrink;
    if (a.dropout > 0) drop(head, i, j0, n, s);
    const T* x = v + size_t(j0) * a.vs.position;
    for (; d + 4 * W <= D; d += 4 * W) weigh<4>(s, x + d, a.vs.position, n, y + d);
    for (; d + W <= D; d += W) weigh<1>(s, x + d, a.vs.position, n, y + d);
    for (; d < D; d++)
      for (int j = 0; j < n; j++) y[d] += s[j] * R(x[size_t(j) * a.vs.position + d]);
  }
  R f = online.sum > 0 ? 1 / online.sum : R(0);
  T* to = out + head.row(i);
  for (int d = 0; d < D; d++) to[d] = y[d] * f;
  log_sum[head.place(i)] = online.log_sum();
}

template <class T>
void forward(const AttentionArgs<T>& a, T* out, Real<T>* log_sum) {
  int width = padded<Real<T>>(a.D);
  // A chunk of queries is a task: all of them when there are heads enough to share out.
  int tiles = (a.T_ + N - 1) / N, chunks = a.step || a.B * a.H >= 16 ? 1 : std::min(tiles, 8);
#pragma omp parallel if (size_t(a.B) * a.H * a.T_ * a.S > 4096)
  {
    std::vector<Real<T>> kt, v, scratch;
#pragma omp for schedule(dynamic)
    for (int task = 0; task < a.B * a.H * chunks; task++) {
      Head<T> head(a, task / chunks / a.H, task / chunks % a.H);
      if (a.step) {
        for (int i = 0; i < a.T_; i++) forward_row(head, i, out, log_sum, scratch);
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
  std::vector<Real<T>> kt, vt, k, q, dout, dk, dv, tiles;
};

template <class T>
void backward_head(const Head<T>& head, const T* out, const Real<T>* log_sum, const T* dout, T* dq,
                   Real<T>* dbias, Scratch<T>& w) {
  using R = Real<T>;
  const AttentionArgs<T>& a = head.a;
  int width = padded<R>(a.D), D = a.D;
  w.q.resize(size_t(N) * width), w.dout.resize(size_t(N) * width);
  w.tiles.resize(size_t(N) * (2 * N + width));
  R *p = w.tiles.data(), *ds = p + N * N, *dq_tile = ds + N * N;
  size_t row_step = head.row_step();
  for (int i0 = 0; i0 < a.T_; i0 += N) {
    int rows = std::min(N, a.T_ - i0), last = 0;
    const T* from = dout + head.row(i0);
    const T* o = out + (from - dout);
    pack(head.q(i0), a.qs.position, rows, D, width, w.q.data());
    pack(from, row_step, rows, D, width, w.dout.data());
    R delta[N];
    for (int r = 0; r < rows; r++) {
      R s = 0;
      for (int d = 0; d < D; d++) s += R(from[r * row_step + d]) * R(o[r * row_step + d]);
      delta[r] = s;
      last = std::max(last, head.seen(i0 + r));
    }
    std::fill(dq_tile, dq_tile + rows * width, R(0));
    const R* lse = log_sum + head.place(i0);
    for (int j0 = 0; j0 < last; j0 += N) {
      int n = std::min(N, head.keys - j0), wide = padded<R>(n);
      scores(head, i0, rows, j0, wide, w.q.data(), size_t(width), w.kt.data() + size_t(j0) * D, p);
      std::fill(ds, ds + rows * N, R(0));
      tile_gemm<R>(rows, wide, D, w.dout.data(), width, 1, w.vt.data() + size_t(j0) * D, N, ds, N);
      for (int r = 0; r < rows; r++) {
        R *pr = p + r * N, *dr = ds + r * N, l = lse[r], dl = delta[r];
        if (a.dropout > 0) {
          R keep[N];
          std::fill(keep, keep + N, R(1));
          drop(head, i0 + r, j0, n, keep);
          for (int j = 0; j < wide; j++) {
            R x = exp_(pr[j] - l);
            dr[j] = x * (dr[j] * keep[j] - dl);
            pr[j] = x * keep[j];
          }
        } else {
#pragma omp simd
          for (int j = 0; j < wide; j++) {
            R x = exp_(pr[j] - l);
            dr[j] = x * (dr[j] - dl);
            pr[j] = x;
          }
        }
        if (dbias)
          for (int j = 0; j < n; j++) dbias[j0 + j - i0 - r + a.T_ - 1] += dr[j];
      }
      tile_gemm<R>(n, width, rows, p, 1, N, w.dout.data(), width, w.dv.data() + size_t(j0) * width,
                   width);
      tile_gemm<R>(n, width, rows, ds, 1, N, w.q.data(), width, w.dk.data() + size_t(j0) * width,
                   width);
      tile_gemm<R>(rows, width, n, ds, N, 1, w.k.data() + size_t(j0) * width, width, dq_tile,
                   width);
    }
    T* y = dq + (from - dout);
    for (int r = 0; r < rows; r++)
      for (int d = 0; d < D; d++) y[r * row_step + d] = dq_tile[r * width + d] * a.scale;
  }
}

template <class T>
void backward(const AttentionArgs<T>& a, const T* out, const Real<T>* log_sum, const T* dout, T* dq,
              T* dk, T* dv, Real<T>* dbias) {
  using R = Real<T>;
  int width = padded<R>(a.D), group = a.H / a.K, span = a.T_ + a.S - 1;
  std::vector<R> partial(dbias ? size_t(a.B) * a.H * span : 0);
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
      w.dk.assign(size_t(whole) * width, R(0)), w.dv.assign(size_t(whole) * width, R(0));
      pack_transposed(first.k(), a.ks.position, keys, a.D, w.kt.data());
      pack_transposed(first.v(), a.vs.position, keys, a.D, w.vt.data());
      pack(first.k(), a.ks.position, keys, a.D, width, w.k.data());
      for (int h = kv * group; h < (kv + 1) * group; h++)
        backward_head(Head<T>(a, b, h), out, log_sum, dout, dq,
                      dbias ? partial.data() + (size_t(b) * a.H + h) * span : nullptr, w);
      for (int j = 0; j < a.S; j++)
        for (int d = 0; d < a.D; d++) {
          size_t at = ((size_t(b) * a.S + j) * a.K + kv) * a.D + d;
          dk[at] = j < keys ? w.dk[size_t(j) * width + d] * a.scale : R(0);
          dv[at] = j < keys ? w.dv[size_t(j) * width + d] : R(0);
        }
    }
  }
  if (dbias && a.bias_batch) std::copy(partial.begin(), partial.end(), dbias);
  if (dbias && !a.bias_batch)
    for (int i = 0; i < a.H * span; i++) {
      R s = 0;
      for (int b = 0; b < a.B; b++) s += partial[size_t(b) * a.H * span + i];
      dbias[i] = s;
    }
}

}  // namespace

template <class T>
void attention_forward(Device device, const AttentionArgs<T>& args, T* out, Real<T>* log_sum) {
  if (device == Device::cuda) return cuda_attention_forward(args, out, log_sum);
  forward(args, out, log_sum);
}
template <class T>
void attention_backward(Device device, const AttentionArgs<T>& args, const T* out,
                        const Real<T>* log_sum, const T* dout, T* dq, T* dk, T* dv, Real<T>* dbias,
                        Real<T>* scratch) {
  if (device == Device::cuda)
    return cuda_attention_backward(args, out, log_sum, dout, dq, dk, dv, dbias, scratch);
  backward(args, out, log_sum, dout, dq, dk, dv, dbias);
}
template <class T>
size_t attention_scratch(Device device, const AttentionArgs<T>& args, bool dbias) {
  return device == Device::cuda ? cuda_attention_scratch(args, dbias) : 0;
}
#define RETORT_ATTENTION(T)                                                                   \
  template void attention_forward(Device, const AttentionArgs<T>&, T*, Real<T>*);             \
  template void attention_backward(Device, const AttentionArgs<T>&, const T*, const Real<T>*, \
                                   const T*, T*, T*, T*, Real<T>*, Real<T>*);                 \
  template size_t attention_scratch(Device, const AttentionArgs<T>&, bool);
RETORT_ATTENTION(float)
RETORT_ATTENTION(double)
RETORT_ATTENTION(bf16)
#undef RETORT_ATTENTION

}  // namespace retort
