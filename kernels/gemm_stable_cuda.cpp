// Products whose rows do not depend on each other, on CUDA. Every element of C is one chain of
// fused multiply-adds over k in order, whatever tile it lies in, so the tiles may be chosen by
// shape and the bits stay. cuBLASLt cannot promise that: it picks its kernels by m.
#include "kernels/gemm.h"
#include "kernels/launch.h"

namespace retort {
namespace {

DEV float multiply_add(float a, float b, float c) { return ::fmaf(a, b, c); }
DEV double multiply_add(double a, double b, double c) { return ::fma(a, b, c); }

// Copies a K x N tile of op(X), whose element (l, j) is x[l * down + j * across], into shared
// memory, zeros beyond the edges. Neighbouring threads read neighbouring addresses.
template <int N, int K, int Threads, class T, class R>
DEV void fill(R (*tile)[N + 1], const T* x, size_t down, size_t across, int k, int n) {
#pragma unroll
  for (int i = int(threadIdx.x); i < N * K; i += Threads) {
    int l = down == 1 ? i % K : i / N, j = down == 1 ? i / K : i % N;
    tile[l][j] = l < k && j < n ? R(x[size_t(l) * down + size_t(j) * across]) : R(0);
  }
}

// A block computes M x N elements of C, a thread Y x X of them.
template <int M, int N, int K, int Y, int X, class T, class Out>
__global__ void __launch_bounds__(M / Y * N / X)
    stable_product(Gemm g, const T* a, const T* b, Out* c) {
  constexpr int Threads = M / Y * N / X, W = N / X;
  using R = Real<T>;
  GPU_SHARED(R, left, [K][M + 1]);
  GPU_SHARED(R, right, [K][N + 1]);
  int i0 = int(blockIdx.y) * M, j0 = int(blockIdx.x) * N;
  size_t row = g.ta ? 1 : size_t(g.lda), col = g.ta ? size_t(g.lda) : 1;
  size_t down = g.tb ? 1 : size_t(g.ldb), across = g.tb ? size_t(g.ldb) : 1;
  a += blockIdx.z * g.stride_a + size_t(i0) * row;
  b += blockIdx.z * g.stride_b + size_t(j0) * across;
  c += blockIdx.z * g.stride_c;
  int x = int(threadIdx.x) % W, y = int(threadIdx.x) / W * Y;
  R sum[Y][X] = {};
  for (int l0 = 0; l0 < g.k; l0 += K) {
    fill<M, K, Threads>(left, a + size_t(l0) * col, col, row, g.k - l0, g.m - i0);
    fill<N, K, Threads>(right, b + size_t(l0) * down, down, across, g.k - l0, g.n - j0);
    __syncthreads();
#pragma unroll
    for (int l = 0; l < K; l++)
#pragma unroll
      for (int i = 0; i < Y; i++)
#pragma unroll
        for (int j = 0; j < X; j++)
          sum[i][j] = multiply_add(left[l][y + i], right[l][x + j * W], sum[i][j]);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < Y; i++)
#pragma unroll
    for (int j = 0; j < X; j++) {
      int r = i0 + y + i, s = j0 + x + j * W;
      if (r >= g.m || s >= g.n) continue;
      Out* to = c + size_t(r) * g.ldc + s;
      *to = Out(g.beta != 0 ? multiply_add(R(g.beta), R(*to), sum[i][j]) : sum[i][j]);
    }
}

template <int M, int N, int K, int Y, int X, class T, class Out>
void run(const Gemm& g, const T* a, const T* b, Out* c) {
  dim3 grid(unsigned((g.n + N - 1) / N), unsigned((g.m + M - 1) / M), unsigned(g.batch));
  launch(stable_product<M, N, K, Y, X, T, Out>, grid, dim3(M / Y * N / X), 0, false, g, a, b, c);
}

}  // namespace

template <class T, class Out>
void cuda_stable_gemm(const Gemm& g, const T* a, const T* b, Out* c) {
  size_t large = size_t((g.m + 63) / 64) * size_t((g.n + 63) / 64) * size_t(g.batch);
  if (large >= size_t(cuda_context().multiprocessors))
    run<64, 64, 16, 4, 4>(g, a, b, c);
  else
    run<16, 32, 32, 2, 2>(g, a, b, c);
}
template void cuda_stable_gemm(const Gemm&, const float*, const float*, float*);
template void cuda_stable_gemm(const Gemm&, const double*, const double*, double*);
template void cuda_stable_gemm(const Gemm&, const bf16*, const bf16*, bf16*);
template void cuda_stable_gemm(const Gemm&, const bf16*, const bf16*, float*);

}  // namespace retort
