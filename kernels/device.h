// Raw memory of a device. Knows no tensor: engine/memory.h caches on top of it.
#pragma once
#include <cstddef>

namespace retort {

enum class Device { cpu, cuda };

/// Uninitialised memory, aligned to 64 bytes. Throws std::bad_alloc when there is none left.
void* device_allocate(Device device, size_t bytes);
void device_free(Device device, void* memory);
/// Copies between any two devices; the host sees the result when it returns.
void device_copy(Device to, void* dst, Device from, const void* src, size_t bytes);
void device_zero(Device device, void* memory, size_t bytes);

/// For what only a build with CUDA can do: throws std::runtime_error saying so.
[[noreturn]] void no_cuda();

}  // namespace retort
