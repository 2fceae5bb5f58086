// What a block of CUDA threads does with tiles of attention, in shared memory and registers.
//
// A block keeps rows of one operand (queries, or keys where dK and dV are computed) and streams
// tiles of the other past them. Its 16 x 8 threads own the product of both: thread (down, across)
// has kRows scores down + 16 m by kCols scores across + 8 n, and of each of its rows the columns
// 32 c + 4 across of the results. The eight threads of a row are neighbours in a warp: what a row
// exchanges needs no block barrier.
//
// Rows in shared memory are padded, by four numbers (operands) or eight (scores), so that the
// neighbours of a warp meet different banks; they are read four numbers at a time.
#pragma once
#include <stdexcept>
#include <string>

#include "kernels/attention_head.h"
#include "kernels/team.h"

#ifdef GPU_CODE
namespace retort {

/// Four neighbours in shared memory: one 128-bit load of float.
template <class R>
struct alignas(16) Quad {
  R at[4];
};
template <class R>
DEV Quad<R>& quad(R* p) {
  return *reinterpret_cast<Quad<R>*>(p);
}
template <class R>
DEV const Quad<R>& quad(const R* p) {
  return *reinterpret_cast<const Quad<R>*>(p);
}
/// Four neighbours of a row in global memory of which n are left; zeros behind them.
template <class T>
DEV Quad<Real<T>> load_quad(const T* p, int n) {
  Quad<Real<T>> y;
  if (n >= 4) {
    Chunk<const T*, 4> x(p, 0);
#pragma unroll
    for (int k = 0; k < 4; k++) y.at[k] = x.value[k];
  } else {
#pragma unroll
    for (int k = 0; k < 4; k++) y.at[k] = k < n ? Real<T>(p[k]) : Real<T>(0);
  }
  return y;
}
template <class T>
DEV void store_quad(T* p, int n, const Real<T>* x) {
  if (n >= 4) {
    Chunk<Out<T>, 4> y(out(p), 0);
#pragma unroll
    for (int k = 0; k < 4; k++) y.value[k] = x[k];
    y.store();
  } else {
#pragma unroll
    for (int k = 0; k < 4; k++)
      if (k < n) p[k] = T(x[k]);
  }
}

/// Head sizes up to kD; each thread has kRows x kCols scores.
template <class R, int kD, int kRows, int kCols>
struct Tile {
  static constexpr int kThreads = 128, kDown = 16, kAcross = 8;
  static constexpr int rows = kDown * kRows, cols = kAcross * kCols;
  static constexpr int ld = kD + 4, ld_scores = cols + 8;  // distances of rows in shared memory
  static constexpr int kOut = kD / kAcross;                // results of a thread in each row
  using Scores = R[kRows][kCols];
  using Result = R[kRows][kOut];

  DEV static int down(int m) { return int(threadIdx.x) / kAcross + kDown * m; }
  DEV static int across(int n) { return int(threadIdx.x) % kAcross + kAcross * n; }

  /// y (kCount, ld) = `count` rows of x, zeros behind them and behind D. All threads call it;
  /// they need a barrier before it and one behind.
  template <int kCount, class T>
  DEV static void load(const T* x, size_t step, int count, int D, R* y) {
    constexpr int quads = kCount * kD / 4 / kThreads, batch = quads < 4 ? quads : 4;
    static_assert(quads % batch == 0 && kCount * kD % (4 * kThreads) == 0);
#pragma unroll 1
    for (int e0 = int(threadIdx.x); e0 < kCount * kD / 4; e0 += batch * kThreads) {
      Quad<R> v[batch];
#pragma unroll
      for (int u = 0; u < batch; u++) {
        int e = e0 + u * kThreads, r = e / (kD / 4), d = e % (kD / 4) * 4;
        v[u] = load_quad(x + size_t(r) * step + d, r < count ? D - d : 0);
      }
#pragma unroll
      for (int u = 0; u < batch; u++) {
        int e = e0 + u * kThreads;
        quad(y + e / (kD / 4) * ld + e % (kD / 4) * 4) = v[u];
      }
    }
  }

