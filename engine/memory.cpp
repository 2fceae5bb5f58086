#include "engine/memory.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace retort {
namespace {

thread_local MemoryClass held_for = MemoryClass::activations;

// Blocks come back when the host lets go of them, which on CUDA may be before the device has
// finished with them. They may be handed out again at once all the same: all the device's work is
// on one stream, so what writes them next comes after what still reads them.
struct Cache {
  std::map<size_t, std::vector<void*>> free;  // by block size
  MemoryStats stats;
  bool on = true;
  Cache() {
    const char* off = std::getenv("RETORT_MEMORY_CACHE");
    on = !off || std::string(off) != "off";
  }
};
// Never destroyed: tensors with static storage may be freed after it would be.
Cache& cache(Device device) {
  static Cache* caches = [] {
    set_memory_reserve(empty_cache);
    return new Cache[2];
  }();
  return caches[device == Device::cuda];
}
// Blocks grow in steps of an eighth, so that nearby sizes share them at the cost of at most 12 %.
size_t block_size(size_t bytes) {
  size_t step = 64;
  while (step * 16 < bytes) step *= 2;
  return std::max<size_t>(64, (bytes + step - 1) / step * step);
}

std::string mebibytes(size_t bytes) {
  return bytes < 10 << 20 ? std::to_string(bytes >> 10) + " KiB"
                          : std::to_string(bytes >> 20) + " MiB";
}

[[noreturn]] void out_of_memory(size_t bytes, const MemoryStats& stats) {
  const char* names[kMemoryClasses] = {"activations", "weights",  "gradients",
                                       "optimizer",   "KV cache", "ids"};
  std::vector<std::pair<size_t, std::string>> held;
  for (size_t i = 0; i < kMemoryClasses; i++)
    if (stats.held[i]) held.push_back({stats.held[i], names[i]});
  std::sort(held.rbegin(), held.rend());
  std::string list;
  for (const auto& [size, name] : held)
    list += (list.empty() ? ": " : ", ") + name + " " + mebibytes(size);
  throw std::runtime_error("out of memory: " + mebibytes(bytes) + " asked for, " +
                           mebibytes(stats.used) + " in use" + list +
                           "; use smaller batches or a smaller model");
}

}  // namespace

MemoryScope::MemoryScope(MemoryClass what) : before_(held_for) { held_for = what; }
MemoryScope::~MemoryScope() { held_for = before_; }

Allocation cached_allocate(Device device, size_t bytes) {
  Cache& c = cache(device);
  Allocation block{nullptr, c.on ? block_size(bytes) : bytes, held_for, !c.on};
  auto found = c.free.find(block.size);
  if (c.on && found != c.free.end() && !found->second.empty()) {
    block.data = found->second.back();
    found->second.pop_back();
    c.stats.cached -= block.size;
  } else {
    if (c.stats.cached > c.stats.peak) empty_cache(device);  // so that twice the peak is never held
    try {
      block.data = device_allocate(device, block.size);
    } catch (const std::bad_alloc&) {
      out_of_memory(bytes, c.stats);
    }
  }
  c.stats.used += block.size;
  c.stats.held[size_t(block.held_for)] += block.size;
  c.stats.peak = std::max(c.stats.peak, c.stats.used);
  return block;
}

void cached_free(Device device, const Allocation& block) {
  Cache& c = cache(device);
  c.stats.used -= block.size;
  c.stats.held[size_t(block.held_for)] -= block.size;
  if (block.whole || !c.on) return device_free(device, block.data);
  c.free[block.size].push_back(block.data);
  c.stats.cached += block.size;
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

bool set_memory_cache(Device device, bool on) {
  if (!on) empty_cache(device);
  return std::exchange(cache(device).on, on);
}

}  // namespace retort
