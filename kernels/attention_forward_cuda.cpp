// Attention on CUDA, forward: a block for each tile of queries, online softmax over tiles of keys;
// for few queries a block for each query, its warps sharing out the keys.
#include "kernels/attention_library.h"
#include "kernels/attention_tile.h"
#include "kernels/math.h"

namespace retort {
namespace {

constexpr int kFew = 8;  // up to so many queries: a block each

template <class R, int kD>
using ForwardTile = std::conditional_t<sizeof(R) == 8, Tile<R, kD, 2, 4>, Tile<R, kD, 4, 8>>;

/// Softmax over scores as they come, of one query: sum = sum of exp(s - max).
template <class R>
struct Online {
  R max = -INFINITY, sum = 0;
  /// What exponents are taken relative to: finite, also while no key was seen.
  DEV R base() const { return max_(max, R(-1e30)); }
  /// Raises the maximum to m; returns what earlier results shrink by.
  DEV R raise(R m) {
    R old = base();
    max = max_(max, m);
    R shrink = exp_(old - base());
    sum *= shrink;
    return shrink;
  }
  DEV R log_sum() const { return sum > 0 ? max + log_(sum) : R(INFINITY); }
  DEV R factor() const { return sum > 0 ? 1 / sum : R(0); }
};

template <class T, int kD>
__global__ void __launch_bounds__(128, kD < 128 ? 3 : 2)
    forward_tiles(AttentionArgs<T> a, T* out, Real<T>* log_sum, int tiles) {
  using R = Real<T>;
  using L = ForwardTile<R, kD>;
  constexpr int M = L::rows / L::kDown, N = L::cols / L::kAcross;
  GPU_DYN_SHARED(R, q);
  R *kv = q + L::rows * L::ld, *p = kv + L::cols * L::ld;
  Place place(tiles, a.H);
  Head<T> head(a, place.b, place.head);
  int i0 = (tiles - 1 - place.tile) * L::rows;  // under a causal mask the last see most: they begin
  int rows = min_(L::rows, a.T_ - i0), last = head.seen(i0 + rows - 1);
  L::template load<L::rows>(head.q(i0), a.qs.position, rows, a.D, q);
  typename L::Result o;
  L::clear(o);
  Online<R> online[M];
#pragma unroll 1
  for (int j0 = 0; j0 < last; j0 += L::cols) {
    int count = min_(L::cols, last - j0);
    L::template load<L::cols>(head.k() + size_t(j0) * a.ks.position, a.ks.position, count, a.D, kv);
    __syncthreads();
    typename L::Scores s;
    L::score(q, kv, a.D, s);
    __syncthreads();  // K is read; V takes its place
    L::template load<L::cols>(head.v() + size_t(j0) * a.vs.position, a.vs.position, count, a.D, kv);
    if (a.dropout > 0) L::fill(p, [&](int r, int c) { return head.keep(i0 + r, j0 + c); });
#pragma unroll
    for (int m = 0; m < M; m++) {
      int i = i0 + L::down(m), seen = i < a.T_ ? head.seen(i) : 0;
      R top = -INFINITY;
#pragma unroll
      for (int n = 0; n < N; n++) {
        int j = j0 + L::across(n);
        s[m][n] *= a.scale;
        if (head.bias && j < seen) s[m][n] += R(head.bias[j - i]);
        if (j >= seen) s[m][n] = -INFINITY;
        top = max_(top, s[m][n]);
      }
      R shrink = online[m].raise(row_reduce(top, Greater{}));
#pragma unroll
      for (int c = 0; c < L::kOut; c++) o[m][c] *= shrink;
      R* to = p + L::down(m) * L::ld_scores + L::across(0);
#pragma unroll
      for (int n = 0; n < N; n++) {
        R x = exp_(s[m][n] - online[m].base());
        online[m].sum += x;  // of this thread's keys; the eight sums meet at the end
        to[n * L::kAcross] = a.dropout > 0 ? x * to[n * L::kAcross] : x;
      }
    }
    __syncthreads();
    L::add_product(p, kv, count, o);
    __syncthreads();
  }
#pragma unroll
  for (int m = 0; m < M; m++) {
    int i = i0 + L::down(m);
    online[m].sum = row_reduce(online[m].sum, Plus{});
    if (i >= a.T_) continue;
    L::store(out + head.row(i), a.D, online[m].factor(), o[m]);
    if (L::across(0) == 0) log_sum[head.place(i)] = online[m].log_sum();
  }
}

// One query a block. kD / 4 lanes hold a key, four numbers each; K and V are read where they lie,
// several keys of a thread at a time.
template <class T, int kD>
__global__ void __launch_bounds__(256, 2)
    forward_few(AttentionArgs<T> a, T* out, Real<T>* log_sum) {
  using R = Real<T>;
  constexpr int lanes = kD / 4, teams = 256 / lanes, warps = 8, unroll = 4;
  GPU_SHARED(Quad<R>, part, [8][kD / 4]);
  GPU_SHARED(Pair<R>, state, [8]);
  Place place(a.T_, a.H);
  Head<T> head(a, place.b, place.head);
  int i = place.tile, seen = head.seen(i), team = int(threadIdx.x) / lanes;
  int d = int(threadIdx.x) % lanes * 4, rest = a.D - d;
  Quad<R> q = load_quad(head.q(i) + d, rest), o{};
  const T *k = head.k() + d, *v = head.v() + d;
  Online<R> online;
#pragma unroll 1
  for (int j0 = 0; j0 < seen; j0 += teams * unroll) {  // the same trips for all: lanes exchange
    Quad<R> x[unroll], y[unroll];
    R s[unroll], top = -INFINITY;
#pragma unroll
    for (int u = 0; u < unroll; u++) {
      int j = j0 + u * teams + team, n = j < seen ? rest : 0;
      x[u] = load_quad(k + size_t(j) * a.ks.position, n);
      y[u] = load_quad(v + size_t(j) * a.vs.position, n);
    }
#pragma unroll
    for (int u = 0; u < unroll; u++) {
      int j = j0 + u * teams + team;
      s[u] = 0;
#pragma unroll
      for (int e = 0; e < 4; e++) s[u] += q.at[e] * x[u].at[e];
#pragma unroll
      for (int w = lanes / 2; w; w >>= 1) s[u] += shuffle_xor(s[u], w);
      s[u] = j < seen ? s[u] * a.scale + (head.bias ? R(head.bias[j - i]) : R(0)) : -INFINITY;
      top = max_(top, s[u]);
    }
    R shrink = online.raise(top);
#pragma unroll
    for (int e = 0; e < 4; e++) o.at[e] *= shrink;
#pragma unroll
    for (int u = 0; u < unroll; u++) {
      R p = exp_(s[u] - online.base());
      online.sum += p;
      if (a.dropout > 0) p *= head.keep(i, j0 + u * teams + team);
#pragma unroll
      for (int e = 0; e < 4; e++) o.at[e] += p * y[u].at[e];
    }
  }
  // The teams of a warp meet, then the warps.
#pragma unroll
  for (int w = lanes; w < 32; w <<= 1) {
    Online<R> other{shuffle_xor(online.max, w), shuffle_xor(online.sum, w)};
    R mine = online.raise(other.max), its = other.raise(online.max);
    online.sum += other.sum;
#pragma unroll
    for (int e = 0; e < 4; e++) o.at[e] = o.at[e] * mine + shuffle_xor(o.at[e], w) * its;
  }
  int warp = int(threadIdx.x) / 32;
  if (int(threadIdx.x) % 32 < lanes) part[warp][d / 4] = o;
  if (threadIdx.x % 32 == 0) state[warp] = {online.max, online.sum};
  __syncthreads();
  if (int(threadIdx.x) >= a.D) return;
  Online<R> all;
  R y = 0;
  for (int w = 0; w < warps; w++) {
    Online<R> one{state[w].a, state[w].b};
    R mine = all.raise(one.max), its = one.raise(all.max);
    all.sum += one.sum;
    y = y * mine + part[w][threadIdx.x / 4].at[threadIdx.x % 4] * its;
  }
  out[head.row(i) + threadIdx.x] = T(y * all.factor());
  if (threadIdx.x == 0) log_sum[head.place(i)] = all.log_sum();
}

}  // namespace

template <class T>
void cuda_attention_forward(const AttentionArgs<T>& a, T* out, Real<T>* log_sum) {
  if constexpr (std::is_same_v<T, bf16>)
    if (library_attention_forward(a, out, log_sum)) return;
  for_head_size(a.D, [&]<int kD>(std::integral_constant<int, kD>) {
    using L = ForwardTile<Real<T>, kD>;
    unsigned heads = unsigned(a.B * a.H), tiles = unsigned(tiles_of(a.T_, L::rows));
    if (heads * tiles == 0) return;
    if (a.stable ? a.step : a.T_ <= kFew)
      return launch(forward_few<T, kD>, dim3(heads * unsigned(a.T_)), dim3(256), 0, false, a, out,
                    log_sum);
    size_t shared =
        sizeof(Real<T>) * ((L::rows + L::cols) * size_t(L::ld) + L::rows * size_t(L::ld_scores));
    launch(forward_tiles<T, kD>, dim3(heads * tiles), dim3(L::kThreads), shared, false, a, out,
           log_sum, int(tiles));
  });
}
template void cuda_attention_forward(const AttentionArgs<float>&, float*, float*);
template void cuda_attention_forward(const AttentionArgs<double>&, double*, double*);
template void cuda_attention_forward(const AttentionArgs<bf16>&, bf16*, float*);

}  // namespace retort
