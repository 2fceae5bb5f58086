// Three shapes of work, each with one call site for every device:
//   rows(device, count, K{...})             K has `int n` and operator()(Team, int row)
//   columns(device, rows, cols, out, F{})   out[c] = sum over r of F(r, c), in a fixed order
//   map(device, n, y, F{}, x...)            y[i] = F(x[i]...)
// Included by operator and loss files only. K and F are named structs at namespace scope.
#pragma once
#include "kernels/math.h"
#include "kernels/team.h"

namespace retort {

/// y = x, for a team.
template <class Team, class T>
HD void copy(const Team& team, int n, const T* x, T* y) {
  team.each(
      n, [](int, Real<T> v, Real<T>& w) { w = v; }, x, out(y));
}

#ifdef GPU_CODE
// Neighbours that a thread visits at a time: 16 bytes of bfloat16 or of float32.
template <class K>
constexpr int chunk = 4;
template <template <class> class K>
constexpr int chunk<K<bf16>> = 8;
template <template <class, class> class K, class F>
constexpr int chunk<K<F, bf16>> = 8;
template <class K>  // a kernel whose streams are of Four says how many of them
constexpr int chunk_of = [] {
  if constexpr (requires { K::kChunk; })
    return K::kChunk;
  else
    return chunk<K>;
}();

template <class K>
__global__ void __launch_bounds__(128, 7) rows_warp(K k, int count) {
  int row = int(blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32);
  if (row < count) k(Warp<chunk_of<K>>{}, row);
}
// Rows of double are for gradient checks: one launch, with registers to spare.
template <class K>
constexpr bool is_double = false;
template <template <class> class K>
constexpr bool is_double<K<double>> = true;
template <template <class, class> class K, class F>
constexpr bool is_double<K<F, double>> = true;

template <class K>
__global__ void __launch_bounds__(is_double<K> ? 256 : 1024, 1) rows_block(K k) {
  k(Block<chunk_of<K>>{}, int(blockIdx.x));
}
template <class K>
__global__ void __launch_bounds__(512, 2) rows_blocks(K k, void* meetings, int first) {
  int row = first + int(blockIdx.y);
  k(Blocks<chunk_of<K>>(static_cast<Meeting*>(meetings) + row, int(blockIdx.x), int(gridDim.x)),
    row);
}
template <int C>
struct Everyone : CudaTeam<Everyone<C>, C> {
  DEV int lane() const { return int(blockIdx.x * blockDim.x + threadIdx.x); }
  DEV int size() const { return int(gridDim.x * blockDim.x); }
};
template <class F, class T, class... X>
__global__ void __launch_bounds__(256, sizeof(T) == 8 ? 1 : 4)
    map_kernel(int n, T* y, F f, const X*... x) {
  Everyone<sizeof(T) == 2 ? 8 : 4>{}.each(
      n, [&](int, Real<T>& v, auto... u) { v = f(u...); }, out(y), x...);
}
template <class F, class T>
__global__ void __launch_bounds__(256) columns_kernel(int rows, int cols, T* out, F f) {
  GPU_SHARED(Real<T>, part, [8][33]);  // 32 x 8 threads
  int c = int(blockIdx.x * 32 + threadIdx.x);
  Real<T> s = 0;
  for (int r = int(threadIdx.y); r < rows; r += 8)
    if (c < cols) s += f(r, c);
  part[threadIdx.y][threadIdx.x] = s;
  __syncthreads();
  if (threadIdx.y || c >= cols) return;
  for (int j = 1; j < 8; j++) s += part[j][threadIdx.x];
  out[c] = T(s);
}

/// Blocks for each of few long rows; a function of the shape alone, so that every device sums in
/// one order. 1: a row is one block's.
inline int blocks_per_row(int count, int n) {
  int blocks = min_(min_(kMostBlocks, n / 4096), 128 / max_(count, 1));
  return blocks > 1 && count <= 64 ? blocks : 1;
}

template <class K>
void cuda_rows(int count, const K& k) {
  dim3 each{unsigned(count)};
  if constexpr (is_double<K>) {
    launch(rows_block<K>, each, dim3(256), 0, false, k);
  } else {
    int blocks = blocks_per_row(count, k.n);
    if (k.n <= 1024)
      launch(rows_warp<K>, dim3(unsigned(count + 3) / 4), dim3(128), 0, false, k, count);
    else if (blocks > 1) {  // as many rows at once as the device has room for
      void* meetings = cuda_scratch(size_t(count) * sizeof(Meeting));
      int most = max_(2 * cuda_context().multiprocessors / blocks, 1);
      for (int first = 0; first < count; first += most)
        launch(rows_blocks<K>, dim3(unsigned(blocks), unsigned(min_(most, count - first))),
               dim3(512), 0, true, k, meetings, first);
    } else
      launch(rows_block<K>, each, dim3(k.n < 8192 ? 256 : 1024), 0, false, k);
  }
}
template <class F, class T, class... X>
void cuda_map(size_t n, T* y, F f, const X*... x) {
  constexpr size_t most = size_t(1) << 30;  // of one launch; offsets in it are ints
  for (size_t first = 0; first < n; first += most) {
    size_t count = min_(n - first, most);
    launch(map_kernel<F, T, X...>, dim3(unsigned((count + 1023) / 1024)),
           dim3(sizeof(T) == 2 ? 128 : 256), 0, false, int(count), y + first, f, x + first...);
  }
}
#endif

/// Runs `k` for each of `count` rows: OpenMP over rows; on CUDA a warp each (up to 1,024 elements),
/// a block, or several blocks where rows are few and long.
template <class K>
void rows(Device device, int count, const K& k) {
  if (count == 0) return;
  if (device == Device::cpu) {
#pragma omp parallel for if (size_t(count) * size_t(k.n) > 16384)
    for (int r = 0; r < count; r++) k(Solo{}, r);
    return;
  }
#ifdef GPU_CODE
  cuda_rows(count, k);
#else
  no_cuda();
#endif
}

/// y[i] = f(x[i]...) for i < n, in Real of the types.
template <class F, class T, class... X>
void map(Device device, size_t n, T* y, F f, const X*... x) {
  if (n == 0) return;
  if (device == Device::cpu) {
#pragma omp parallel for simd if (n > 16384)
    for (size_t i = 0; i < n; i++) put(y[i], Real<T>(f(Real<X>(x[i])...)));
    return;
  }
#ifdef GPU_CODE
  cuda_map(n, y, f, x...);
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
      Real<T> s[W] = {};
      int w = cols - c0 < W ? cols - c0 : W;
      for (int r = 0; r < rows; r++)
#pragma omp simd
        for (int j = 0; j < w; j++) s[j] += f(r, c0 + j);
      for (int j = 0; j < w; j++) out[c0 + j] = T(s[j]);
    }
    return;
  }
#ifdef GPU_CODE
  launch(columns_kernel<F, T>, dim3(unsigned(cols + 31) / 32), dim3(32, 8), 0, false, rows, cols,
         out, f);
#else
  no_cuda();
#endif
}

}  // namespace retort
