// The runtime stand-in: work is asynchronous, device memory is out of the host's reach, faults
// stay, and kernels keep to the launch's limits.
#include <cuda_runtime.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <vector>

#include "child.h"
#include "queue.h"

namespace {

static __global__ void add(int* y, int v) { y[blockIdx.x * blockDim.x + threadIdx.x] += v; }
static __global__ void store_at(int* y, long i) { y[i] = 1; }
static __global__ void sum(float* y) {
  atomicAdd(y, 1.f / float(blockIdx.x * 256 + threadIdx.x + 1));
}
constexpr int line_of_barrier = __LINE__ + 2;
static __global__ void half_barrier() {
  if (threadIdx.x < 16) __syncthreads();
}
static __global__ void wait_for_ever(unsigned* flag) {
  while (atomicAdd(flag, 0) == 0) __nanosleep(100);
}
static __global__ void use_dynamic(int* y, int n) {
  GPU_DYN_SHARED(int, row);
  for (int i = threadIdx.x; i < n; i += blockDim.x) row[i] = i;
  __syncthreads();
  if (threadIdx.x == 0) y[0] = row[n - 1];
}

template <class... P, class... A>
cudaError_t launch(cudaStream_t stream, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                   A... args) {
  cudaLaunchConfig_t config{grid, block, shared, stream, nullptr, 0};
  return cudaLaunchKernelEx(&config, kernel, args...);
}

struct Seed {
  explicit Seed(uint64_t seed) { simt::options().seed = seed; }
  ~Seed() { simt::options().seed = 0; }
};

// Two streams, 64 ints of device memory, 64 of pinned.
struct Device {
  cudaStream_t a, b;
  int *memory, *pinned;
  static constexpr size_t bytes = 64 * sizeof(int);
  Device() {
    simt::reset();
    cudaGetLastError();
    REQUIRE(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudaMalloc(&memory, bytes) == cudaSuccess);
    REQUIRE(cudaMallocHost(&pinned, bytes) == cudaSuccess);
    REQUIRE(cudaMemset(memory, 0, bytes) == cudaSuccess);
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  }
  ~Device() {
    simt::reset();
    cudaFreeHost(pinned);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
  }
  int first() {
    int value;
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
    REQUIRE(cudaMemcpy(&value, memory, sizeof value, cudaMemcpyDeviceToHost) == cudaSuccess);
    return value;
  }
};

}  // namespace

TEST_CASE("a staging buffer reused too early is seen", "[simt]") {
  Device d;
  d.pinned[0] = 1;
  cudaMemcpyAsync(d.memory, d.pinned, d.bytes, cudaMemcpyHostToDevice, d.a);
  d.pinned[0] = 2;
  CHECK(d.first() == 2);

  d.pinned[0] = 1;
  cudaMemcpyAsync(d.memory, d.pinned, d.bytes, cudaMemcpyHostToDevice, d.a);
  REQUIRE(cudaStreamSynchronize(d.a) == cudaSuccess);
  d.pinned[0] = 2;
  CHECK(d.first() == 1);

  std::vector<int> pageable(64, 3);
  cudaMemcpyAsync(d.memory, pageable.data(), d.bytes, cudaMemcpyHostToDevice, d.a);
  pageable[0] = 4;
  CHECK(d.first() == 3);
}

TEST_CASE("results are not there before synchronisation", "[simt]") {
  Device d;
  d.pinned[0] = 7;
  cudaMemcpyAsync(d.pinned, d.memory, d.bytes, cudaMemcpyDeviceToHost, d.a);
  CHECK(d.pinned[0] == 7);
  int polls = 0;
  while (cudaStreamQuery(d.a) == cudaErrorNotReady) polls++;
  CHECK(polls < 10);
  CHECK(d.pinned[0] == 0);
}

