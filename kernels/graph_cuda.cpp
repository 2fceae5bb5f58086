// Steps as CUDA graphs. Memory that the step gives back to the driver is still wanted by what was
// written down, so it goes back after the launch (cuda_capture, kernels/device_cuda.cpp).
#include "kernels/graph.h"

#include <memory>

#include "kernels/cuda.h"

namespace retort {
namespace {

struct Destroy {
  void operator()(cudaGraph_t g) const { cudaGraphDestroy(g); }
};
using Written = std::unique_ptr<CUgraph_st, Destroy>;

// What `step` asks of the stream. Relaxed: the step may allocate memory meanwhile.
Written write_down(const std::function<void()>& step) {
  cudaStream_t stream = cuda_context().stream;
  cudaGraph_t graph = nullptr;
  cuda_check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "begin of a graph");
  cuda_capture(true);
  try {
    step();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    Written dropped(graph);
    cudaGetLastError();
    cuda_capture(false);
    throw;
  }
  cudaError_t e = cudaStreamEndCapture(stream, &graph);
  Written written(graph);
  if (e != cudaSuccess) cuda_capture(false);
  cuda_check(e, "end of a graph");
  return written;
}

bool brought_up_to_date(cudaGraphExec_t built, cudaGraph_t graph) {
  cudaGraphExecUpdateResultInfo info{};
  bool done = cudaGraphExecUpdate(built, graph, &info) == cudaSuccess;
  if (!done) cudaGetLastError();  // other work than last time: it is built anew
  return done;
}

// Launches what was written down; true where it had to be built.
bool launch_graph(void** built, cudaGraph_t graph) {
  auto exec = static_cast<cudaGraphExec_t>(*built);
  bool build = !exec || !brought_up_to_date(exec, graph);
  if (build) {
    if (exec) cudaGraphExecDestroy(exec);
    *built = exec = nullptr;
    cuda_check(cudaGraphInstantiate(&exec, graph, 0), "building a graph");
    *built = exec;
  }
  cuda_check(cudaGraphLaunch(exec, cuda_context().stream), "launch of a graph");
  return build;
}

}  // namespace

bool Graph::cuda_graph_run(void** built, const std::function<void()>& step) {
  Written graph = write_down(step);
  try {
    bool build = launch_graph(built, graph.get());
    cuda_capture(false);
    return build;
  } catch (...) {
    cuda_capture(false);
    throw;
  }
}

void Graph::cuda_graph_free(void* built) {
  cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(built));
}

}  // namespace retort
