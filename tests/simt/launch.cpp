// The runtime API of the test device, second part: the device's attributes, kernel launches,
// captures and graphs.
#include <algorithm>
#include <map>
#include <string>

#include "api.h"
#include "cuda_runtime.h"

using namespace simt;

namespace simt {
namespace {

constexpr int shared_default = 48 << 10, shared_most = 227 << 10, threads_most = 1024;

struct Kernel {
  Binder binder = nullptr;
  std::string signature;
  int dynamic_shared = shared_default;
};

Kernel& kernel_at(const void* address) {
  static auto* kernels = new std::map<const void*, Kernel>;
  return (*kernels)[address];
}

int blocks_per_multiprocessor(int threads, size_t dynamic_shared) {
  int by_threads = 2048 / std::max(threads, 32),
      by_shared = int((228 << 10) / (dynamic_shared + 1024));
  return std::min({32, by_threads, by_shared});
}

cudaError_t check_launch(const cudaLaunchConfig_t& config, const Kernel& kernel, bool cooperative) {
  const dim3 &g = config.gridDim, &b = config.blockDim;
  size_t threads = size_t(b.x) * b.y * b.z;
  if (!threads || threads > threads_most || b.z > 64)
    return failed(cudaErrorInvalidConfiguration, "a block of 0, or of more than 1,024 threads");
  if (!g.x || !g.y || !g.z || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
    return failed(cudaErrorInvalidConfiguration,
                  "a grid of 0 blocks, or of more than 65,535 along y or z");
  if (config.dynamicSmemBytes > size_t(kernel.dynamic_shared))
    return failed(cudaErrorInvalidValue,
                  "more dynamic shared memory than 48 KiB, or than cudaFuncSetAttribute allowed");
  // A thread of a cooperative grid may have 64 registers of its multiprocessor's 65,536.
  threads = cooperative ? 2 * threads : threads;
  size_t room = size_t(options().multiprocessors) *
                size_t(blocks_per_multiprocessor(int(threads), config.dynamicSmemBytes));
  if (cooperative && size_t(g.x) * g.y * g.z > room)
    return failed(cudaErrorCooperativeLaunchTooLarge);
  return cudaSuccess;
}

}  // namespace

void declare_kernel(const void* address, Binder binder, const char* signature) {
  std::lock_guard lock(Runtime::get().mutex);
  Kernel& kernel = kernel_at(address);
  if (kernel.binder) return;
  kernel.binder = binder;
  std::string all = signature;  // "... [with P = {float*, int}]"
  size_t begin = all.find('{'), end = all.rfind('}');
  kernel.signature =
      begin < end && end < all.size() ? "(" + all.substr(begin + 1, end - begin - 1) + ")" : "()";
}

bool check_argument(const void* kernel, const void* pointer) {
  Call call;
  if (!pointer || DeviceMemory::get().contains(pointer) || is_pinned(pointer)) return true;
  failed(
      cudaErrorIllegalAddress,
      ("a pointer to host memory is an argument of kernel" + kernel_at(kernel).signature).c_str());
  return false;
}

}  // namespace simt

extern "C" {

// ---- the device

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  Call call;
  return device ? failed(cudaErrorInvalidDevice) : call.error;
}
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device) return failed(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = threads_most;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = shared_default;
      break;
    case cudaDevAttrWarpSize:
      *value = 32;
      break;
    case cudaDevAttrClockRate:
      *value = 1980000;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = options().multiprocessors;
      break;
    case cudaDevAttrMemoryClockRate:
      *value = 2619000;
      break;
    case cudaDevAttrGlobalMemoryBusWidth:
      *value = 5120;
      break;
    case cudaDevAttrL2CacheSize:
      *value = 50 << 20;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = 2048;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = 9;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = 0;
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = 228 << 10;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = shared_most;
      break;
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      break;
    default:
      return failed(cudaErrorInvalidValue, "an attribute the test device does not know");
  }
  return cudaSuccess;
}

