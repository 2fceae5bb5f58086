// The scheduler seen from outside: options, grids, and what threads call that is not a rendezvous.
// Compiled without -fsanitize, like all of the shim.
#include "simt.h"

#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "worker.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace simt {

bool concurrent = false;

namespace {

uint64_t fence_sync;  // address for TSan

long number_from_environment(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtol(text, nullptr, 10) : otherwise;
}

#ifdef _OPENMP
int most_workers() { return asan || tsan ? 1 : omp_get_max_threads(); }
int worker_number() { return omp_get_thread_num(); }
#else
int most_workers() { return 1; }
int worker_number() { return 0; }
#endif

Options from_environment() {
  Options options{};
  options.seed = uint64_t(number_from_environment("SIMT_SEED", 0));
  options.multiprocessors = int(number_from_environment("SIMT_MULTIPROCESSORS", 132));
  options.workers = most_workers();
  return options;
}

}  // namespace

Options& options() {
  static Options options = from_environment();
  return options;
}

uint3 Launch::block_index(size_t position) const {
  size_t i = order.empty() ? position : order[position];
  const dim3& n = grid.blocks;
  return {unsigned(i % n.x), unsigned(i / n.x % n.y), unsigned(i / n.x / n.y)};
}

void Launch::report(const Thread& thread, const char* place, const char* what) {
  if (failed.exchange(true)) return;
  const uint3 &b = thread.block->index, &t = thread.index;
  std::fprintf(stderr, "simt: %s: %s; block (%u,%u,%u), thread (%u,%u,%u) of kernel%s\n", place,
               what, b.x, b.y, b.z, t.x, t.y, t.z, grid.signature.c_str());
}

bool run(const Grid& grid, const std::function<void()>& body) {
  static std::atomic<uint64_t> launches = 0;
  size_t blocks = size_t(grid.blocks.x) * grid.blocks.y * grid.blocks.z;
  size_t threads = size_t(grid.threads.x) * grid.threads.y * grid.threads.z;
  Launch launch{.grid = grid, .body = body, .number = launches++, .count = blocks, .order = {}};
  launch.shared_used = grid.dynamic_shared > 0;
  launch.working_on = std::vector<std::atomic<size_t>>(size_t(options().workers));
  for (auto& position : launch.working_on) position = SIZE_MAX;
  uint64_t seed = options().seed;
  if (seed) {
    launch.order.resize(blocks);
    std::iota(launch.order.rbegin(), launch.order.rend(), 0);
    uint64_t state = mix(seed) + launch.number;
    for (size_t i = blocks; seed > 1 && i > 1; i--)
      std::swap(launch.order[i - 1], launch.order[(state = mix(state)) % i]);
  }
  release(&launch.start_sync);
  if (grid.cooperative) {
    if (tsan && blocks * threads > 6000) {
      std::fprintf(stderr,
                   "simt: TSan allows 6,000 threads in a cooperative grid, not %zu: set "
                   "SIMT_MULTIPROCESSORS lower\n",
                   blocks * threads);
      return false;
    }
    Worker::mine().work_cooperatively(launch);
  } else {
    concurrent = !asan && !tsan && options().workers > 1 && blocks > 1 && blocks * threads >= 2048;
#pragma omp parallel num_threads(options().workers) if (concurrent)
    Worker::mine().work(launch, worker_number());
    concurrent = false;
  }
  Worker::mine().join();
  return !launch.failed;
}

const char* whereabouts() {
  static char text[400];
  if (!current) return "";
  const uint3 &b = current->block->index, &t = current->index;
  const Site& site = current->site;
  int n = std::snprintf(text, sizeof text, "block (%u,%u,%u), thread (%u,%u,%u)", b.x, b.y, b.z,
                        t.x, t.y, t.z);
  if (site.line())
    std::snprintf(text + n, sizeof text - size_t(n), " after the barrier or shuffle at %s:%u",
                  site.file_name(), unsigned(site.line()));
  return text;
}

void fence() {
  in_order();
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  release(&fence_sync);
  acquire(&fence_sync);
}
void nap(const Site& site) { Worker::mine().nap(site); }
void wait_for_turn() { Worker::mine().wait_for_turn(); }
void* dynamic_shared() { return current->block->dynamic; }
void* shared_variable(const void* key, size_t bytes, const Site& site) {
  return Worker::mine().shared_variable(key, bytes, site);
}
void trap(const Site& site) { Worker::mine().fail(site, "__trap"); }

}  // namespace simt
