// Attention on CUDA, backward. With P = exp(S - log_sum), kept probabilities P' = P keep, and
// delta_i = sum_d dO O:
//   dV = P'^T dO,  dS = P (dO V^T keep - delta),  dQ = scale dS K,  dK = scale dS^T Q,
//   dbias = sums of dS along its diagonals.
// One kernel keeps keys and streams the queries of their heads (dK, dV), one keeps queries and
// streams keys (dQ, diagonals); every sum has one order, so no atomics and the same bits each time.
#include "kernels/attention_library.h"
#include "kernels/attention_tile.h"
#include "kernels/launch.h"

namespace retort {
namespace {

template <class R, int kD>
struct BackwardTileOf {
  using type = Tile<R, kD, 4, 4>;
};
template <class R>
struct BackwardTileOf<R, 128> {  // results of 2 rows by 16 columns, twice, fill the registers
  using type = Tile<R, 128, 2, 4>;
};
template <int kD>
struct BackwardTileOf<double, kD> {
  using type = Tile<double, kD, 2, 2>;
};
template <>
struct BackwardTileOf<double, 128> {
  using type = Tile<double, 128, 1, 2>;
};
template <class R, int kD>
using BackwardTile = typename BackwardTileOf<R, kD>::type;
/// Rows and columns of operands and rows of scores.
template <class L>
constexpr size_t shared_numbers() {
  return 2 * size_t(L::rows + L::cols) * L::ld + size_t(L::rows) * L::ld_scores;
}

/// delta (B, H, T): a row is a query of a head.
template <class T>
struct Delta {
  int n, T_, H;
  const T *out, *dout;
  Real<T>* delta;
  template <class Team>
  DEV void operator()(Team team, int row) const {
    const T *x = out + size_t(row) * size_t(n), *y = dout + size_t(row) * size_t(n);
    Real<T> s = team.sum(
        n, [](int, Real<T> u, Real<T> v) { return u * v; }, x, y);
    int h = row % H, i = row / H % T_, b = row / H / T_;
    team.one([&] { delta[(size_t(b) * size_t(H) + size_t(h)) * size_t(T_) + size_t(i)] = s; });
  }
};

/// P of one score: 0 where query i does not see key j.
template <class T>
DEV Real<T> probability(const Head<T>& head, int i, int j, Real<T> score, Real<T> log_sum) {
  if (i >= head.a.T_ || j >= head.seen(i)) return 0;
  Real<T> bias = head.bias ? Real<T>(head.bias[j - i]) : Real<T>(0);
  return exp_(score * head.a.scale + bias - log_sum);
}

template <class T, int kD>
__global__ void __launch_bounds__(128, sizeof(Real<T>) == 8 ? 2 : 3)
    backward_keys(AttentionArgs<T> a, const Real<T>* log_sum, const Real<T>* delta, const T* dout,
                  T* dk, T* dv, int tiles) {
  using R = Real<T>;
  using L = BackwardTile<R, kD>;
  constexpr int M = L::rows / L::kDown, N = L::cols / L::kAcross;
  GPU_DYN_SHARED(R, k);
  R *v = k + L::rows * L::ld, *q = v + L::rows * L::ld, *dy = q + L::cols * L::ld,
    *p = dy + L::cols * L::ld;
  Place place(tiles, a.K);
  int group = a.H / a.K, j0 = place.tile * L::rows;
  Head<T> first(a, place.b, place.head * group);
  int rows = Head<T>::clamp(first.keys - j0, 0, L::rows);
  size_t step_k = a.ks.position, step_v = a.vs.position;
  L::template load<L::rows>(first.k() + size_t(j0) * step_k, step_k, rows, a.D, k);
  L::template load<L::rows>(first.v() + size_t(j0) * step_v, step_v, rows, a.D, v);
  typename L::Result sum_k, sum_v;
  L::clear(sum_k), L::clear(sum_v);
  // The first query that sees a key of this tile.
  int begin = a.causal ? max_(0, j0 + a.T_ - a.S) : 0, end = rows ? a.T_ : 0;
#pragma unroll 1
  for (int h = place.head * group; h < (place.head + 1) * group; h++) {
    Head<T> head(a, place.b, h);
#pragma unroll 1
    for (int i0 = begin; i0 < end; i0 += L::cols) {
      int count = min_(L::cols, a.T_ - i0);
      __syncthreads();
      L::template load<L::cols>(head.q(i0), a.qs.position, count, a.D, q);
      L::template load<L::cols>(dout + head.row(i0), head.row_step(), count, a.D, dy);
      __syncthreads();
      typename L::Scores s, ds;
      L::score(k, q, a.D, s);
      L::score(v, dy, a.D, ds);
      if (a.dropout > 0) L::fill(p, [&](int r, int c) { return head.keep(i0 + c, j0 + r); });
#pragma unroll
      for (int n = 0; n < N; n++) {
        int i = i0 + L::across(n);
        R l = i < a.T_ ? log_sum[head.place(i)] : R(0), t = i < a.T_ ? delta[head.place(i)] : R(0);
#pragma unroll
        for (int m = 0; m < M; m++) {
          R* to = p + L::down(m) * L::ld_scores + L::across(n);
          R x = probability(head, i, j0 + L::down(m), s[m][n], l),
            keep = a.dropout > 0 ? *to : R(1);
          ds[m][n] = x * (ds[m][n] * keep - t);
          *to = x * keep;
        }
      }
      __syncwarp();  // a row of scores is written and read by its eight threads alone
      L::add_product(p, dy, count, sum_v);
      __syncwarp();
#pragma unroll
      for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++) p[L::down(m) * L::ld_scores + L::across(n)] = ds[m][n];
      __syncwarp();
      L::add_product(p, q, count, sum_k);
      __syncwarp();
    }
  }
#pragma unroll
  for (int m = 0; m < M; m++) {
    int j = j0 + L::down(m);
    if (j >= a.S) continue;
    size_t at = ((size_t(place.b) * size_t(a.S) + size_t(j)) * size_t(a.K) + size_t(place.head)) *
                size_t(a.D);
    L::store(dk + at, a.D, a.scale, sum_k[m]);
    L::store(dv + at, a.D, R(1), sum_v[m]);
  }
}

/// Sums of dS along its diagonals, of one tile of queries: (S + rows - 1) numbers, number
/// j - r + rows - 1 for key j and the tile's query r.
template <class L>
HD int diagonals_of(int S) {
  return S + L::rows - 1;
}

template <class T, int kD>
__global__ void __launch_bounds__(128, sizeof(Real<T>) == 8 ? 2 : 3)
    backward_queries(AttentionArgs<T> a, const Real<T>* log_sum, const Real<T>* delta,
                     const T* dout, T* dq, Real<T>* diagonals, int tiles) {
  using R = Real<T>;
  using L = BackwardTile<R, kD>;
  constexpr int M = L::rows / L::kDown, N = L::cols / L::kAcross;
  GPU_DYN_SHARED(R, q);
  R *dy = q + L::rows * L::ld, *k = dy + L::rows * L::ld, *v = k + L::cols * L::ld,
    *p = v + L::cols * L::ld;
  Place place(tiles, a.H);
  Head<T> head(a, place.b, place.head);
  int tile = tiles - 1 - place.tile, i0 = tile * L::rows;
  int rows = min_(L::rows, a.T_ - i0), last = head.seen(i0 + rows - 1);
  if (diagonals) {
    diagonals += ((size_t(head.b) * size_t(a.H) + size_t(head.h)) * size_t(tiles) + size_t(tile)) *
                 size_t(diagonals_of<L>(a.S));
    for (int e = int(threadIdx.x); e < diagonals_of<L>(a.S); e += L::kThreads) diagonals[e] = 0;
  }
  L::template load<L::rows>(head.q(i0), a.qs.position, rows, a.D, q);
  L::template load<L::rows>(dout + head.row(i0), head.row_step(), rows, a.D, dy);
  R l[M], t[M];
#pragma unroll
  for (int m = 0; m < M; m++) {
    int i = i0 + L::down(m);
    l[m] = i < a.T_ ? log_sum[head.place(i)] : R(0);
    t[m] = i < a.T_ ? delta[head.place(i)] : R(0);
  }
  typename L::Result sum;
  L::clear(sum);
#pragma unroll 1
  for (int j0 = 0; j0 < last; j0 += L::cols) {
    int count = min_(L::cols, last - j0);
    size_t step_k = a.ks.position, step_v = a.vs.position;
    __syncthreads();
    L::template load<L::cols>(head.k() + size_t(j0) * step_k, step_k, count, a.D, k);
    L::template load<L::cols>(head.v() + size_t(j0) * step_v, step_v, count, a.D, v);
    __syncthreads();
    typename L::Scores s, ds;
    L::score(q, k, a.D, s);
    L::score(dy, v, a.D, ds);
    if (a.dropout > 0) L::fill(p, [&](int r, int c) { return head.keep(i0 + r, j0 + c); });
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
      for (int n = 0; n < N; n++) {
        R* to = p + L::down(m) * L::ld_scores + L::across(n);
        R x = probability(head, i0 + L::down(m), j0 + L::across(n), s[m][n], l[m]);
        *to = x * (ds[m][n] * (a.dropout > 0 ? *to : R(1)) - t[m]);
      }
    __syncwarp();
    L::add_product(p, k, count, sum);
    if (diagonals) {
      __syncthreads();
      for (int e = int(threadIdx.x); e < L::rows + L::cols - 1; e += L::kThreads) {
        int lag = e - (L::rows - 1);  // key - query, within the tile
        R x = 0;
        for (int r = max_(0, -lag); r < min_(L::rows, L::cols - lag); r++)
          x += p[r * L::ld_scores + r + lag];
        if (j0 + e < diagonals_of<L>(a.S)) diagonals[j0 + e] += x;
      }
    }
  }
#pragma unroll
  for (int m = 0; m < M; m++) {
    int i = i0 + L::down(m);
    if (i < a.T_) L::store(dq + head.row(i), a.D, a.scale, sum[m]);
  }
}

/// dbias from the diagonals of all tiles, and of all sequences where they share one bias.
template <class T, class L>
__global__ void __launch_bounds__(128)
    sum_diagonals(AttentionArgs<T> a, int tiles, const Real<T>* diagonals, Real<T>* dbias) {
  int e = int(blockIdx.x * blockDim.x + threadIdx.x), h = int(blockIdx.y), b = int(blockIdx.z);
  int span = a.T_ + a.S - 1, length = diagonals_of<L>(a.S);
  if (e >= span) return;
  Real<T> s = 0;
  for (int from = b; from < (a.bias_batch ? b + 1 : a.B); from++)
    for (int tile = 0; tile < tiles; tile++) {
      int at = e - (a.T_ - 1) + tile * L::rows + L::rows - 1;  // key - query of e, in the tile
      size_t start = ((size_t(from) * size_t(a.H) + size_t(h)) * size_t(tiles) + size_t(tile)) *
                     size_t(length);
      if (at >= 0 && at < length) s += diagonals[start + size_t(at)];
    }
  dbias[(size_t(b) * size_t(a.H) + size_t(h)) * size_t(span) + size_t(e)] = s;
}

}  // namespace