TEST_CASE("a missing wait between streams is seen under some seed", "[simt]") {
  for (bool wait : {false, true}) {
    std::set<int> results;
    for (uint64_t seed : {0, 1, 2, 3, 4, 5, 6, 7}) {
      Seed use(seed);
      Device d;
      cudaEvent_t event;
      cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
      launch(d.a, add, dim3(1), dim3(64), 0, d.memory, 5);
      cudaEventRecord(event, d.a);
      if (wait) cudaStreamWaitEvent(d.b, event);
      cudaMemcpyAsync(d.pinned, d.memory, d.bytes, cudaMemcpyDeviceToHost, d.b);
      REQUIRE(cudaStreamSynchronize(d.b) == cudaSuccess);
      results.insert(d.pinned[0]);
      cudaEventDestroy(event);
    }
    CHECK(results == (wait ? std::set<int>{5} : std::set<int>{0, 5}));
  }
}

TEST_CASE("cudaMemcpy does not wait for a non-blocking stream", "[simt]") {
  Device d;
  int value = -1;
  launch(d.a, add, dim3(1), dim3(64), 0, d.memory, 5);
  cudaMemcpy(&value, d.memory, sizeof value, cudaMemcpyDeviceToHost);
  CHECK(value == 0);

  cudaStream_t blocking;
  cudaStreamCreateWithFlags(&blocking, cudaStreamDefault);
  launch(blocking, add, dim3(1), dim3(64), 0, d.memory, 5);
  cudaMemcpy(&value, d.memory, sizeof value, cudaMemcpyDeviceToHost);
  CHECK((value == 5 || value == 10));  // of the non-blocking stream's there may be any
  cudaStreamDestroy(blocking);
}

TEST_CASE("host code cannot touch device memory", "[simt]") {
  Device d;
  Child reads([&] { return *static_cast<volatile int*>(d.memory + 3); });
  CHECK(reads.died());
  CHECK(reads.says("simt: host code touched device memory 0x"));
  CHECK(reads.says("12 bytes into a block of 256 bytes"));
  Child beyond([&] { return *static_cast<volatile int*>(d.memory + (1 << 20)); });
  CHECK(beyond.says("no block there"));
}

TEST_CASE("a kernel far outside its memory gets one line", "[simt]") {
  Device d;
  Child child([&] {
    launch(d.a, store_at, dim3(1), dim3(1), 0, d.memory, 1L << 20);
    return int(cudaStreamSynchronize(d.a));
  });
  CHECK(child.died());
  CHECK(child.says("simt: a kernel touched device memory 0x"));
  CHECK(child.says("past a block of 256 bytes"));
}

TEST_CASE("a fault of a kernel stays and names its line", "[simt]") {
  Device d;
  Child child([&] {
    if (launch(d.a, half_barrier, dim3(1), dim3(32), 0)) return 1;
    if (cudaStreamSynchronize(d.a) != cudaErrorLaunchFailure) return 2;
    if (cudaGetLastError() != cudaErrorLaunchFailure) return 3;
    void* p;
    if (cudaMalloc(&p, 1) != cudaErrorLaunchFailure) return 4;
    return 0;
  });
  CHECK(child.status == 0);
  CHECK(child.says("runtime.cpp:" + std::to_string(line_of_barrier) + ": "));
  CHECK(std::count(child.output.begin(), child.output.end(), '\n') == 1);
}

TEST_CASE("a cooperative grid that waits for ever is a deadlock", "[simt]") {
  Device d;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{dim3(3), dim3(32), 0, d.a, &attribute, 1};
  cudaLaunchKernelEx(&config, wait_for_ever, reinterpret_cast<unsigned*>(d.memory));
  CHECK(cudaStreamSynchronize(d.a) == cudaErrorLaunchFailure);
  simt::reset();
  config.gridDim = dim3(132 * 65);
  CHECK(cudaLaunchKernelEx(&config, wait_for_ever, static_cast<unsigned*>(nullptr)) ==
        cudaErrorCooperativeLaunchTooLarge);
}

