// Twenty kernels with a planted bug each, and the correct kernels as controls: planted.cpp checks
// which build of this program sees what.
//   bugs NAME     runs a bug under several seeds and says what was seen; status 1 if anything
//   bugs list     the names
//   bugs correct  checks the correct kernels against plain loops; status 1 if one is wrong
// `planted` marks the line at fault.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include <cuda_runtime.h>

#include "correct.h"
#include "queue.h"
#include "simt.h"

// Every bug runs as 4 blocks of 256 threads: x has 1,024 elements, y 4, dynamic shared memory 256.
namespace bugs {

constexpr unsigned all = 0xffffffffu;

__device__ __forceinline__ float warp_sum(float v) {
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(all, v, o);
  return v;
}

// Neighbours read what nobody waited for.
__global__ void missing_barrier_after_write(const float* x, float* y) {
  GPU_SHARED(float, row, [256]);
  row[threadIdx.x] = x[blockIdx.x * 256 + threadIdx.x];
  float v = warp_sum(row[255 - threadIdx.x]);  // planted
  if (threadIdx.x == 0) y[blockIdx.x] = v;
}

// The last warp takes its lanes for synchronous.
__global__ void warp_synchronous_tail(const float* x, float* y) {
  GPU_SHARED(float, row, [256]);
  unsigned t = threadIdx.x;
  row[t] = x[blockIdx.x * 256 + t];
  __syncthreads();
  for (unsigned s = 128; s >= 32; s >>= 1) {
    if (t < s) row[t] += row[t + s];
    __syncthreads();
  }
  volatile float* tail = row;
  if (t < 32)
    for (unsigned s = 16; s; s >>= 1) tail[t] = tail[t] + tail[(t + s) % 32];  // planted
  if (t == 0) y[blockIdx.x] = tail[0];
}

// Half of the block is at a barrier.
__global__ void divergent_barrier(const float* x, float* y) {
  if (threadIdx.x < 128) __syncthreads();  // planted
  if (threadIdx.x == 0) y[blockIdx.x] = x[blockIdx.x];
}

// Lanes of the last warp leave before a shuffle that reads them.
__global__ void exited_lanes_in_shuffle(const float* x, float* y) {
  if (threadIdx.x >= 250) return;  // planted
  float v = x[blockIdx.x * 256 + threadIdx.x];
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(all, v, o);
  if (threadIdx.x == 0) y[blockIdx.x] = v;
}

// Half of a warp shuffles with the mask of all.
__global__ void full_mask_in_branch(const float* x, float* y) {
  float v = x[blockIdx.x * 256 + threadIdx.x];
  if (threadIdx.x % 32 < 16) v += __shfl_xor_sync(all, v, 1);  // planted
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(all, v, o);
  if (threadIdx.x == 0) y[blockIdx.x] = v;
}

// One element past a static shared array is written.
__global__ void shared_store_past_end(const float* x, float* y) {
  GPU_SHARED(float, part, [8]);
  float v = warp_sum(x[blockIdx.x * 256 + threadIdx.x]);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32 + 1] = v;  // planted
  __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x] = part[1];
}

// The warps' sums are read before all warps wrote them.
__global__ void missing_barrier_across_warps(const float* x, float* y) {
  GPU_SHARED(float, part, [8]);
  float v = warp_sum(x[blockIdx.x * 256 + threadIdx.x]);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  v = warp_sum(threadIdx.x % 32 < 8 ? part[threadIdx.x % 32] : 0);  // planted
  if (threadIdx.x == 0) y[blockIdx.x] = v;
}

// One element past a static shared array is read, and hardly matters.
__global__ void shared_load_past_end(const float* x, float* y) {
  GPU_SHARED(float, part, [8]);
  float v = warp_sum(x[blockIdx.x * 256 + threadIdx.x]);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  v = threadIdx.x % 32 < 9 ? part[threadIdx.x % 32] : 0;  // planted
  if (threadIdx.x == 0) y[blockIdx.x] = v;
}

// A store far past the end of y.
__global__ void global_store_past_end(const float* x, float* y) {
  float v = warp_sum(x[blockIdx.x * 256 + threadIdx.x]);
  if (threadIdx.x == 0) y[blockIdx.x] = v;
  if (threadIdx.x == 7) y[blockIdx.x + 8] = v;  // planted
}

// All threads add to one place.
__global__ void plain_sum_of_threads(const float* x, float* y) {
  y[blockIdx.x] += warp_sum(x[blockIdx.x * 256 + threadIdx.x]);  // planted
  float v = y[blockIdx.x];
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(all, v, o);
  y[blockIdx.x] = v;
}

// One thread of every block adds to one place.
__global__ void plain_sum_of_blocks(const float* x, float* y) {
  float v = warp_sum(x[blockIdx.x * 256 + threadIdx.x]);
  if (threadIdx.x == 0) y[0] += v;  // planted
}

// A shuffle reads a lane its mask leaves out.
__global__ void shuffle_outside_mask(const float* x, float* y) {
  float v = x[blockIdx.x * 256 + threadIdx.x];
  if (threadIdx.x % 32 < 16) v += __shfl_down_sync(0xffffu, v, 4);  // planted
  if (threadIdx.x == 0) y[blockIdx.x] = v;
}

// A write after the barrier meets another warp's read.
__global__ void write_after_barrier(const float* x, float* y) {
  GPU_SHARED(float, part, [8]);
  float v = warp_sum(x[blockIdx.x * 256 + threadIdx.x]);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x == 0) part[0] = 1;  // planted
  if (threadIdx.x == 32) y[blockIdx.x] = part[0];
}