  /// s = A B^T for A (rows, D) and B (cols, D).
  DEV static void score(const R* a, const R* b, int D, Scores& s) {
#pragma unroll
    for (int m = 0; m < kRows; m++)
#pragma unroll
      for (int n = 0; n < kCols; n++) s[m][n] = 0;
    a += down(0) * ld, b += across(0) * ld;
#pragma unroll 1  // two steps at a time would not fit the registers of three blocks
    for (int d = 0; d < D; d += 4) {
      Quad<R> y[kCols];
#pragma unroll
      for (int n = 0; n < kCols; n++) y[n] = quad(b + n * kAcross * ld + d);
#pragma unroll
      for (int m = 0; m < kRows; m++) {
        Quad<R> x = quad(a + m * kDown * ld + d);
#pragma unroll
        for (int k = 0; k < 4; k++)
#pragma unroll
          for (int n = 0; n < kCols; n++) s[m][n] += x.at[k] * y[n].at[k];
      }
    }
  }

  /// y += P B for P (rows, count) in rows of ld_scores, B (count, kD).
  DEV static void add_product(const R* p, const R* b, int count, Result& y) {
    p += down(0) * ld_scores, b += 4 * across(0);
#pragma unroll 1
    for (int j = 0; j < count; j += 4) {
      Quad<R> w[kRows];
#pragma unroll
      for (int m = 0; m < kRows; m++) w[m] = quad(p + m * kDown * ld_scores + j);
#pragma unroll
      for (int k = 0; k < 4; k++)
#pragma unroll
        for (int c = 0; c < kOut; c += 4) {
          Quad<R> x = quad(b + (j + k) * ld + c * kAcross);
#pragma unroll
          for (int m = 0; m < kRows; m++)
#pragma unroll
            for (int l = 0; l < 4; l++) y[m][c + l] += w[m].at[k] * x.at[l];
        }
    }
  }

  DEV static void clear(Result& y) {
#pragma unroll
    for (int m = 0; m < kRows; m++)
#pragma unroll
      for (int c = 0; c < kOut; c++) y[m][c] = 0;
  }
  /// Row m of y times `factor` to global memory.
  template <class T>
  DEV static void store(T* to, int D, R factor, const R (&y)[kOut]) {
#pragma unroll
    for (int c = 0; c < kOut; c += 4) {
      R x[4];
#pragma unroll
      for (int l = 0; l < 4; l++) x[l] = y[c + l] * factor;
      int d = c * kAcross + 4 * across(0);
      store_quad(to + d, D - d, x);
    }
  }
  /// p[m, n] = factor(m, n) for this thread's scores. A rolled loop: random numbers are long code.
  template <class F>
  DEV static void fill(R* p, F factor) {
#pragma unroll 1
    for (int m = 0; m < kRows; m++)
#pragma unroll 1
      for (int n = 0; n < kCols; n++)
        p[down(m) * ld_scores + across(n)] = factor(down(m), across(n));
  }
};

/// Sum or maximum over the eight threads of a row.
template <class R, class Op>
DEV R row_reduce(R x, Op op) {
#pragma unroll
  for (int o = 4; o; o >>= 1) x = op(x, shuffle_xor(x, o));
  return x;
}

/// The block's place in a grid of B x heads x tiles, tiles next to each other.
struct Place {
  int tile, head, b;
  DEV Place(int tiles, int heads)
      : tile(int(blockIdx.x) % tiles),
        head(int(blockIdx.x) / tiles % heads),
        b(int(blockIdx.x) / tiles / heads) {}
};

inline int tiles_of(int n, int size) { return (n + size - 1) / size; }

/// f(kD) for the smallest size of the kernels that holds D, as a compile-time number.
template <class F>
void for_head_size(int D, F f) {
  if (D > 128)
    throw std::invalid_argument("attention: heads of " + std::to_string(D) +
                                " numbers; CUDA's kernels take at most 128");
  if (D <= 32) return f(std::integral_constant<int, 32>{});
  if (D <= 64) return f(std::integral_constant<int, 64>{});
  f(std::integral_constant<int, 128>{});
}

}  // namespace retort
#endif