template <class T>
void cuda_attention_backward(const AttentionArgs<T>& a, const T* out, const Real<T>* log_sum,
                             const T* dout, T* dq, T* dk, T* dv, Real<T>* dbias, Real<T>* delta) {
  if constexpr (std::is_same_v<T, bf16>)
    if (library_attention_backward(a, out, log_sum, dout, dq, dk, dv)) return;
  for_head_size(a.D, [&]<int kD>(std::integral_constant<int, kD>) {
    using R = Real<T>;
    using L = BackwardTile<R, kD>;
    size_t shared = sizeof(R) * shared_numbers<L>(), queries = size_t(a.B) * size_t(a.H) * a.T_;
    int tiles = tiles_of(a.T_, L::rows), tiles_k = tiles_of(a.S, L::rows), span = a.T_ + a.S - 1;
    R* diagonals = dbias ? delta + queries : nullptr;
    if (queries) {
      cuda_rows(int(queries), Delta<T>{a.D, a.T_, a.H, out, dout, delta});
      launch(backward_queries<T, kD>, dim3(unsigned(a.B * a.H * tiles)), dim3(L::kThreads), shared,
             false, a, log_sum, delta, dout, dq, diagonals, tiles);
    }
    if (a.B * a.K * tiles_k > 0)
      launch(backward_keys<T, kD>, dim3(unsigned(a.B * a.K * tiles_k)), dim3(L::kThreads), shared,
             false, a, log_sum, delta, dout, dk, dv, tiles_k);
    if (dbias && a.B * a.H > 0 && span > 0)
      launch(sum_diagonals<T, L>,
             dim3(unsigned(tiles_of(span, 128)), unsigned(a.H), unsigned(a.bias_batch ? a.B : 1)),
             dim3(128), 0, false, a, tiles, diagonals, dbias);
  });
}
template <class T>
size_t cuda_attention_scratch(const AttentionArgs<T>& a, bool dbias) {
  size_t heads = size_t(a.B) * size_t(a.H), each = 0;
  for_head_size(a.D, [&]<int kD>(std::integral_constant<int, kD>) {
    using L = BackwardTile<Real<T>, kD>;
    each = size_t(tiles_of(a.T_, L::rows)) * size_t(diagonals_of<L>(a.S));
  });
  return heads * (size_t(a.T_) + (dbias ? each : 0));
}

#define RETORT_ATTENTION(T)                                                                \
  template void cuda_attention_backward(const AttentionArgs<T>&, const T*, const Real<T>*, \
                                        const T*, T*, T*, T*, Real<T>*, Real<T>*);         \
  template size_t cuda_attention_scratch(const AttentionArgs<T>&, bool);
RETORT_ATTENTION(float)
RETORT_ATTENTION(double)
RETORT_ATTENTION(bf16)
#undef RETORT_ATTENTION

}  // namespace retort
