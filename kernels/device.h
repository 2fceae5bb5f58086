// Raw memory of a device. Knows no tensor: engine/memory.h caches on top of it.
#pragma once
#include <cstddef>
#include <new>
#include <string>

namespace retort {

enum class Device { cpu, cuda };

/// What CUDA may give up for speed; nothing unless asked. The CPU gives up nothing.
struct Exactness {
  bool tf32 = false;          ///< float32 products may round their factors to TF32, 10 bits
  bool deterministic = true;  ///< the same bits every time: no sum in an order left to chance
};
/// The one of this process. Set before the first use of the device.
Exactness& exactness();

struct OutOfMemory : std::bad_alloc {
  const char* what() const noexcept override {
    return "out of memory; use smaller batches (train.tokens) or a smaller model";
  }
};
/// Uninitialised memory, aligned to 64 bytes. Throws OutOfMemory when there is none left, even
/// after `give_back` of set_memory_reserve().
void* device_allocate(Device device, size_t bytes);
/// Tells what holds memory that it does not use (engine/memory.cpp): give_back(device) frees it.
void set_memory_reserve(void (*give_back)(Device));
void device_free(Device device, void* memory);
/// Copies between any two devices, in the order of the device's work. `src` on the host may be
/// reused when it returns; on the host `dst` holds the numbers when it returns.
void device_copy(Device to, void* dst, Device from, const void* src, size_t bytes);
void device_zero(Device device, void* memory, size_t bytes);
/// Waits for the device's work; throws what failed in it.
void device_synchronize(Device device);

/// Why `device = cuda` cannot be used here, in one line; empty where it can.
std::string cuda_missing();
/// Throws std::runtime_error with that line.
[[noreturn]] void no_cuda();

// Of the CUDA backend (kernels/device_cuda.cpp, or kernels/cpu_only.cpp in a build without one).
void* cuda_allocate(size_t bytes);  // null where there is none left
void cuda_free(void* memory);
void cuda_copy(Device to, void* dst, Device from, const void* src, size_t bytes);
void cuda_zero(void* memory, size_t bytes);
void cuda_synchronize();

}  // namespace retort
