// What one OS thread needs to run blocks of CUDA threads: their states, their fibers, and the list
// of those that can go on. Internal to the scheduler.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "fiber.h"
#include "simt.h"

namespace simt {

struct Block;

/// The next of a sequence of random numbers: splitmix64.
inline uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

enum class State : uint8_t { fresh, ready, at_barrier, at_warp, asleep, done };

/// One CUDA thread.
struct Thread {
  uint3 index;
  unsigned number;  // in its block
  Block* block;
  Fiber* fiber;
  State state;
  // What it waits for: a warp operation or a vote, and its result.
  WarpOp op;
  Vote vote;
  unsigned mask;
  int argument, width;
  uint64_t value, result;
  Site site;
  uint64_t sync;  // the address names a synchronisation to TSan
};

struct Warp {
  unsigned live, arrived;  // sets of lanes
};

struct SharedVariable {
  const void* key;
  void* memory;
};

/// One block, kept for further blocks of the same launch.
struct Block {
  uint3 index;
  unsigned size = 0;            // threads in use
  std::vector<Thread> threads;  // at least these
  std::vector<Warp> warps;
  unsigned live, exited, at_barrier, barriers;
  uint64_t barrier_sync[2], end_sync;  // addresses for TSan
  char* arena = nullptr;
  size_t used = 0, static_bytes = 0;  // of the arena
  char* dynamic = nullptr;
  std::vector<char> written;  // which bytes of the arena were, under ASan
  std::vector<SharedVariable> variables;

  Block();
  Block(const Block&) = delete;
  ~Block();
};

/// A launch in progress, shared by the workers.
struct Launch {
  const Grid& grid;
  const std::function<void()>& body;
  uint64_t number;               // of launches so far
  size_t count;                  // of blocks
  std::vector<unsigned> order;   // of the blocks, empty when it is ascending
  std::atomic<size_t> next = 0;  // position to start
  std::atomic<bool> failed = false;
  bool shared_used = false;                          // by any block so far
  std::vector<std::atomic<size_t>> working_on = {};  // position, by worker
  uint64_t start_sync = 0;                           // address for TSan

  uint3 block_index(size_t position) const;
  /// Prints the kernel's first fault, at `place`, "file:line".
  void report(const Thread& thread, const char* place, const char* what);
};

/// Runs blocks on the OS thread that calls.
class Worker {
 public:
  /// This OS thread's.
  static Worker& mine();
  /// Takes blocks of the launch until there are none.
  void work(Launch& launch, int number);
  /// Runs all blocks of the launch at once.
  void work_cooperatively(Launch& launch);

  /// Makes what the blocks did happen before what the caller does next.
  void join();

  int barrier(Vote vote, bool predicate, const Site& site);
  uint64_t meet(WarpOp op, unsigned mask, uint64_t value, int argument, int width,
                const Site& site);
  void nap(const Site& site);
  void* shared_variable(const void* key, size_t bytes, const Site& site);
  void wait_for_turn();
  /// Reports a fault of the current thread and abandons the launch. Allocates nothing: a thread
  /// that never goes on frees nothing.
  [[noreturn, gnu::format(printf, 3, 4)]] void fail(const Site& site, const char* format, ...);
  [[noreturn]] void fail_at(const char* place, const char* what);

 private:
  Block& start_block(size_t slot, size_t position);
  void run_started();
  static void fiber_main(boost::context::detail::transfer_t from);
  Fiber* new_fiber();
  Thread* pick();
  void wake_sleepers();
  void go(Thread* next);
  void synchronise_start();
  void synchronise_end();
  void finish();
  void shuffle(Thread* lanes, unsigned present, unsigned mask);
  void resolve(Block& block, unsigned warp, unsigned mask, const Thread* self);
  void release_barrier(Block& block);
  void set_ready(Thread** threads, int count);
  [[noreturn]] void deadlock();
  uint64_t random();

  Fiber home;
  Fiber* running = &home;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> spare;
  std::vector<std::unique_ptr<Block>> blocks;
  std::vector<Thread*> ready, sleepers, woken;
  Launch* launch = nullptr;
  size_t first_live = 0, last_live = 0;  // slots in use
  size_t live = 0;                       // threads of all live blocks
  size_t position = 0;
  int worker_number = 0;
  bool abandoned = false;
  int idle_rounds = 0;  // wake-ups of all sleepers since anything else happened
  uint64_t seed = 0, rng = 1;
};

/// The thread that runs on this OS thread, if any.
extern constinit thread_local Thread* current;

bool same_place(const Site& a, const Site& b);

}  // namespace simt
