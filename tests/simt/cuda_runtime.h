// CUDA C++ for g++: found in place of NVIDIA's <cuda_runtime.h> when the kernels are built for the
// test device. Everything a kernel may say, and launches by cudaLaunchKernelEx.
#pragma once
#include <functional>
#include <tuple>
#include <utility>

#include "cudart_api.h"
#include "intrinsics.h"
#include "simt.h"
#include "vectors.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#ifndef __restrict__
#define __restrict__ __restrict
#endif

/// `GPU_SHARED(float, part, [8][33]);` is one array a block. Plain __shared__ is not offered.
#define GPU_SHARED(T, name, ...)         \
  using name##_shared_t = T __VA_ARGS__; \
  name##_shared_t& name = simt::shared<name##_shared_t>([] {})
/// `GPU_DYN_SHARED(float, rows);` is a pointer to the launch's dynamic shared memory.
#define GPU_DYN_SHARED(T, name) T* name = static_cast<T*>(simt::dynamic_shared())

// The scheduler sets these whenever it switches threads.
extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace simt {

/// One thread's call of a kernel, with its arguments.
using Body = std::function<void()>;
/// Copies the arguments of a kernel into a Body.
using Binder = Body (*)(const void* kernel, void** args);

template <class... P, size_t... I>
Body bind_each(void (*kernel)(P...), [[maybe_unused]] void** args, std::index_sequence<I...>) {
  return [kernel, values = std::tuple<P...>(*static_cast<P*>(args[I])...)] {
    std::apply(kernel, values);
  };
}
template <class... P>
Body bind(const void* kernel, void** args) {
  return bind_each(reinterpret_cast<void (*)(P...)>(const_cast<void*>(kernel)), args,
                   std::index_sequence_for<P...>());
}

/// What nvcc registers for a kernel before main: how to read its arguments, and its signature.
void declare_kernel(const void* kernel, Binder binder, const char* signature);
template <class... P>
const char* signature() {
  return __PRETTY_FUNCTION__;
}

/// Reports pageable host memory that a kernel is given a pointer to; false when it was.
bool check_argument(const void* kernel, const void* pointer);
template <class T>
bool check_argument(const void* kernel, const T& value) {
  if constexpr (std::is_pointer_v<T> && !std::is_function_v<std::remove_pointer_t<T>>)
    return check_argument(kernel, static_cast<const void*>(value));
  return true;
}

}  // namespace simt

/// As NVIDIA's: launches `kernel` with `args` converted to its parameters.
template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...),
                               A&&... args) {
  auto address = reinterpret_cast<const void*>(kernel);
  simt::declare_kernel(address, simt::bind<P...>, simt::signature<P...>());
  return [&](P... values) {
    if (!(simt::check_argument(address, values) && ...)) return cudaErrorIllegalAddress;
    void* pointers[] = {&values..., nullptr};
    return cudaLaunchKernelExC(config, address, pointers);
  }(std::forward<A>(args)...);
}

// NVIDIA's typed overloads.
template <class T>
cudaError_t cudaMalloc(T** memory, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(memory), bytes);
}
template <class T>
cudaError_t cudaMallocAsync(T** memory, size_t bytes, cudaStream_t stream) {
  return cudaMallocAsync(reinterpret_cast<void**>(memory), bytes, stream);
}
template <class T>
cudaError_t cudaMallocHost(T** memory, size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void**>(memory), bytes);
}
template <class T>
cudaError_t cudaFuncSetAttribute(T* kernel, cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
template <class T>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, T kernel, int threads,
                                                          size_t dynamic_shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(
      blocks, reinterpret_cast<const void*>(kernel), threads, dynamic_shared);
}
