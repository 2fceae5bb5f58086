// The runtime API of the test device: memory, streams, events, errors. launch.cpp has kernels and
// graphs. Everything asynchronous waits in queue.cpp until somebody synchronises.
#include "api.h"

#include <cstring>
#include <map>

using namespace simt;

namespace simt {

thread_local cudaError_t last_error = cudaSuccess;

cudaError_t failed(cudaError_t error, const char* why) {
  if (why) std::fprintf(stderr, "simt: %s: %s\n", cudaGetErrorName(error), why);
  return last_error = error;
}

namespace {

std::map<const char*, size_t>& pinned_blocks() {
  static auto* blocks = new std::map<const char*, size_t>;
  return *blocks;
}

bool on_device(const void* p) { return DeviceMemory::get().contains(p); }

// What is wrong with a range an operation names, or null.
const char* fault_of(const void* p, size_t bytes, bool must_be_device) {
  if (on_device(p) != must_be_device)
    return must_be_device ? "host memory in the place of device memory"
                          : "device memory in the place of host memory";
  if (must_be_device && !DeviceMemory::get().in_block(p, bytes))
    return "a range that leaves its block of device memory";
  return nullptr;
}

const char* fault_of_copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault)
    kind = cudaMemcpyKind((on_device(from) ? 2 : 0) + (on_device(to) ? 1 : 0));
  const char* fault =
      fault_of(to, bytes, kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice);
  if (fault) return fault;
  return fault_of(from, bytes, kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice);
}

// Queues a copy. True when the caller has to wait for it.
bool queue_copy(CUstream_st& stream, void* to, const void* from, size_t bytes) {
  bool copy_now = !on_device(from) && !is_pinned(from) && !stream.capture;
  if (copy_now) {
    std::vector<char> source(static_cast<const char*>(from),
                             static_cast<const char*>(from) + bytes);
    Runtime::get().add(stream, NodeKind::copy, nullptr, [to, source = std::move(source)] {
      std::memcpy(to, source.data(), source.size());
    });
  } else {
    Runtime::get().add(stream, NodeKind::copy, nullptr, [=] { std::memmove(to, from, bytes); });
  }
  return !on_device(to) && !is_pinned(to) && !stream.capture;
}

}  // namespace

bool is_pinned(const void* p) {
  auto& blocks = pinned_blocks();
  auto block = blocks.upper_bound(static_cast<const char*>(p));
  if (block == blocks.begin()) return false;
  --block;
  return static_cast<const char*>(p) < block->first + block->second;
}

}  // namespace simt

