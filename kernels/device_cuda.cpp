// The CUDA device: its context, memory and copies. Host code.
#include <algorithm>
#include <stdexcept>
#include <vector>

#include "kernels/cuda.h"

namespace retort {
namespace {

// Pinned memory through which host numbers go to the device. A copy reads its part when the device
// gets to it, so parts are used again only after the host has waited for the device.
class Staging {
 public:
  void* take(size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    taken_ += bytes;
    while (chunk_ < chunks_.size() && used_ + bytes > chunks_[chunk_].size) chunk_++, used_ = 0;
    if (chunk_ == chunks_.size()) {
      Chunk c{nullptr, std::max(bytes, size_t(4) << 20)};
      cuda_check(cudaMallocHost(&c.memory, c.size), "pinned memory");
      chunks_.push_back(c);
    }
    void* place = static_cast<char*>(chunks_[chunk_].memory) + used_;
    used_ += bytes;
    return place;
  }
  void reuse() { chunk_ = used_ = taken_ = 0; }
  bool is_full() const { return taken_ > size_t(64) << 20; }

 private:
  struct Chunk {
    void* memory;
    size_t size;
  };
  std::vector<Chunk> chunks_;  // never freed: the driver may be gone before static objects are
  size_t chunk_ = 0, used_ = 0, taken_ = 0;
};

struct Backend {
  CudaContext context;
  Staging staging;
  bool capturing = false;
  std::vector<void*> freed;  // while capturing: what is written down may still use it
  void* scratch = nullptr;
  static constexpr size_t kScratch = 64 << 10;
  Backend() {
    cuda_check(cudaSetDevice(0), "device 0");
    cuda_check(cudaStreamCreateWithFlags(&context.stream, cudaStreamNonBlocking), "stream");
    cuda_check(cudaDeviceGetAttribute(&context.multiprocessors, cudaDevAttrMultiProcessorCount, 0),
               "device attribute");
    cuda_check(cudaMalloc(&scratch, kScratch), "scratch memory");
  }
};
Backend& backend() {
  static Backend* b = [] {
    std::string missing = cuda_missing();
    if (!missing.empty()) no_cuda();
    return new Backend;  // never destroyed: tensors with static storage may outlive it
  }();
  return *b;
}

void must_not_capture(const char* what) {
  if (backend().capturing)
    throw std::logic_error(std::string(what) +
                           " waits for the device inside a step that is written down as a CUDA "
                           "graph; look at numbers after Graph::run");
}

}  // namespace

std::string cuda_missing() {
  int driver = 0, count = 0;
  cudaError_t e = cudaDriverGetVersion(&driver);
  if (e == cudaSuccess && driver == 0) return "no NVIDIA driver is installed on this machine";
  if (e == cudaSuccess) e = cudaGetDeviceCount(&count);
  cudaGetLastError();  // clears the error: the program goes on with the CPU
  if (e == cudaErrorNoDevice || (e == cudaSuccess && count == 0))
    return "no CUDA device is visible on this machine";
  if (e == cudaErrorInsufficientDriver)
    return "the NVIDIA driver of this machine is too old for this build (it supports CUDA " +
           std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10) + ")";
  int major = 0;
  if (e == cudaSuccess) e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
  if (e != cudaSuccess) return cudaGetErrorString(e);
  return major >= 8 ? ""
                    : "the GPU of this machine is too old; the kernels are for compute capability "
                      "8.0 or later";
}

CudaContext& cuda_context() { return backend().context; }

void* cuda_scratch(size_t bytes) {
  if (bytes > Backend::kScratch) throw std::logic_error("cuda_scratch: more than 64 KiB");
  cuda_zero(backend().scratch, bytes);
  return backend().scratch;
}

void* cuda_workspace(size_t bytes) {
  static void* memory = nullptr;
  static size_t size = 0;
  if (bytes > size) {
    if (memory) cuda_free(memory);  // waits for what still uses it
    memory = nullptr, size = 0;
    try {
      memory = device_allocate(Device::cuda, bytes);
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
    size = bytes;
  }
  return memory;
}

void cuda_check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  throw std::runtime_error(std::string("CUDA, ") + what + ": " + cudaGetErrorString(status));
}

void* cuda_allocate(size_t bytes) {
  backend();
  void* memory = nullptr;
  cudaError_t e = cudaMalloc(&memory, std::max<size_t>(1, bytes));
  if (e == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  cuda_check(e, "allocation");
  return memory;
}

// Destructors call it. What fails here failed before, and the next call that waits says so.
void cuda_free(void* memory) {
  Backend& b = backend();
  if (b.capturing)
    b.freed.push_back(memory);
  else
    cudaFree(memory);
}

void cuda_capture(bool on) {
  Backend& b = backend();
  b.capturing = on;
  if (on || b.freed.empty()) return;
  cudaStreamSynchronize(b.context.stream);
  for (void* memory : b.freed) cudaFree(memory);
  b.freed.clear();
}

void cuda_copy(Device to, void* dst, Device from, const void* src, size_t bytes) {
  Backend& b = backend();
  cudaStream_t stream = b.context.stream;
  if (from == Device::cpu) {
    if (b.staging.is_full() && !b.capturing) cuda_synchronize();
    void* pinned = b.staging.take(bytes);
    std::copy_n(static_cast<const char*>(src), bytes, static_cast<char*>(pinned));
    cuda_check(cudaMemcpyAsync(dst, pinned, bytes, cudaMemcpyHostToDevice, stream), "upload");
  } else if (to == Device::cpu) {
    must_not_capture("a copy to the host (Tensor::values, item or ints)");
    cuda_check(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, stream), "download");
    cuda_synchronize();
  } else {
    cuda_check(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToDevice, stream), "copy");
  }
}

void cuda_zero(void* memory, size_t bytes) {
  cuda_check(cudaMemsetAsync(memory, 0, bytes, cuda_context().stream), "zeros");
}

void cuda_synchronize() {
  must_not_capture("device_synchronize");
  cuda_check(cudaStreamSynchronize(cuda_context().stream), "device");
  backend().staging.reuse();
}

}  // namespace retort
