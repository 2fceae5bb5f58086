// The dialect of the kernels, for three compilers: g++ (the CPU alone), nvcc, and g++ against the
// SIMT shim of the tests (SIMT defined), which brings its own <cuda_runtime.h>. Below it, where the
// build has CUDA (RETORT_CUDA): the device context and checked launches.
#pragma once
#include <cstddef>

#include "kernels/device.h"

#ifdef RETORT_CUDA
#include <cuda_runtime.h>
#if defined(__CUDACC__) || defined(SIMT)
#define GPU_CODE  // this file's kernels are compiled, not only called
#endif
#endif

#ifdef __CUDACC__
#define HD __host__ __device__ __forceinline__
#define INLINE  // a lambda in a row: nvcc inlines it anyway
#else
#define HD inline __attribute__((always_inline))
#define INLINE \
  __attribute__((always_inline))  // a lambda that must not stay a call, or its loop stays scalar
#endif

#ifdef GPU_CODE
#define DEV __device__ __forceinline__
#ifndef GPU_SHARED  // the shim keeps shared memory itself
#define GPU_SHARED(T, name, dims) __shared__ T name dims
#define GPU_DYN_SHARED(T, name)                                    \
  extern __shared__ __align__(16) unsigned char dynamic_shared_[]; \
  T* name = reinterpret_cast<T*>(dynamic_shared_)
#endif
#endif

#ifdef RETORT_CUDA
namespace retort {

/// The one CUDA device of the process and its one stream: everything asked of the device runs in
/// the order it was asked for.
struct CudaContext {
  cudaStream_t stream = nullptr;
  int multiprocessors = 0;
};
/// Made at the first call. Throws std::runtime_error, one line, where there is no driver or device.
CudaContext& cuda_context();
/// Zeroed device memory, at most 64 KiB, for the next launch only.
void* cuda_scratch(size_t bytes);
/// Device memory for what is queued next, until something else asks for it; 256-byte aligned. Null
/// where there is none left.
void* cuda_workspace(size_t bytes);
/// Throws std::runtime_error naming `what` and CUDA's reason unless status is cudaSuccess.
void cuda_check(cudaError_t status, const char* what);

/// Begins and ends the writing down of a CUDA graph (kernels/graph.h): between the two, waiting for
/// the device is an error, and freed memory stays with the process.
void cuda_capture(bool on);

/// Runs kernel(args...) on the context's stream; `shared` is its dynamic shared memory in bytes.
/// With `cooperative` all its blocks are resident at once.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, bool cooperative,
            A... args) {
  CudaContext& c = cuda_context();
  if (shared > 48 << 10)
    cuda_check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                    cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)),
               "shared memory");
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid, config.blockDim = block, config.dynamicSmemBytes = shared;
  config.stream = c.stream;
  config.attrs = &attribute, config.numAttrs = cooperative ? 1 : 0;
  cuda_check(cudaLaunchKernelEx(&config, kernel, P(args)...), "kernel launch");
}

}  // namespace retort
#endif
