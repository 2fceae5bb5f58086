// What every function of the runtime API begins with. Internal.
#pragma once
#include <cstdio>
#include <cstdlib>

#include "runtime.h"

namespace simt {

/// Notes the calling thread's last error and returns it; prints `why` where there is more to say.
cudaError_t failed(cudaError_t error, const char* why = nullptr);

/// True for memory of cudaMallocHost.
bool is_pinned(const void* p);

/// One call of the API: holds the device's mutex; `error` is the sticky fault or a wrong stream.
struct Call {
  Runtime& runtime = Runtime::get();
  std::lock_guard<std::recursive_mutex> lock{runtime.mutex};
  CUstream_st* stream = nullptr;
  cudaError_t error = runtime.fault;

  Call() = default;
  explicit Call(cudaStream_t handle) : stream(runtime.find(handle)) {
    if (!error && !stream) error = failed(cudaErrorInvalidResourceHandle, "no such stream");
  }
  /// For calls that captures forbid.
  bool unsafe() { return runtime.unsafe_call_forbidden(); }
};

}  // namespace simt
