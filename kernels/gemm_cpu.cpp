// gemm on the CPU: oneDNN in float32 (the only file that names it), own tiles in float64.
#include <dnnl.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/tile.h"

namespace retort {
namespace {

void product(const Gemm& g, const float* a, const float* b, float* c) {
  dnnl_status_t s = dnnl_sgemm(g.ta ? 'T' : 'N', g.tb ? 'T' : 'N', g.m, g.n, g.k, 1.f, a, g.lda, b,
                               g.ldb, g.beta, c, g.ldc);
  if (s != dnnl_success) throw std::runtime_error("oneDNN sgemm: status " + std::to_string(int(s)));
}

// Packs op(A) rows and op(B) columns in blocks of 64 x 64 x 64 and multiplies the tiles.
template <class T>
void tiled(const Gemm& g, const T* a, const T* b, T* c) {
  constexpr int N = 64;
  int blocks = (g.m + N - 1) / N * ((g.n + N - 1) / N), across = (g.n + N - 1) / N;
#pragma omp parallel for if (size_t(g.m) * size_t(g.n) * size_t(g.k) > 65536)
  for (int block = 0; block < blocks; block++) {
    alignas(64) T pa[N * N], pb[N * N], pc[N * N];
    int i0 = block / across * N, j0 = block % across * N;
    int m = std::min(N, g.m - i0), n = std::min(N, g.n - j0);
    std::fill(pc, pc + N * N, T(0));
    for (int l0 = 0; l0 < g.k; l0 += N) {
      int k = std::min(N, g.k - l0);
      for (int i = 0; i < m; i++)
        for (int l = 0; l < k; l++)
          pa[i * N + l] =
              g.ta ? a[size_t(l0 + l) * g.lda + i0 + i] : a[size_t(i0 + i) * g.lda + l0 + l];
      for (int l = 0; l < k; l++) {
        for (int j = 0; j < n; j++)
          pb[l * N + j] =
              g.tb ? b[size_t(j0 + j) * g.ldb + l0 + l] : b[size_t(l0 + l) * g.ldb + j0 + j];
        for (int j = n; j < N; j++) pb[l * N + j] = 0;
      }
      tile_gemm<T>(m, padded<T>(n), k, pa, N, 1, pb, N, pc, N);
    }
    for (int i = 0; i < m; i++)
      for (int j = 0; j < n; j++) {
        T* out = &c[size_t(i0 + i) * g.ldc + j0 + j];
        *out = pc[i * N + j] + (g.beta ? T(g.beta) * *out : T(0));
      }
  }
}

void product(const Gemm& g, const double* a, const double* b, double* c) { tiled(g, a, b, c); }

}  // namespace

template <class T>
void gemm(Device device, const Gemm& g, const T* a, const T* b, T* c) {
  if (device == Device::cuda) no_cuda();
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
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

}  // namespace retort
