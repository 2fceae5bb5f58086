// Streams, events, captures and their work: the state behind cudart.cpp. Internal.
#pragma once
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "device_memory.h"
#include "queue.h"

namespace simt {

/// A piece of queued work. It runs when it heads its stream and all of `after` is done.
struct Task {
  std::function<void()> work;
  std::vector<std::shared_ptr<Task>> after;
  bool done = false;
};

enum class NodeKind { kernel, copy, set, host };

}  // namespace simt

/// What a graph does once; `after` are numbers of earlier nodes.
struct CUgraphNode_st {
  simt::NodeKind kind;
  const void* kernel;  // of a kernel node
  std::function<void()> work;
  std::vector<size_t> after;
};
struct CUgraph_st {
  std::vector<CUgraphNode_st> nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<CUgraph_st> graph;
};

namespace simt {

struct Capture {
  CUstream_st* origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool valid = true;
  std::unique_ptr<CUgraph_st> graph = std::make_unique<CUgraph_st>();
};

}  // namespace simt

struct CUstream_st {
  std::deque<std::shared_ptr<simt::Task>> queue;
  std::shared_ptr<simt::Task> last;
  bool waits_for_legacy = false;  // created without cudaStreamNonBlocking
  bool destroyed = false;
  std::shared_ptr<simt::Capture> capture;
  std::vector<size_t> captured_last;  // nodes the next one comes after
};

struct CUevent_st {
  using Clock = std::chrono::steady_clock;
  std::shared_ptr<simt::Task> task;  // of the last record
  std::shared_ptr<Clock::time_point> time = std::make_shared<Clock::time_point>();
  bool timed = true;
  std::shared_ptr<simt::Capture> capture;
  std::vector<size_t> captured_last;
  /// True while the capture that recorded it goes on.
  bool in_capture() const { return capture && capture->graph; }
};

namespace simt {

/// The device. One at a time may use it: every function of the API takes the mutex.
class Runtime {
 public:
  static Runtime& get();

  std::recursive_mutex mutex;
  cudaError_t fault = cudaSuccess;                    // sticky
  std::vector<std::unique_ptr<CUstream_st>> streams;  // the first is the legacy stream

  /// The stream of a handle; null for one that does not exist.
  CUstream_st* find(cudaStream_t handle);
  /// Adds work to the stream or to its capture.
  void add(CUstream_st& stream, NodeKind kind, const void* kernel, std::function<void()> work,
           std::vector<std::shared_ptr<Task>> after = {});
  /// Queues all of a graph.
  void add_graph(CUstream_st& stream, std::shared_ptr<CUgraph_st> graph);

  /// Runs queued work, in an order by the seed, until the stream, the task or everything is done.
  void finish(CUstream_st& stream);
  void finish(const std::shared_ptr<Task>& task);
  void finish_all();
  /// Runs one piece of work, if there is any: polling makes progress.
  void step();
  void drop_all();

  /// Where host and device meet, which no capture allows.
  bool invalidated_by_waiting(CUstream_st* stream);
  /// True, and the captures are invalid, when the calling thread may make no unsafe call now.
  bool unsafe_call_forbidden();

 private:
  Runtime();
  template <class Reached>
  void run_until(Reached reached, const CUstream_st* preferred);
  bool run_one(const CUstream_st* preferred);
};

/// The calling thread's mode, cudaThreadExchangeStreamCaptureMode's.
extern thread_local cudaStreamCaptureMode capture_mode;

}  // namespace simt
