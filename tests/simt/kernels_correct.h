// Correct kernels, the controls of bugs.cpp: reductions, shared memory with dynamic size, tiles,
// online softmax, atomics, and a barrier between the blocks of a cooperative grid.
#pragma once
#include <cuda_runtime.h>

namespace correct {

template <class Op>
__device__ __forceinline__ float block_reduce(float v, float zero, Op op) {
  GPU_SHARED(float, part, [32]);
  for (int o = 16; o; o >>= 1) v = op(v, __shfl_xor_sync(0xffffffffu, v, o));
  __syncthreads();  // part may still be read by the reduction before this one
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  v = threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : zero;
  for (int o = 16; o; o >>= 1) v = op(v, __shfl_xor_sync(0xffffffffu, v, o));
  return v;
}
__device__ __forceinline__ float block_sum(float v) {
  return block_reduce(v, 0, [](float a, float b) { return a + b; });
}
__device__ __forceinline__ float block_max(float v) {
  return block_reduce(v, -INFINITY, [](float a, float b) { return fmaxf(a, b); });
}

/// One block a row.
static __global__ void __launch_bounds__(256)
    softmax(const float* __restrict__ x, float* __restrict__ y, int n) {
  x += size_t(blockIdx.x) * n, y += size_t(blockIdx.x) * n;
  float m = -INFINITY, s = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) m = fmaxf(m, x[i]);
  m = block_max(m);
  for (int i = threadIdx.x; i < n; i += blockDim.x) s += __expf(x[i] - m);
  s = block_sum(s);
  for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = __expf(x[i] - m) / s;
}

/// Rows strided over blocks; the sums for gamma and beta in 2n floats of dynamic shared memory.
static __global__ void __launch_bounds__(128)
    layernorm_backward(const float* dy, const float* x, const float* gamma, float* dx,
                       float* dgamma, float* dbeta, int rows, int n) {
  GPU_DYN_SHARED(float, sums);
  for (int i = threadIdx.x; i < 2 * n; i += blockDim.x) sums[i] = 0;
  __syncthreads();
  for (int r = blockIdx.x; r < rows; r += gridDim.x) {
    const float *xr = x + size_t(r) * n, *dyr = dy + size_t(r) * n;
    float s = 0, q = 0, a = 0, b = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) s += xr[i];
    float mean = block_sum(s) / n;
    for (int i = threadIdx.x; i < n; i += blockDim.x) q += (xr[i] - mean) * (xr[i] - mean);
    float rstd = rsqrtf(block_sum(q) / n + 1e-5f);
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
      float h = (xr[i] - mean) * rstd, d = dyr[i] * gamma[i];
      a += d, b += d * h;
      sums[i] += dyr[i] * h, sums[n + i] += dyr[i];
    }
    a = block_sum(a) / n, b = block_sum(b) / n;
    for (int i = threadIdx.x; i < n; i += blockDim.x)
      dx[size_t(r) * n + i] = rstd * (dyr[i] * gamma[i] - a - (xr[i] - mean) * rstd * b);
  }
  for (int i = threadIdx.x; i < n; i += blockDim.x) {
    atomicAdd(&dgamma[i], sums[i]);
    atomicAdd(&dbeta[i], sums[n + i]);
  }
}

/// c = a b, of m x k and k x n, in tiles of 16 x 16.
static __global__ void matmul(const float* a, const float* b, float* c, int m, int n, int k) {
  GPU_SHARED(float, as, [16][17]);
  GPU_SHARED(float, bs, [16][17]);
  int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * 16 + ty, col = blockIdx.x * 16 + tx;
  float s = 0;
  for (int k0 = 0; k0 < k; k0 += 16) {
    as[ty][tx] = row < m && k0 + tx < k ? a[size_t(row) * k + k0 + tx] : 0;
    bs[ty][tx] = col < n && k0 + ty < k ? b[size_t(k0 + ty) * n + col] : 0;
    __syncthreads();
    for (int i = 0; i < 16; i++) s += as[ty][i] * bs[i][tx];
    __syncthreads();
  }
  if (row < m && col < n) c[size_t(row) * n + col] = s;
}

/// Causal attention with heads of 32, a warp a query, keys in tiles of 32.
static __global__ void __launch_bounds__(128)
    attention(const float* q, const float* k, const float* v, float* y, int n) {
  GPU_SHARED(float, ks, [32][33]);
  GPU_SHARED(float, vs, [32][33]);
  GPU_SHARED(float, qs, [4][32]);
  int lane = threadIdx.x % 32, w = threadIdx.x / 32, row = blockIdx.x * 4 + w;
  qs[w][lane] = row < n ? q[row * 32 + lane] : 0;
  __syncwarp();
  float m = -INFINITY, sum = 0, out = 0;
  int keys = min(n, int(blockIdx.x + 1) * 4);
  for (int j0 = 0; j0 < keys; j0 += 32) {
    __syncthreads();
    for (int r = w; r < 32; r += 4) {
      ks[r][lane] = j0 + r < n ? k[(j0 + r) * 32 + lane] : 0;
      vs[r][lane] = j0 + r < n ? v[(j0 + r) * 32 + lane] : 0;
    }
    __syncthreads();
    float s = 0;
    for (int d = 0; d < 32; d++) s += qs[w][d] * ks[lane][d];
    if (j0 + lane > row) s = -INFINITY;
    float top = s;
    for (int o = 16; o; o >>= 1) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, o));
    float next = fmaxf(m, top);
    float p = next == -INFINITY ? 0 : __expf(s - next);
    float scale = next == -INFINITY ? 1 : __expf(m - next);
    float part = p;
    for (int o = 16; o; o >>= 1) part += __shfl_xor_sync(0xffffffffu, part, o);
    sum = sum * scale + part, out *= scale, m = next;
    for (int j = 0; j < 32; j++) out += __shfl_sync(0xffffffffu, p, j) * vs[j][lane];
  }
  if (row < n) y[row * 32 + lane] = out / sum;
}

/// Counts of 16 values: in shared memory, then in global memory.
static __global__ void histogram(const int* x, int* counts, int n) {
  GPU_SHARED(int, mine, [16]);
  if (threadIdx.x < 16) mine[threadIdx.x] = 0;
  __syncthreads();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(&mine[x[i]], 1);
  __syncthreads();
  if (threadIdx.x < 16) atomicAdd(&counts[threadIdx.x], mine[threadIdx.x]);
}

/// Waits for all blocks of a cooperative grid; `counter` only grows.
__device__ __forceinline__ void grid_barrier(unsigned* counter, unsigned round) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    atomicAdd(counter, 1);
    while (atomicAdd(counter, 0) < (round + 1) * gridDim.x) __nanosleep(100);
    __threadfence();
  }
  __syncthreads();
}

/// x /= sum(x) by a cooperative grid; `parts` has a place for each block.
static __global__ void normalise(float* x, float* parts, unsigned* counter, int n) {
  int stride = gridDim.x * blockDim.x, first = blockIdx.x * blockDim.x + threadIdx.x;
  float s = 0;
  for (int i = first; i < n; i += stride) s += x[i];
  s = block_sum(s);
  if (threadIdx.x == 0) parts[blockIdx.x] = s;
  grid_barrier(counter, 0);
  s = 0;
  for (unsigned b = 0; b < gridDim.x; b++) s += parts[b];
  for (int i = first; i < n; i += stride) x[i] /= s;
  grid_barrier(counter, 1);
  if (first == 0) parts[0] = s;
}

}  // namespace correct