TEST_CASE("launches keep to the device's limits", "[simt]") {
  Device d;
  CHECK(launch(d.a, add, dim3(1), dim3(1025), 0, d.memory, 1) == cudaErrorInvalidConfiguration);
  CHECK(launch(d.a, add, dim3(0), dim3(1), 0, d.memory, 1) == cudaErrorInvalidConfiguration);
  CHECK(launch(d.a, add, dim3(1, 65536), dim3(1), 0, d.memory, 1) == cudaErrorInvalidConfiguration);
  int host = 0;
  CHECK(launch(d.a, add, dim3(1), dim3(1), 0, &host, 1) == cudaErrorIllegalAddress);

  int n = 20000;
  size_t shared = n * sizeof(int);
  CHECK(launch(d.a, use_dynamic, dim3(1), dim3(32), shared, d.memory, n) == cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(use_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             int(shared)) == cudaSuccess);
  CHECK(launch(d.a, use_dynamic, dim3(1), dim3(32), shared, d.memory, n) == cudaSuccess);
  CHECK(d.first() == n - 1);
}

TEST_CASE("memory runs out, and is freed once", "[simt]") {
  Device d;
  size_t free, total;
  cudaMemGetInfo(&free, &total);
  CHECK(free == total - d.bytes);
  void* p = nullptr;
  CHECK(cudaMalloc(&p, total) == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaSuccess);
  REQUIRE(cudaMalloc(&p, 100) == cudaSuccess);
  std::vector<unsigned char> bytes(100);
  cudaMemcpy(bytes.data(), p, 100, cudaMemcpyDeviceToHost);
  CHECK(bytes == std::vector<unsigned char>(100, 0xFF));
  CHECK(cudaMemcpy(bytes.data(), p, 101, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaFree(p) == cudaSuccess);
  CHECK(cudaFree(p) == cudaErrorInvalidValue);
  CHECK(cudaFree(bytes.data()) == cudaErrorInvalidValue);
  REQUIRE(cudaMallocAsync(&p, 100, d.a) == cudaSuccess);
  CHECK(cudaFreeAsync(p, d.a) == cudaSuccess);
  CHECK(cudaFreeAsync(p, d.a) == cudaErrorInvalidValue);
  CHECK(cudaStreamSynchronize(d.a) == cudaSuccess);
}

TEST_CASE("atomics give the same sum on any number of OS threads", "[simt]") {
  Device d;
  std::set<float> sums;
  int workers = simt::options().workers;
  for (int n : {1, 2, 2, 2}) {
    simt::options().workers = n;
    float zero = 0, total;
    auto* y = reinterpret_cast<float*>(d.memory);
    cudaMemcpy(y, &zero, sizeof zero, cudaMemcpyHostToDevice);
    launch(nullptr, sum, dim3(64), dim3(256), 0, y);
    cudaMemcpy(&total, y, sizeof total, cudaMemcpyDeviceToHost);
    sums.insert(total);
  }
  simt::options().workers = workers;
  CHECK(sums.size() == 1);
}

TEST_CASE("other libraries' work takes its place in the stream", "[simt]") {
  Device d;
  launch(d.a, add, dim3(1), dim3(64), 0, d.memory, 2);
  simt::enqueue(d.a, [&] { d.memory[0] *= 10; });
  launch(d.a, add, dim3(1), dim3(64), 0, d.memory, 2);
  CHECK(d.first() == 22);
}

// ---- captures

TEST_CASE("a captured graph replays and takes new parameters", "[simt]") {
  Device d;
  auto capture = [&](int v, bool twice, cudaGraph_t* graph) {
    REQUIRE(cudaStreamBeginCapture(d.a, cudaStreamCaptureModeGlobal) == cudaSuccess);
    launch(d.a, add, dim3(1), dim3(64), 0, d.memory, v);
    if (twice) launch(d.a, add, dim3(1), dim3(64), 0, d.memory, v);
    REQUIRE(cudaStreamEndCapture(d.a, graph) == cudaSuccess);
  };
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  cudaGraphExecUpdateResultInfo info;
  capture(1, false, &graph);
  REQUIRE(cudaGraphInstantiate(&exec, graph) == cudaSuccess);
  cudaGraphDestroy(graph);
  CHECK(d.first() == 0);
  for (int i = 0; i < 3; i++) cudaGraphLaunch(exec, d.a);
  CHECK(d.first() == 3);

  capture(10, false, &graph);
  CHECK(cudaGraphExecUpdate(exec, graph, &info) == cudaSuccess);
  cudaGraphDestroy(graph);
  cudaGraphLaunch(exec, d.a);
  CHECK(d.first() == 13);

  capture(10, true, &graph);
  CHECK(cudaGraphExecUpdate(exec, graph, &info) == cudaErrorGraphExecUpdateFailure);
  CHECK(info.result == cudaGraphExecUpdateErrorTopologyChanged);
  cudaGraphDestroy(graph);

  REQUIRE(cudaStreamBeginCapture(d.a, cudaStreamCaptureModeGlobal) == cudaSuccess);
  launch(d.a, store_at, dim3(1), dim3(1), 0, d.memory, 0L);
  REQUIRE(cudaStreamEndCapture(d.a, &graph) == cudaSuccess);
  CHECK(cudaGraphExecUpdate(exec, graph, &info) == cudaErrorGraphExecUpdateFailure);
  CHECK(info.result == cudaGraphExecUpdateErrorFunctionChanged);
  cudaGraphDestroy(graph);
  cudaGraphExecDestroy(exec);
}

TEST_CASE("a capture forks to another stream and must join", "[simt]") {
  for (bool join : {true, false}) {
    Device d;
    cudaEvent_t fork, joined;
    cudaEventCreateWithFlags(&fork, cudaEventDisableTiming);
    cudaEventCreateWithFlags(&joined, cudaEventDisableTiming);
    cudaStreamBeginCapture(d.a, cudaStreamCaptureModeThreadLocal);
    launch(d.a, add, dim3(1), dim3(64), 0, d.memory, 1);
    cudaEventRecord(fork, d.a);
    cudaStreamWaitEvent(d.b, fork);
    launch(d.b, add, dim3(1), dim3(64), 0, d.memory, 2);
    cudaStreamCaptureStatus status;
    cudaStreamIsCapturing(d.b, &status);
    CHECK(status == cudaStreamCaptureStatusActive);
    cudaEventRecord(joined, d.b);
    if (join) cudaStreamWaitEvent(d.a, joined);
    cudaGraph_t graph;
    CHECK(cudaStreamEndCapture(d.a, &graph) ==
          (join ? cudaSuccess : cudaErrorStreamCaptureUnjoined));
    if (join) {
      cudaGraphExec_t exec;
      cudaGraphInstantiate(&exec, graph);
      cudaGraphLaunch(exec, d.b);
      CHECK(d.first() == 3);
      cudaGraphExecDestroy(exec);
      cudaGraphDestroy(graph);
    }
    cudaEventDestroy(fork);
    cudaEventDestroy(joined);
  }
}

TEST_CASE("a capture forbids what would wait", "[simt]") {
  Device d;
  cudaGraph_t graph;
  cudaStreamBeginCapture(d.a, cudaStreamCaptureModeGlobal);
  CHECK(cudaStreamSynchronize(d.a) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamEndCapture(d.a, &graph) == cudaErrorStreamCaptureInvalidated);

  void* p;
  cudaStreamBeginCapture(d.a, cudaStreamCaptureModeGlobal);
  CHECK(cudaMalloc(&p, 1) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaStreamEndCapture(d.a, &graph) == cudaErrorStreamCaptureInvalidated);

  cudaStreamBeginCapture(d.a, cudaStreamCaptureModeGlobal);
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  CHECK(cudaMalloc(&p, 1) == cudaSuccess);
  cudaThreadExchangeStreamCaptureMode(&mode);
  CHECK(mode == cudaStreamCaptureModeRelaxed);
  CHECK(cudaStreamEndCapture(d.a, &graph) == cudaSuccess);
  cudaGraphDestroy(graph);

  cudaStreamBeginCapture(d.a, cudaStreamCaptureModeRelaxed);
  CHECK(cudaFree(p) == cudaSuccess);
  CHECK(cudaStreamEndCapture(d.a, &graph) == cudaSuccess);
  cudaGraphDestroy(graph);
}