// ---- kernels

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  Call call;
  if (call.error) return call.error;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || value > shared_most) return failed(cudaErrorInvalidValue);
  kernel_at(kernel).dynamic_shared = std::max(value, shared_default);
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads,
                                                          size_t dynamic_shared) {
  *blocks = blocks_per_multiprocessor(threads, dynamic_shared);
  return cudaSuccess;
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* address,
                                void** args) {
  Call call(config->stream);
  if (call.error) return call.error;
  Kernel& kernel = kernel_at(address);
  if (!kernel.binder)
    return failed(cudaErrorInvalidDeviceFunction, "a kernel cudaLaunchKernelEx never launched");
  Grid grid{config->gridDim, config->blockDim, config->dynamicSmemBytes, false, kernel.signature};
  for (unsigned i = 0; i < config->numAttrs; i++) {
    const cudaLaunchAttribute& attribute = config->attrs[i];
    if (attribute.id == cudaLaunchAttributeCooperative)
      grid.cooperative = attribute.val.cooperative;
    else if (attribute.id == cudaLaunchAttributeClusterDimension)
      return failed(cudaErrorNotSupported, "the test device has no clusters");
  }
  if (cudaError_t error = check_launch(*config, kernel, grid.cooperative)) return error;
  call.runtime.add(*call.stream, NodeKind::kernel, address,
                   [grid, body = kernel.binder(address, args)] {
                     if (!run(grid, body)) Runtime::get().fault = cudaErrorLaunchFailure;
                   });
  return cudaSuccess;
}

// ---- captures

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, capture_mode);
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  Call call(handle);
  if (call.error) return call.error;
  auto& capture = call.stream->capture;
  *status = !capture         ? cudaStreamCaptureStatusNone
            : capture->valid ? cudaStreamCaptureStatusActive
                             : cudaStreamCaptureStatusInvalidated;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  Call call(handle);
  if (call.error) return call.error;
  if (!handle) return failed(cudaErrorStreamCaptureUnsupported, "the legacy stream cannot capture");
  if (handle->capture) return failed(cudaErrorIllegalState, "the stream captures already");
  handle->capture = std::make_shared<Capture>(handle, mode, std::this_thread::get_id());
  handle->captured_last.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  Call call(handle);
  if (call.error) return call.error;
  *graph = nullptr;
  auto capture = call.stream->capture;
  if (!capture) return failed(cudaErrorIllegalState, "the stream does not capture");
  if (capture->origin != handle) return failed(cudaErrorStreamCaptureUnmatched);
  if (capture->mode != cudaStreamCaptureModeRelaxed &&
      capture->thread != std::this_thread::get_id())
    return failed(cudaErrorStreamCaptureWrongThread);

  // Every node must come before the origin's last ones.
  auto& nodes = capture->graph->nodes;
  std::vector<bool> joined(nodes.size());
  for (size_t i : handle->captured_last) joined[i] = true;
  for (size_t i = nodes.size(); i-- > 0;)
    for (size_t before : nodes[i].after) joined[before] = joined[before] || joined[i];
  for (auto& s : call.runtime.streams)
    if (s->capture == capture) s->capture = nullptr, s->captured_last.clear();
  auto captured = std::move(capture->graph);
  if (!capture->valid) return failed(cudaErrorStreamCaptureInvalidated);
  if (std::find(joined.begin(), joined.end(), false) != joined.end())
    return failed(cudaErrorStreamCaptureUnjoined);
  *graph = captured.release();
  return cudaSuccess;
}

// ---- graphs

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  Call call;
  if (call.error) return call.error;
  *exec = new CUgraphExec_st{std::make_shared<CUgraph_st>(*graph)};
  return cudaSuccess;
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* info) {
  Call call;
  if (call.error) return call.error;
  *info = {cudaGraphExecUpdateSuccess, nullptr, nullptr};
  auto& now = exec->graph->nodes;
  auto& then = graph->nodes;
  if (now.size() != then.size()) info->result = cudaGraphExecUpdateErrorTopologyChanged;
  for (size_t i = 0; i < then.size() && !info->result; i++) {
    info->errorNode = &then[i];
    if (now[i].after != then[i].after)
      info->result = cudaGraphExecUpdateErrorTopologyChanged;
    else if (now[i].kind != then[i].kind)
      info->result = cudaGraphExecUpdateErrorNodeTypeChanged;
    else if (now[i].kernel != then[i].kernel)
      info->result = cudaGraphExecUpdateErrorFunctionChanged;
  }
  if (info->result) return failed(cudaErrorGraphExecUpdateFailure);
  info->errorNode = nullptr;
  exec->graph = std::make_shared<CUgraph_st>(*graph);  // launches in flight keep the old one
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle) {
  Call call(handle);
  if (call.error) return call.error;
  call.runtime.add_graph(*call.stream, exec->graph);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  Call call;
  delete graph;
  return call.error;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  Call call;
  delete exec;
  return call.error;
}
}
