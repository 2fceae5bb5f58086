// Where the time goes: every operator's, forward and backward, with the operations and bytes its
// shapes tell. One profile at a time; there is no cost without one but a test.
#pragma once
#include <map>

#include "engine/tensor.h"

namespace retort {

/// Keeps the time of operators from start() to the end. On CUDA each operator is waited for, so
/// that nothing overlaps. Not for several threads that record.
class Profile {
 public:
  /// `file`: where the caller of finish() wants the trace.
  static void start(const std::string& file);
  static bool on();
  /// What has run since the last mark was `name`: of so many floating-point operations and bytes.
  static void mark(const std::string& name, double operations = 0, double bytes = 0);
  /// The same for the forward or backward half of an operator: products' operations and the bytes
  /// of the tensors that it reads and writes, from shapes.
  static void mark(const std::string& name, const Tensor& y, const std::vector<Tensor>& inputs);
  /// While one lives nothing is marked: what runs is part of one operator.
  struct Whole {
    Whole();
    ~Whole();
    Whole(const Whole&) = delete;
  };
  /// Of all that has run. Table: the longest first; calls, time, its share, GFLOP/s, GB/s, and the
  /// larger of both as a fraction of what a product of 1,024^3 and a sum of large tensors reach
  /// now. Trace: Chrome's trace event format (chrome://tracing, Perfetto). Both empty where nothing
  /// ran.
  struct Report {
    std::string file, table, trace;
  };
  static Report finish();
};

}  // namespace retort
