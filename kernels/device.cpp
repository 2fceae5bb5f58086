#include "kernels/device.h"

#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace retort {

Exactness& exactness() {
  static Exactness e;
  return e;
}

void no_cuda() { throw std::runtime_error("device cuda: " + cuda_missing()); }

namespace {
void (*give_back_reserve)(Device) = nullptr;

// Null where there is none left. Of exactly `bytes`: a tool that watches its end sees the first
// byte past it.
void* allocate(Device device, size_t bytes) {
  if (device == Device::cuda) return cuda_allocate(bytes);
  void* memory = nullptr;
  return posix_memalign(&memory, 64, bytes + !bytes) ? nullptr : memory;
}
}  // namespace

void set_memory_reserve(void (*give_back)(Device)) { give_back_reserve = give_back; }

void* device_allocate(Device device, size_t bytes) {
  void* memory = allocate(device, bytes);
  if (!memory && give_back_reserve) give_back_reserve(device), memory = allocate(device, bytes);
  if (!memory) throw OutOfMemory();
  return memory;
}

void device_free(Device device, void* memory) {
  if (device == Device::cuda)
    cuda_free(memory);
  else
    std::free(memory);
}

void device_copy(Device to, void* dst, Device from, const void* src, size_t bytes) {
  if (bytes == 0) return;
  if (to == Device::cuda || from == Device::cuda)
    cuda_copy(to, dst, from, src, bytes);
  else
    std::memcpy(dst, src, bytes);
}

void device_zero(Device device, void* memory, size_t bytes) {
  if (bytes == 0) return;
  if (device == Device::cuda)
    cuda_zero(memory, bytes);
  else
    std::memset(memory, 0, bytes);
}

void device_synchronize(Device device) {
  if (device == Device::cuda) cuda_synchronize();
}

}  // namespace retort
