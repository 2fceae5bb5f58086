#include "kernels/device.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

namespace retort {

void no_cuda() {
  throw std::runtime_error("device cuda: this build of retort has no CUDA backend");
}

void* device_allocate(Device device, size_t bytes) {
  if (device == Device::cuda) no_cuda();
  void* memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (!memory) throw std::bad_alloc();
  return memory;
}

void device_free(Device, void* memory) { std::free(memory); }

void device_copy(Device to, void* dst, Device from, const void* src, size_t bytes) {
  if (to == Device::cuda || from == Device::cuda) no_cuda();
  if (bytes) std::memcpy(dst, src, bytes);
}

void device_zero(Device device, void* memory, size_t bytes) {
  if (device == Device::cuda) no_cuda();
  if (bytes) std::memset(memory, 0, bytes);
}

}  // namespace retort
