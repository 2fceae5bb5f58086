// The scheduler of the test device: runs a grid of CUDA threads as fibers of the host, and sees
// divergent barriers, wrong shuffle masks and deadlocks. cuda_runtime.h wraps it in CUDA's words.
#pragma once
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <string>

#include "cudart_api.h"

namespace simt {

/// A place in a kernel's source, for diagnostics and to tell two barriers apart.
using Site = std::source_location;

/// What a test may set; read when a grid starts.
struct Options {
  uint64_t seed = 0;    ///< 0: threads and blocks ascending; 1: descending; else random. SIMT_SEED
  int workers = 2;      ///< OS threads over the blocks of a grid. OMP_NUM_THREADS
  int multiprocessors;  ///< 132 as on an H100, or SIMT_MULTIPROCESSORS
};
/// The options, at first from the environment.
Options& options();

/// A grid to run. `signature` names the kernel in diagnostics.
struct Grid {
  dim3 blocks, threads;
  size_t dynamic_shared = 0;
  bool cooperative = false;  ///< all blocks are live at once
  std::string signature;
};
/// Calls `thread` once for every thread of the grid. False, and one line on stderr, when the kernel
/// broke a rule; the rest of the grid is then abandoned.
bool run(const Grid& grid, const std::function<void()>& thread);

/// The block and thread a kernel fault struck in, or "" outside kernels. Safe in a signal handler.
const char* whereabouts();

// What threads of a kernel call.

enum class Vote { none, any, all, count };
enum class WarpOp { sync, ballot, any, all, index, up, down, exclusive_or, add, min, max, match };

/// Waits for the block's threads; returns the vote over their predicates.
int block_barrier(Vote vote, bool predicate, const Site& site);
/// Meets the lanes of `mask`; returns this lane's result.
uint64_t warp_meet(WarpOp op, unsigned mask, uint64_t value, int argument, int width,
                   const Site& site);
/// Gives way to other threads: __nanosleep.
void nap(const Site& site);
/// Orders memory between threads: __threadfence.
void fence();
/// The block's variable of `bytes` bytes known by `key`, made and poisoned at its first use.
void* shared_variable(const void* key, size_t bytes, const Site& site);
void* dynamic_shared();
/// Ends the kernel with an error: __trap, a failed check.
[[noreturn]] void trap(const Site& site);

/// True while blocks run on several OS threads.
extern bool concurrent;
/// Waits until every earlier block is done, so that atomics give the same result on any number of
/// OS threads.
void wait_for_turn();
inline void in_order() {
  if (concurrent) wait_for_turn();
}

template <class T>
uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T>
T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// The variable of one GPU_SHARED: each has its own type of `unique`, a lambda.
template <class T, class Unique>
T& shared(Unique, const Site& site = Site::current()) {
  static const char key = 0;
  return *static_cast<T*>(shared_variable(&key, sizeof(T), site));
}

}  // namespace simt
