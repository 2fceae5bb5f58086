// Streams of the test device: work waits until somebody synchronises, then runs in any order the
// streams and events allow.
#include "queue.h"

#include <algorithm>

#include "runtime.h"
#include "simt.h"

namespace simt {

thread_local cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;

namespace {

// A number below `n`, in a sequence that depends on the seed.
size_t pick(size_t n) {
  static uint64_t seed = 0, state = 0;
  if (seed != options().seed) seed = state = options().seed;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return size_t(state >> 33) % n;
}

bool all_done(const std::vector<std::shared_ptr<Task>>& tasks) {
  return std::all_of(tasks.begin(), tasks.end(), [](auto& t) { return t->done; });
}

// Runs the nodes in an order their dependencies allow.
void run_graph(const CUgraph_st& graph) {
  std::vector<bool> done(graph.nodes.size());
  for (size_t left = graph.nodes.size(); left; left--) {
    std::vector<size_t> able;
    for (size_t i = 0; i < graph.nodes.size(); i++) {
      auto& after = graph.nodes[i].after;
      if (!done[i] && std::all_of(after.begin(), after.end(), [&](size_t j) { return done[j]; }))
        able.push_back(i);
    }
    uint64_t seed = options().seed;
    size_t i = seed == 0 ? able.front() : seed == 1 ? able.back() : able[pick(able.size())];
    graph.nodes[i].work();
    done[i] = true;
    if (Runtime::get().fault) return;
  }
}

}  // namespace

Runtime& Runtime::get() {
  static Runtime* runtime = new Runtime;
  return *runtime;
}

Runtime::Runtime() { streams.push_back(std::make_unique<CUstream_st>()); }

CUstream_st* Runtime::find(cudaStream_t handle) {
  if (!handle) return streams.front().get();
  for (auto& s : streams)
    if (s.get() == handle && !s->destroyed) return handle;
  return nullptr;
}

void Runtime::add(CUstream_st& stream, NodeKind kind, const void* kernel,
                  std::function<void()> work, std::vector<std::shared_ptr<Task>> after) {
  if (stream.capture) {
    auto& nodes = stream.capture->graph->nodes;
    nodes.push_back({kind, kernel, std::move(work), stream.captured_last});
    stream.captured_last = {nodes.size() - 1};
    return;
  }
  auto task = std::make_shared<Task>();
  task->work = std::move(work);
  task->after = std::move(after);
  CUstream_st& legacy = *streams.front();
  if (&stream == &legacy) {
    for (auto& other : streams)
      if (other->waits_for_legacy && other->last) task->after.push_back(other->last);
  } else if (stream.waits_for_legacy && legacy.last) {
    task->after.push_back(legacy.last);
  }
  stream.queue.push_back(task);
  stream.last = task;
}

void Runtime::add_graph(CUstream_st& stream, std::shared_ptr<CUgraph_st> graph) {
  add(stream, NodeKind::host, nullptr, [graph] { run_graph(*graph); });
}

// ---- running

// Runs the head of one stream: with seed 0 of the preferred one if it can, with seed 1 of any other
// if one can, else at random.
bool Runtime::run_one(const CUstream_st* preferred) {
  std::vector<CUstream_st*> able;
  for (auto& s : streams)
    if (!s->queue.empty() && all_done(s->queue.front()->after)) able.push_back(s.get());
  if (able.empty()) return false;
  uint64_t seed = options().seed;
  if (seed < 2)
    std::stable_partition(able.begin(), able.end(), [&](CUstream_st* s) { return s == preferred; });
  CUstream_st& stream = *(seed == 0   ? able.front()
                          : seed == 1 ? able.back()
                                      : able[pick(able.size())]);
  auto task = stream.queue.front();
  stream.queue.pop_front();
  task->after.clear();
  task->work();
  task->done = true;
  task->work = nullptr;
  if (stream.destroyed && stream.queue.empty())
    std::erase_if(streams, [&](auto& s) { return s.get() == &stream; });
  if (fault) drop_all();
  return true;
}

template <class Reached>
void Runtime::run_until(Reached reached, const CUstream_st* preferred) {
  if (reached()) return;
  DeviceMemory::Access access;
  while (!reached() && run_one(preferred)) {
  }
}

void Runtime::finish(CUstream_st& stream) {
  auto last = stream.last;
  if (last) run_until([&] { return last->done; }, &stream);
}
void Runtime::finish(const std::shared_ptr<Task>& task) {
  const CUstream_st* owner = nullptr;
  for (auto& s : streams)
    if (std::find(s->queue.begin(), s->queue.end(), task) != s->queue.end()) owner = s.get();
  run_until([&] { return task->done; }, owner);
}
void Runtime::finish_all() {
  auto empty = [](auto& s) { return s->queue.empty(); };
  run_until([&] { return std::all_of(streams.begin(), streams.end(), empty); }, nullptr);
}
void Runtime::step() {
  DeviceMemory::Access access;
  run_one(nullptr);
}

void Runtime::drop_all() {
  for (auto& s : streams) {
    for (auto& task : s->queue) task->done = true, task->after.clear();
    s->queue.clear();
  }
  std::erase_if(streams, [](auto& s) { return s->destroyed; });
}

// ---- captures

bool Runtime::invalidated_by_waiting(CUstream_st* stream) {
  bool any = false;
  for (auto& s : streams) {
    if (!s->capture || (stream && s.get() != stream)) continue;
    s->capture->valid = false;
    any = true;
  }
  return any;
}

bool Runtime::unsafe_call_forbidden() {
  if (capture_mode == cudaStreamCaptureModeRelaxed) return false;
  bool forbidden = false;
  for (auto& s : streams) {
    if (!s->capture || s->capture->mode == cudaStreamCaptureModeRelaxed) continue;
    bool own = s->capture->thread == std::this_thread::get_id();
    if (!own && (s->capture->mode != cudaStreamCaptureModeGlobal ||
                 capture_mode != cudaStreamCaptureModeGlobal))
      continue;
    s->capture->valid = false;
    forbidden = true;
  }
  return forbidden;
}

// ---- the hook of other stand-ins

void enqueue(cudaStream_t handle, std::function<void()> work) {
  Runtime& runtime = Runtime::get();
  std::lock_guard lock(runtime.mutex);
  CUstream_st* stream = runtime.find(handle);
  if (stream && !runtime.fault) runtime.add(*stream, NodeKind::host, nullptr, std::move(work));
}

bool capturing(cudaStream_t handle) {
  Runtime& runtime = Runtime::get();
  std::lock_guard lock(runtime.mutex);
  CUstream_st* stream = runtime.find(handle);
  return stream && stream->capture;
}

void reset() {
  Runtime& runtime = Runtime::get();
  std::lock_guard lock(runtime.mutex);
  runtime.drop_all();
  runtime.fault = cudaSuccess;
  for (auto& s : runtime.streams) s->capture = nullptr, s->captured_last.clear();
  DeviceMemory::get().release_all();
}

}  // namespace simt
