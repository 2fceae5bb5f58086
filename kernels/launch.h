// Three shapes of work, each with one call site for every device:
//   rows(device, count, K{...})             K has `int n` and operator()(Team, int row)
//   columns(device, rows, cols, out, F{})   out[c] = sum over r of F(r, c), in a fixed order
//   map(device, n, y, F{}, x...)            y[i] = F(x[i]...)
// Included by operator and loss files only. K and F are named structs at namespace scope.
#pragma once
#include "kernels/device.h"
#include "kernels/math.h"

#ifdef __CUDACC__
#include <stdexcept>
#endif

namespace retort {

#ifdef __CUDACC__
template <class K>
__global__ void __launch_bounds__(1024) rows_block(K k, int) {
  k(Block{}, int(blockIdx.x));
}
template <class K>
__global__ void __launch_bounds__(128) rows_warp(K k, int count) {
  int row = int(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32);
  if (row < count) k(Warp{}, row);
}
template <class F, class T, class... X>
__global__ void map_kernel(size_t n, T* y, F f, const X*... x) {
  size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) y[i] = f(x[i]...);
}
template <class F, class T>
__global__ void columns_kernel(int rows, int cols, T* out, F f) {  // 32 x 8 threads
  GPU_SHARED(T, part, [8][33]);
  int c = int(blockIdx.x * 32 + threadIdx.x);
  T s = 0;
  for (int r = int(threadIdx.y); r < rows; r += 8)
    if (c < cols) s += f(r, c);
  part[threadIdx.y][threadIdx.x] = s;
  __syncthreads();
  if (threadIdx.y || c >= cols) return;
  for (int j = 1; j < 8; j++) s += part[j][threadIdx.x];
  out[c] = s;
}
inline void check_launch() {
  cudaError_t e = cudaGetLastError();
  if (e) throw std::runtime_error(cudaGetErrorString(e));
}
#endif

/// Runs `k` for each of `count` rows: OpenMP over rows, or a warp (up to 1,024 elements) or block
/// each.
template <class K>
void rows(Device device, int count, const K& k) {
  if (count == 0) return;
  if (device == Device::cpu) {
#pragma omp parallel for if (size_t(count) * size_t(k.n) > 16384)
    for (int r = 0; r < count; r++) k(Solo{}, r);
    return;
  }
#ifdef __CUDACC__
  if (k.n <= 1024)
    rows_warp<K><<<dim3((count + 3) / 4), dim3(128)>>>(k, count);
  else
    rows_block<K><<<dim3(count), dim3(k.n < 8192 ? 256 : 1024)>>>(k, count);
  check_launch();
#else
  no_cuda();
#endif
}

/// y[i] = f(x[i]...) for i < n.
template <class F, class T, class... X>
void map(Device device, size_t n, T* y, F f, const X*... x) {
  if (n == 0) return;
  if (device == Device::cpu) {
#pragma omp parallel for simd if (n > 16384)
    for (size_t i = 0; i < n; i++) y[i] = f(x[i]...);
    return;
  }
#ifdef __CUDACC__
  map_kernel<F, T, X...><<<dim3(unsigned((n + 255) / 256)), dim3(256)>>>(n, y, f, x...);
  check_launch();
#else
  no_cuda();
#endif
}

/// out[c] = sum over r < rows of f(r, c), for c < cols.
template <class F, class T>
void columns(Device device, int rows, int cols, T* out, F f) {
  if (cols == 0) return;
  if (device == Device::cpu) {
    constexpr int W = 64;
#pragma omp parallel for if (size_t(rows) * size_t(cols) > 16384)
    for (int c0 = 0; c0 < cols; c0 += W) {
      T s[W] = {};
      int w = cols - c0 < W ? cols - c0 : W;
      for (int r = 0; r < rows; r++)
#pragma omp simd
        for (int j = 0; j < w; j++) s[j] += f(r, c0 + j);
      for (int j = 0; j < w; j++) out[c0 + j] = s[j];
    }
    return;
  }
#ifdef __CUDACC__
  columns_kernel<F, T><<<dim3((cols + 31) / 32), dim3(32, 8)>>>(rows, cols, out, f);
  check_launch();
#else
  no_cuda();
#endif
}

}  // namespace retort
