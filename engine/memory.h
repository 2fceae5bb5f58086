// A caching allocator: freed blocks are kept by size and handed out again; bytes are counted, by
// what they are held for.
#pragma once
#include <array>
#include <cstddef>

#include "kernels/device.h"

namespace retort {

/// What memory is held for. An out-of-memory error lists it.
enum class MemoryClass { activations, weights, gradients, optimizer, cache, ids };
constexpr size_t kMemoryClasses = 6;

/// While one lives, this thread's new tensors are held for `what`, unless an inner one says else.
struct MemoryScope {
  explicit MemoryScope(MemoryClass what);
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;

 private:
  MemoryClass before_;
};

/// Bytes of one device: held by tensors now, the most ever held, and kept in the cache.
struct MemoryStats {
  size_t used = 0, peak = 0, cached = 0;
  std::array<size_t, kMemoryClasses> held{};  ///< `used`, by MemoryClass
};
MemoryStats memory_stats(Device device);
/// Makes the peak what is used now.
void reset_peak_memory(Device device);
/// Gives the cache back to the device.
void empty_cache(Device device);
/// Off: every tensor is an allocation of its own, of exactly its size, for tools that watch the
/// ends of blocks. Returns whether it was on. RETORT_MEMORY_CACHE=off in the environment turns it
/// off at the start.
bool set_memory_cache(Device device, bool on);

/// Memory handed out, with what is needed to take it back.
struct Allocation {
  void* data = nullptr;
  size_t size = 0;  ///< bytes counted
  MemoryClass held_for = MemoryClass::activations;
  bool whole = false;  ///< an allocation of exactly this size, not for the cache
};
/// Throws std::runtime_error, one line, where the device has no more.
Allocation cached_allocate(Device device, size_t bytes);
void cached_free(Device device, const Allocation& block);

}  // namespace retort