// The last element of a shared array has no value.
__global__ void uninitialised_shared(const float* x, float* y) {
  GPU_SHARED(float, row, [256]);
  if (threadIdx.x < 255) row[threadIdx.x] = x[blockIdx.x * 256 + threadIdx.x];
  __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x] = row[0] + row[255];  // planted
}

// One element past x is read.
__global__ void global_load_past_end(const float* x, float* y) {
  float v = warp_sum(x[blockIdx.x * 256 + threadIdx.x + 1]);  // planted
  if (threadIdx.x == 0) y[blockIdx.x] = v > 0;
}

// Each branch has a barrier of its own.
__global__ void two_barriers_meet(const float* x, float* y) {
  if (threadIdx.x < 128)
    __syncthreads();  // planted
  else
    __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x] = x[blockIdx.x];
}

// The next round overwrites what slow warps still read.
__global__ void no_barrier_before_reuse(const float* x, float* y) {
  GPU_SHARED(float, part, [8]);
  float v = x[blockIdx.x * 256 + threadIdx.x];
  for (int round = 0; round < 3; round++) {
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v + round;  // planted
    __syncthreads();
    v = 0;
    for (int i = 0; i < 8; i++) v += part[i] / 8;
  }
  if (threadIdx.x == 255) y[blockIdx.x] = v;
}

// A column index runs into the next row: inside the array, outside its type.
__global__ void shared_row_overrun(const float* x, float* y) {
  GPU_SHARED(float, tile, [8][32]);
  unsigned row = threadIdx.x / 32, column = threadIdx.x % 32;
  tile[row][column] = x[blockIdx.x * 256 + threadIdx.x];
  __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x] = tile[0][column + gridDim.x * 8];  // planted
}

// One element past the dynamic shared memory is written.
__global__ void dynamic_shared_past_end(const float* x, float* y) {
  GPU_DYN_SHARED(float, row);
  row[threadIdx.x + (threadIdx.x == 255)] = x[blockIdx.x * 256 + threadIdx.x];  // planted
  __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x] = row[0];
}

// A plain store meets atomics.
__global__ void atomic_and_plain_store(const float* x, float* y) {
  atomicAdd(&y[blockIdx.x % 2], x[blockIdx.x * 256 + threadIdx.x]);
  __syncthreads();
  if (threadIdx.x == 3) y[blockIdx.x % 2] = 0;  // planted
}

struct Bug {
  const char* name;
  void (*kernel)(const float*, float*);
};
#define BUG(name) \
  { #name, name }
constexpr Bug list[] = {
    BUG(missing_barrier_after_write),
    BUG(warp_synchronous_tail),
    BUG(divergent_barrier),
    BUG(exited_lanes_in_shuffle),
    BUG(full_mask_in_branch),
    BUG(shared_store_past_end),
    BUG(missing_barrier_across_warps),
    BUG(shared_load_past_end),
    BUG(global_store_past_end),
    BUG(plain_sum_of_threads),
    BUG(plain_sum_of_blocks),
    BUG(shuffle_outside_mask),
    BUG(write_after_barrier),
    BUG(uninitialised_shared),
    BUG(global_load_past_end),
    BUG(two_barriers_meet),
    BUG(no_barrier_before_reuse),
    BUG(shared_row_overrun),
    BUG(dynamic_shared_past_end),
    BUG(atomic_and_plain_store),
};

// Runs the bug once and returns y; empty after an error.
std::vector<float> run_once(const Bug& bug, uint64_t seed) {
  simt::options().seed = seed;
  std::vector<float> x(1024), y(4);
  for (size_t i = 0; i < x.size(); i++) x[i] = float(i * 37 % 101) * 0.01f;
  float *device_x, *device_y;
  cudaMalloc(&device_x, x.size() * sizeof(float));
  cudaMalloc(&device_y, y.size() * sizeof(float));
  cudaMemcpy(device_x, x.data(), x.size() * sizeof(float), cudaMemcpyHostToDevice);
  cudaMemset(device_y, 0, y.size() * sizeof(float));
  cudaLaunchConfig_t config{dim3(4), dim3(256), 256 * sizeof(float), nullptr, nullptr, 0};
  cudaLaunchKernelEx(&config, bug.kernel, device_x, device_y);
  cudaMemcpy(y.data(), device_y, y.size() * sizeof(float), cudaMemcpyDeviceToHost);
  if (cudaGetLastError()) y.clear();
  simt::reset();
  return y;
}

int run(const Bug& bug) {
  bool error = false, nan = false, differs = false;
  std::vector<float> first;
  for (uint64_t seed : {0, 1, 5, 6, 7}) {
    auto y = run_once(bug, seed);
    error = error || y.empty();
    if (first.empty()) first = y;
    for (size_t i = 0; i < y.size(); i++) {
      nan = nan || std::isnan(y[i]);
      differs = differs || !(std::fabs(y[i] - first[i]) < 1e-3f);
    }
  }
  std::printf("%s:%s%s%s\n", bug.name, error ? " error" : "", nan ? " nan" : "",
              differs ? " differs" : "");
  return error || nan || differs;
}

}  // namespace bugs

int main(int count, char** args) {
  const char* name = count > 1 ? args[1] : "";
  if (!std::strcmp(name, "correct")) return correct::check_all();
  for (const auto& bug : bugs::list) {
    if (!std::strcmp(name, "list")) std::printf("%s\n", bug.name);
    if (!std::strcmp(name, bug.name)) return bugs::run(bug);
  }
  return std::strcmp(name, "list") ? 2 : 0;
}