extern "C" {

// ---- memory

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  Call call;
  if (call.error) return call.error;
  if (call.unsafe()) return failed(cudaErrorStreamCaptureUnsupported);
  *memory = DeviceMemory::get().allocate(bytes);
  return *memory ? cudaSuccess : failed(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void* memory) {
  Call call;
  if (call.error) return call.error;
  if (!memory) return cudaSuccess;
  if (call.unsafe()) return failed(cudaErrorStreamCaptureUnsupported);
  if (!DeviceMemory::get().begin_release(memory))
    return failed(cudaErrorInvalidValue, "cudaFree of what is no live block of device memory");
  call.runtime.finish_all();
  DeviceMemory::get().finish_release(memory);
  return call.runtime.fault;
}

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t handle) {
  Call call(handle);
  if (call.error) return call.error;
  if (call.stream->capture) return failed(cudaErrorStreamCaptureUnsupported);
  *memory = DeviceMemory::get().allocate(bytes);
  if (!*memory) {  // pending cudaFreeAsync may give some back
    call.runtime.finish_all();
    *memory = DeviceMemory::get().allocate(bytes);
  }
  return *memory ? cudaSuccess : failed(cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t handle) {
  Call call(handle);
  if (call.error) return call.error;
  if (call.stream->capture) return failed(cudaErrorStreamCaptureUnsupported);
  if (!DeviceMemory::get().in_block(memory, 1) || !DeviceMemory::get().begin_release(memory))
    return failed(cudaErrorInvalidValue, "cudaFreeAsync of what is no live block of device memory");
  call.runtime.add(*call.stream, NodeKind::host, nullptr,
                   [=] { DeviceMemory::get().finish_release(memory); });
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  Call call;
  if (call.error) return call.error;
  if (call.unsafe()) return failed(cudaErrorStreamCaptureUnsupported);
  *memory = std::aligned_alloc(4096, (bytes + 4096) / 4096 * 4096);
  if (!*memory) return failed(cudaErrorMemoryAllocation);
  pinned_blocks()[static_cast<const char*>(*memory)] = bytes ? bytes : 1;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
  Call call;
  if (call.error) return call.error;
  if (!memory) return cudaSuccess;
  if (call.unsafe()) return failed(cudaErrorStreamCaptureUnsupported);
  if (!pinned_blocks().erase(static_cast<const char*>(memory)))
    return failed(cudaErrorInvalidValue, "cudaFreeHost of what cudaMallocHost did not give");
  call.runtime.finish_all();
  std::free(memory);
  return call.runtime.fault;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  Call call;
  if (call.error) return call.error;
  if (call.unsafe()) return failed(cudaErrorStreamCaptureImplicit);
  if (!bytes) return cudaSuccess;
  if (const char* why = fault_of_copy(to, from, bytes, kind))
    return failed(cudaErrorInvalidValue, why);
  CUstream_st& legacy = *call.runtime.streams.front();
  queue_copy(legacy, to, from, bytes);
  if (!on_device(to) || !on_device(from)) call.runtime.finish(legacy);
  return call.runtime.fault;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t handle) {
  Call call(handle);
  if (call.error) return call.error;
  if (!bytes) return cudaSuccess;
  if (const char* why = fault_of_copy(to, from, bytes, kind))
    return failed(cudaErrorInvalidValue, why);
  if (queue_copy(*call.stream, to, from, bytes)) call.runtime.finish(*call.stream);
  return call.runtime.fault;
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  Call call;
  if (call.error) return call.error;
  if (call.unsafe()) return failed(cudaErrorStreamCaptureImplicit);
  return cudaMemsetAsync(to, value, bytes, nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t handle) {
  Call call(handle);
  if (call.error) return call.error;
  if (!bytes) return cudaSuccess;
  if (const char* why = fault_of(to, bytes, true)) return failed(cudaErrorInvalidValue, why);
  call.runtime.add(*call.stream, NodeKind::set, nullptr, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  Call call;
  if (call.error) return call.error;
  *total = DeviceMemory::get().capacity();
  *free = *total - DeviceMemory::get().used();
  return cudaSuccess;
}

// ---- streams

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  Call call;
  if (call.error) return call.error;
  if (flags & ~unsigned(cudaStreamNonBlocking)) return failed(cudaErrorInvalidValue);
  call.runtime.streams.push_back(std::make_unique<CUstream_st>());
  *stream = call.runtime.streams.back().get();
  (*stream)->waits_for_legacy = flags == cudaStreamDefault;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  Call call(handle);
  if (call.error) return call.error;
  if (!handle) return failed(cudaErrorInvalidResourceHandle);
  if (call.stream->capture) call.stream->capture->valid = false;
  handle->destroyed = true;  // what it holds still runs
  if (handle->queue.empty())
    std::erase_if(call.runtime.streams, [&](auto& s) { return s.get() == handle; });
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  Call call(handle);
  if (call.error) return call.error;
  if (call.runtime.invalidated_by_waiting(call.stream))
    return failed(cudaErrorStreamCaptureUnsupported);
  call.runtime.finish(*call.stream);
  return call.runtime.fault;
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  Call call(handle);
  if (call.error) return call.error;
  if (call.runtime.invalidated_by_waiting(call.stream))
    return failed(cudaErrorStreamCaptureUnsupported);
  call.runtime.step();
  if (call.runtime.fault) return call.runtime.fault;
  return call.stream->queue.empty() ? cudaSuccess : failed(cudaErrorNotReady);
}

cudaError_t cudaDeviceSynchronize() {
  Call call;
  if (call.error) return call.error;
  if (call.runtime.invalidated_by_waiting(nullptr))
    return failed(cudaErrorStreamCaptureUnsupported);
  call.runtime.finish_all();
  return call.runtime.fault;
}

// ---- events

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  Call call;
  if (call.error) return call.error;
  *event = new CUevent_st;
  (*event)->timed = !(flags & cudaEventDisableTiming);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  Call call;
  if (call.error) return call.error;
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  Call call(handle);
  if (call.error) return call.error;
  event->capture = call.stream->capture;
  if (event->capture) {
    event->captured_last = call.stream->captured_last;
    return cudaSuccess;
  }
  call.runtime.add(*call.stream, NodeKind::host, nullptr,
                   [time = event->time] { *time = CUevent_st::Clock::now(); });
  event->task = call.stream->last;
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  Call call(handle);
  if (call.error) return call.error;
  CUstream_st& stream = *call.stream;
  if (event->in_capture()) {
    if (stream.capture && stream.capture != event->capture)
      return failed(cudaErrorStreamCaptureMerge);
    stream.capture = event->capture;  // joins it
    auto& last = stream.captured_last;
    last.insert(last.end(), event->captured_last.begin(), event->captured_last.end());
    return cudaSuccess;
  }
  if (stream.capture) {
    stream.capture->valid = false;
    return failed(cudaErrorStreamCaptureIsolation);
  }
  if (event->task && !event->task->done)
    call.runtime.add(stream, NodeKind::host, nullptr, [] {}, {event->task});
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Call call;
  if (call.error) return call.error;
  if (event->in_capture()) return event->capture->valid = false, failed(cudaErrorCapturedEvent);
  if (event->task) call.runtime.finish(event->task);
  return call.runtime.fault;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  Call call;
  if (call.error) return call.error;
  if (event->in_capture()) return event->capture->valid = false, failed(cudaErrorCapturedEvent);
  call.runtime.step();
  if (call.runtime.fault) return call.runtime.fault;
  return !event->task || event->task->done ? cudaSuccess : failed(cudaErrorNotReady);
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  Call call;
  if (call.error) return call.error;
  if (!start->task || !end->task || !start->timed || !end->timed)
    return failed(cudaErrorInvalidResourceHandle);
  if (!start->task->done || !end->task->done) return failed(cudaErrorNotReady);
  *ms = std::chrono::duration<float, std::milli>(*end->time - *start->time).count();
  return cudaSuccess;
}

// ---- errors

cudaError_t cudaGetLastError() {
  Call call;
  cudaError_t error = call.error ? call.error : last_error;
  last_error = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError() {
  Call call;
  return call.error ? call.error : last_error;
}

#define NAME(name, value, text) \
  case name:                    \
    return #name;
#define TEXT(name, value, text) \
  case name:                    \
    return text;
const char* cudaGetErrorName(cudaError_t error) {
  switch (error) { CUDART_ERRORS(NAME) }
  return "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) { CUDART_ERRORS(TEXT) }
  return "unrecognized error code";
}
}
