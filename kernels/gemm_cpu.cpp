// gemm on the CPU: oneDNN in float32 (the only file that names it), own tiles in float64 and
// where rows must be stable.
#include <dnnl.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/gemm.h"
#include "kernels/tile.h"

namespace retort {
namespace {

// Own tiles: op(B) packed in blocks of 64 x 64, op(A) read where it lies. Every element of C is one
// sum over k in order, so its bits depend on its row of A and column of B alone. oneDNN's do not
// have that property: its kernels change with m and the number of threads.
template <class T>
void tiled(const Gemm& g, const T* a, const T* b, T* c) {
  constexpr int M = 128, N = 64;
  int across = (g.n + N - 1) / N, blocks = (g.m + M - 1) / M * across;
  size_t row = g.ta ? 1 : size_t(g.lda), step = g.ta ? size_t(g.lda) : 1;
#pragma omp parallel for if (size_t(g.m) * size_t(g.n) * size_t(g.k) > 65536)
  for (int block = 0; block < blocks; block++) {
    alignas(64) T pb[N * N], pc[M * N];
    int i0 = block / across * M, j0 = block % across * N;
    int m = std::min(M, g.m - i0), n = std::min(N, g.n - j0);
    std::fill(pc, pc + m * N, T(0));
    for (int l0 = 0; l0 < g.k; l0 += N) {
      int k = std::min(N, g.k - l0);
      if (n < N) std::fill(pb, pb + k * N, T(0));
      if (g.tb) {
        for (int j = 0; j < n; j++) {
          const T* x = b + size_t(j0 + j) * g.ldb + l0;
          for (int l = 0; l < k; l++) pb[l * N + j] = x[l];
        }
      } else {
        for (int l = 0; l < k; l++) std::copy_n(b + size_t(l0 + l) * g.ldb + j0, n, pb + l * N);
      }
      tile_gemm<T>(m, padded<T>(n), k, a + i0 * row + l0 * step, row, step, pb, N, pc, N);
    }
    for (int i = 0; i < m; i++) {
      T* out = c + size_t(i0 + i) * g.ldc + j0;
      for (int j = 0; j < n; j++)
        out[j] = pc[i * N + j] + (g.beta != 0 ? T(g.beta) * out[j] : T(0));
    }
  }
}

void product(const Gemm& g, const float* a, const float* b, float* c) {
  if (g.stable_rows) return tiled(g, a, b, c);
  dnnl_status_t s = dnnl_sgemm(g.ta ? 'T' : 'N', g.tb ? 'T' : 'N', g.m, g.n, g.k, 1.f, a, g.lda, b,
                               g.ldb, g.beta, c, g.ldc);
  if (s == dnnl_out_of_memory) throw std::bad_alloc();
  if (s != dnnl_success) throw std::runtime_error("oneDNN sgemm: status " + std::to_string(int(s)));
}
void product(const Gemm& g, const double* a, const double* b, double* c) { tiled(g, a, b, c); }
void product(const Gemm& g, const bf16* a, const bf16* b, bf16* c) {
  auto widened = [](const bf16* x, int rows, int cols, int ld) {
    return std::vector<float>(x, x + size_t(rows - 1) * size_t(ld) + size_t(cols));
  };
  std::vector<float> x = widened(a, g.ta ? g.k : g.m, g.ta ? g.m : g.k, g.lda),
                     y = widened(b, g.tb ? g.n : g.k, g.tb ? g.k : g.n, g.ldb),
                     z = widened(c, g.m, g.n, g.ldc);
  product(g, x.data(), y.data(), z.data());
  for (int i = 0; i < g.m; i++)
    for (int j = 0; j < g.n; j++) c[size_t(i) * g.ldc + j] = z[size_t(i) * g.ldc + j];
}

}  // namespace

template <class T>
void gemm(Device device, const Gemm& g, const T* a, const T* b, T* c) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  if (device == Device::cuda) return cuda_gemm(g, a, b, c);
  if constexpr (!std::is_same_v<T, bf16>)
    if (g.batch > 1 && size_t(g.m) * size_t(g.n) * size_t(g.k) < 1 << 18) {
#pragma omp parallel for
      for (int i = 0; i < g.batch; i++)
        tiled(g, a + i * g.stride_a, b + i * g.stride_b, c + i * g.stride_c);
      return;
    }
  for (int i = 0; i < g.batch; i++)
    product(g, a + i * g.stride_a, b + i * g.stride_b, c + i * g.stride_c);
}
template void gemm(Device, const Gemm&, const float*, const float*, float*);
template void gemm(Device, const Gemm&, const double*, const double*, double*);
template void gemm(Device, const Gemm&, const bf16*, const bf16*, bf16*);

}  // namespace retort
