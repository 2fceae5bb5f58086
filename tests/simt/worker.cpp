// The scheduler: which thread of which block runs next, and on which stack. Compiled without
// -fsanitize even for the sanitizers' builds; rendezvous.cpp has the barriers and shuffles.
#include "worker.h"

#include <sched.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "cuda_runtime.h"

constinit thread_local uint3 threadIdx{}, blockIdx{};
constinit thread_local dim3 blockDim, gridDim;

namespace simt {

constinit thread_local Thread* current = nullptr;

namespace {
constexpr size_t shared_limit = 227 << 10, static_limit = 48 << 10, redzone = 64;
constexpr size_t arena_size = shared_limit + (64 << 10);
}  // namespace

Block::Block() {
  arena = static_cast<char*>(mmap(nullptr, arena_size, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (arena == MAP_FAILED) throw std::bad_alloc();
  poison(arena, arena_size);
  variables.reserve(64);
  if (asan) written.resize(arena_size);
}

Block::~Block() {
  unpoison(arena, arena_size);
  munmap(arena, arena_size);
}

// ---- which thread goes on

uint64_t Worker::random() {
  rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
  return rng;
}

void Worker::set_ready(Thread** threads, int count) {
  // The last of `ready` goes on first. With seed 0 a warp runs as far ahead of the others as it
  // can.
  for (int i = 0; i < count; i++) {
    Thread* t = threads[seed == 1 ? i : count - 1 - i];
    if (t->state != State::fresh) t->state = State::ready;
    ready.push_back(t);
  }
  idle_rounds = 0;
}

void Worker::wake_sleepers() {
  if (++idle_rounds > 10000) deadlock();
  woken.swap(sleepers);
  int rounds = idle_rounds;
  set_ready(woken.data(), int(woken.size()));
  idle_rounds = rounds;
  woken.clear();
}

Thread* Worker::pick() {
  if (ready.empty() && !sleepers.empty()) wake_sleepers();
  if (ready.empty()) return nullptr;
  if (seed > 1) std::swap(ready.back(), ready[random() % ready.size()]);
  Thread* next = ready.back();
  ready.pop_back();
  return next;
}

Fiber* Worker::new_fiber() {
  fibers.push_back(std::make_unique<Fiber>(int(fibers.size()), fiber_main));
  return fibers.back().get();
}

void Worker::go(Thread* next) {
  if (!next && live) deadlock();
  Fiber* to = &home;
  if (next) {
    if (next->state == State::fresh && !tsan) {
      if (spare.empty()) spare.push_back(new_fiber());
      next->fiber = spare.back();
      spare.pop_back();
    }
    next->state = State::ready;
    current = next;
    threadIdx = next->index;
    blockIdx = next->block->index;
    to = next->fiber;
  }
  if (to == running) return;
  Fiber* self = running;
  running = to;
  self->switch_to(*to);
}

// Runs one thread after another; those that never wait share one stack.
void Worker::fiber_main(boost::context::detail::transfer_t from) {
  Fiber::begin(from);
  Worker& worker = mine();
  for (;;) {
    worker.synchronise_start();
    worker.launch->body();
    worker.synchronise_end();
    worker.finish();
    if (!tsan) worker.spare.push_back(worker.running);
    worker.go(worker.pick());
  }
}

// What TSan has to know of a thread's beginning and end. A fiber runs the same thread of many
// blocks in turn, so only the first and last of them matter, except that shared memory is used
// again.
void Worker::synchronise_start() {
  if (!tsan) return;
  if (position < 2) acquire(&launch->start_sync);
  if (launch->shared_used) acquire(&current->block->end_sync);
}
void Worker::synchronise_end() {
  if (tsan && (launch->shared_used || launch->grid.cooperative || position + 2 >= launch->count))
    release(&current->block->end_sync);
}

void Worker::nap(const Site& site) {
  in_order();
  Thread* self = current;
  self->state = State::asleep;
  self->site = site;
  sleepers.push_back(self);
  go(pick());
}

void Worker::fail(const Site& site, const char* format, ...) {
  char place[300], what[500];
  std::snprintf(place, sizeof place, "%s:%u", site.file_name(), unsigned(site.line()));
  va_list values;
  va_start(values, format);
  std::vsnprintf(what, sizeof what, format, values);
  va_end(values);
  fail_at(place, what);
}

void Worker::fail_at(const char* place, const char* what) {
  launch->report(*current, place, what);
  abandoned = true;
  Fiber* self = running;
  running = &home;
  self->switch_to(home);
  std::abort();  // never resumed
}

// ---- blocks

Block& Worker::start_block(size_t slot, size_t at) {
  while (blocks.size() <= slot) blocks.push_back(std::make_unique<Block>());
  Block& block = *blocks[slot];
  const Grid& grid = launch->grid;
  const dim3& d = grid.threads;
  unsigned n = d.x * d.y * d.z;
  block.threads.reserve(1024);  // never moves: TSan knows addresses in it
  if (block.threads.size() < n) block.threads.resize(n);
  block.size = n;
  block.warps.resize((n + 31) / 32);
  for (unsigned i = 0; i < n; i++) {
    Thread& t = block.threads[i];
    t.index = {i % d.x, i / d.x % d.y, i / d.x / d.y};
    t.number = i;
    t.block = &block;
    t.state = State::fresh;
    t.site = Site();
    if (tsan && !t.fiber) t.fiber = new_fiber();
  }
  for (unsigned w = 0; w < block.warps.size(); w++)
    block.warps[w] = {n - w * 32 >= 32 ? ~0u : (1u << (n - w * 32)) - 1, 0};
  block.index = launch->block_index(at);
  block.live = n;
  block.exited = block.at_barrier = 0;

  poison(block.arena, block.used + redzone);
  if (asan) std::fill_n(block.written.begin(), block.used, char(0));
  block.variables.clear();
  block.static_bytes = 0;
  block.dynamic = block.arena + redzone;
  unpoison(block.dynamic, grid.dynamic_shared);
  fill_with_nan(block.dynamic, grid.dynamic_shared);
  block.used = redzone + grid.dynamic_shared;
  live += n;
  return block;
}

void Worker::run_started() {
  ready.clear();
  sleepers.clear();
  ready.reserve(live);
  sleepers.reserve(live);
  woken.reserve(live);
  spare.reserve(fibers.size() + live);
  fibers.reserve(fibers.size() + live);
  seed = options().seed;
  bool down = seed == 1;  // the positions are in descending order already
  for (size_t slot = last_live; slot-- > first_live;) {
    Block& block = *blocks[slot];
    for (unsigned i = 0; i < block.size; i++)
      ready.push_back(&block.threads[down ? i : block.size - 1 - i]);
  }
  idle_rounds = 0;
  rng = mix(mix(seed + (launch->number << 32)) + position) | 1;
  go(pick());  // returns when no thread is left, or after a fault
  current = nullptr;
  if (!abandoned) return;
  abandoned = false;
  live = 0;
  spare.clear();
  for (auto& fiber : fibers) {
    fiber->restart(fiber_main);
    if (!tsan) spare.push_back(fiber.get());
  }
}

void Worker::work(Launch& the_launch, int number) {
  launch = &the_launch;
  worker_number = number;
  blockDim = launch->grid.threads;
  gridDim = launch->grid.blocks;
  auto& mark = launch->working_on[size_t(number)];
  for (;;) {
    mark = launch->next.load();  // not above what comes
    position = launch->next++;
    if (position >= launch->count || launch->failed) break;
    mark = position;
    // TSan is to take two blocks for simultaneous, so they must not share their fibers.
    first_live = tsan ? position % 2 : 0;
    last_live = first_live + 1;
    start_block(first_live, position);
    run_started();
  }
  mark = SIZE_MAX;
}

void Worker::work_cooperatively(Launch& the_launch) {
  launch = &the_launch;
  blockDim = launch->grid.threads;
  gridDim = launch->grid.blocks;
  position = 0;
  first_live = 0;
  last_live = launch->count;
  for (size_t i = 0; i < last_live; i++) start_block(i, i);
  run_started();
}

void Worker::join() {
  for (auto& block : blocks) acquire(&block->end_sync);
}

void Worker::wait_for_turn() {
  for (auto& other : launch->working_on)
    while (other < position && !launch->failed) sched_yield();
}

Worker& Worker::mine() {
  static thread_local Worker worker;
  return worker;
}

void* Worker::shared_variable(const void* key, size_t bytes, const Site& site) {
  Block& block = *current->block;
  for (auto& variable : block.variables)
    if (variable.key == key) return variable.memory;
  if (tsan) launch->shared_used = true;
  block.static_bytes += bytes;
  if (block.static_bytes > static_limit ||
      block.static_bytes + launch->grid.dynamic_shared > shared_limit)
    fail(site, "more shared memory than a block has");
  size_t offset = (block.used + redzone + 15) / 16 * 16;
  void* memory = block.arena + offset;
  block.used = offset + bytes;
  unpoison(memory, bytes);
  fill_with_nan(memory, bytes);
  block.variables.push_back({key, memory});
  return memory;
}

}  // namespace simt
