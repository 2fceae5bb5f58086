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
  /// Begins one, in the place of any that goes on.
  static void start();
  /// Whether one goes on.
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

  /// An operator that ran, in seconds since the start.
  struct Event {
    std::string name;
    double begin, seconds;
  };
  /// All calls of an operator: seconds, floating-point operations, bytes read and written.
  struct Total {
    long calls = 0;
    double seconds = 0, operations = 0, bytes = 0;
  };
  /// What has run; nothing where no operator has.
  struct Result {
    double seconds = 0;  ///< from the start to the last mark
    std::map<std::string, Total> totals;
    std::vector<Event> events;  ///< as they ran, one behind the other
    size_t more = 0;            ///< events after the first million, which are in the totals alone
    /// What this device reaches now: operations a second of a product of 1,024^3, bytes a second of
    /// a sum of large tensors, both in float32.
    double product_rate = 0, sum_rate = 0;
  };
  /// Ends the profile.
  static Result finish();
};

}  // namespace retort
