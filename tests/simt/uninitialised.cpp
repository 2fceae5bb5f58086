// Sees kernels read shared memory that nobody wrote. Only in ASan's build, where the kernels call
// __asan_load4 and its kin for every access (asan-instrumentation-with-call-threshold=0): these
// here stand before ASan's own. Compiled without -fsanitize.
#include <dlfcn.h>
#include <sanitizer/common_interface_defs.h>

#include <algorithm>
#include <cstdint>

#include "worker.h"

namespace simt {

// A load is at fault when its bytes were never stored to and still are what they were filled with.
[[gnu::noinline]] void check_load(const char* p, size_t bytes, void* caller) {
  Block* block = current ? current->block : nullptr;
  if (!block || p < block->arena || p + bytes > block->arena + block->used) return;
  const char* written = block->written.data() + (p - block->arena);
  if (std::any_of(written, written + bytes, [](char b) { return b; })) return;
  if (!std::all_of(p, p + bytes, [](char b) { return b == char(0xFF); })) return;
  char place[300];
  __sanitizer_symbolize_pc(static_cast<char*>(caller) - 1, "%s:%l", place, sizeof place);
  Worker::mine().fail_at(place, "shared memory is read that no thread has written");
}

void note_store(char* p, size_t bytes) {
  Block* block = current ? current->block : nullptr;
  if (block && p >= block->arena && p + bytes <= block->arena + block->used)
    std::fill_n(block->written.data() + (p - block->arena), bytes, char(1));
}

namespace {
template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}
}  // namespace

}  // namespace simt

// The calls of ASan's functions are tail calls, so that its reports begin with the kernel.
#define CHECK_ACCESS(size)                                            \
  extern "C" void __asan_load##size(char* p) {                        \
    static auto asan = simt::next<void(char*)>("__asan_load" #size);  \
    simt::check_load(p, size, __builtin_return_address(0));           \
    return asan(p);                                                   \
  }                                                                   \
  extern "C" void __asan_store##size(char* p) {                       \
    static auto asan = simt::next<void(char*)>("__asan_store" #size); \
    simt::note_store(p, size);                                        \
    return asan(p);                                                   \
  }
CHECK_ACCESS(1)
CHECK_ACCESS(2)
CHECK_ACCESS(4)
CHECK_ACCESS(8)
CHECK_ACCESS(16)

extern "C" void __asan_loadN(char* p, size_t bytes) {
  static auto asan = simt::next<void(char*, size_t)>("__asan_loadN");
  simt::check_load(p, bytes, __builtin_return_address(0));
  return asan(p, bytes);
}
extern "C" void __asan_storeN(char* p, size_t bytes) {
  static auto asan = simt::next<void(char*, size_t)>("__asan_storeN");
  simt::note_store(p, bytes);
  return asan(p, bytes);
}
