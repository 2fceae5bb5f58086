// A step of work that the device is asked for at once instead of kernel by kernel.
#pragma once
#include <functional>

#include "kernels/device.h"

namespace retort {

/// On CUDA, run() writes down what `step` asks of the device (a CUDA graph) and then starts all of
/// it: the host pays one launch. The step is called each time, so that numbers it passes by value
/// (learning rate, dropout key) are those of this time; what was built last time is only brought up
/// to date, or built anew where the step asks for other work. Nothing may wait for the device
/// inside (Tensor::values, item): that is an error which names it. On the CPU, run() calls the
/// step.
class Graph {
 public:
  explicit Graph(Device device) : device_(device) {}
  ~Graph() {
    if (built_) cuda_graph_free(built_);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void run(const std::function<void()>& step) {
    if (device_ == Device::cuda)
      builds_ += cuda_graph_run(&built_, step);
    else
      step();
  }
  long builds() const { return builds_; }  ///< how often it was built, not only brought up to date

 private:
  // Of the CUDA backend: kernels/graph_cuda.cpp, or kernels/cpu_only.cpp in a build without one.
  static bool cuda_graph_run(void** built, const std::function<void()>& step);
  static void cuda_graph_free(void* built);
  Device device_;
  void* built_ = nullptr;
  long builds_ = 0;
};

}  // namespace retort
