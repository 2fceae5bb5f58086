#include "engine/memory.h"

#include <algorithm>
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace retort {
namespace {

struct Cache {
  std::map<size_t, std::vector<void*>> free;  // by block size
  MemoryStats stats;
};
// Never destroyed: tensors with static storage may be freed after it would be.
Cache& cache(Device device) {
  static Cache* caches = new Cache[2];
  return caches[device == Device::cuda];
}
// Blocks grow in steps of an eighth, so that nearby sizes share them at the cost of at most 12 %.
size_t block_size(size_t bytes) {
  size_t step = 64;
  while (step * 16 < bytes) step *= 2;
  return std::max<size_t>(64, (bytes + step - 1) / step * step);
}

}  // namespace

void* cached_allocate(Device device, size_t bytes) {
  Cache& c = cache(device);
  size_t size = block_size(bytes);
  void* memory = nullptr;
  auto found = c.free.find(size);
  if (found != c.free.end() && !found->second.empty()) {
    memory = found->second.back();
    found->second.pop_back();
    c.stats.cached -= size;
  } else {
    if (c.stats.cached > c.stats.peak) empty_cache(device);  // so that twice the peak is never held
    try {
      memory = device_allocate(device, size);
    } catch (const std::bad_alloc&) {
      empty_cache(device);
      try {
        memory = device_allocate(device, size);
      } catch (const std::bad_alloc&) {
        throw std::runtime_error("out of memory: " + std::to_string(bytes >> 20) +
                                 " MiB asked for, " + std::to_string(c.stats.used >> 20) +
                                 " MiB in use; use smaller batches or a smaller model");
      }
    }
  }
  c.stats.used += size;
  c.stats.peak = std::max(c.stats.peak, c.stats.used);
  return memory;
}

void cached_free(Device device, void* memory, size_t bytes) {
  Cache& c = cache(device);
  size_t size = block_size(bytes);
  c.free[size].push_back(memory);
  c.stats.used -= size;
  c.stats.cached += size;
}

MemoryStats memory_stats(Device device) { return cache(device).stats; }
void reset_peak_memory(Device device) { cache(device).stats.peak = cache(device).stats.used; }

void empty_cache(Device device) {
  Cache& c = cache(device);
  for (auto& [size, blocks] : c.free)
    for (void* memory : blocks) device_free(device, memory);
  c.free.clear();
  c.stats.cached = 0;
}

}  // namespace retort
