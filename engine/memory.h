// A caching allocator: freed blocks are kept by size and handed out again; bytes are counted.
#pragma once
#include <cstddef>

#include "kernels/device.h"

namespace retort {

/// Bytes of one device: held by tensors now, the most ever held, and kept in the cache.
struct MemoryStats {
  size_t used = 0, peak = 0, cached = 0;
};
MemoryStats memory_stats(Device device);
/// Makes the peak what is used now.
void reset_peak_memory(Device device);
/// Gives the cache back to the device.
void empty_cache(Device device);

void* cached_allocate(Device device, size_t bytes);
void cached_free(Device device, void* memory, size_t bytes);

}  // namespace retort
