// Fibers by Boost.Context, told to the sanitizers, and the sanitizers' other calls the scheduler
// needs. Compiled without -fsanitize but with SIMT_ASAN or SIMT_TSAN for programs that have it.
#pragma once
#include <pthread.h>
#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <cstdint>
#include <new>

#ifdef SIMT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef SIMT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace simt {

#ifdef SIMT_TSAN
constexpr bool tsan = true;
inline void release(void* variable) { __tsan_release(variable); }
inline void acquire(void* variable) { __tsan_acquire(variable); }
#else
constexpr bool tsan = false;
inline void release(void*) {}
inline void acquire(void*) {}
#endif

#ifdef SIMT_ASAN
constexpr bool asan = true;
inline void poison(void* p, size_t n) { __asan_poison_memory_region(p, n); }
inline void unpoison(void* p, size_t n) { __asan_unpoison_memory_region(p, n); }
#else
constexpr bool asan = false;
inline void poison(void*, size_t) {}
inline void unpoison(void*, size_t) {}
#endif

/// Fills with 0xFF, NaN in every floating-point type, unseen by the sanitizers.
inline void fill_with_nan(void* p, size_t n) {
  auto* bytes = static_cast<volatile unsigned char*>(p);
  while (n % 8) bytes[--n] = 0xFF;
  auto* words = static_cast<volatile uint64_t*>(p);
  for (size_t i = 0; i < n / 8; i++) words[i] = ~uint64_t(0);
}

/// A stack with a suspended computation, or the OS thread's own stack.
struct Fiber {
  static constexpr size_t stack_size = (asan || tsan ? 256 : 64) << 10, guard = 4096;
  boost::context::detail::fcontext_t context = nullptr;
  char* stack = nullptr;
  size_t size = 0;
  size_t offset = 0;  // of the stack's top: tops of equal alignment would share cache lines
  bool owned = false;
  void* fake_stack = nullptr;  // ASan's
  void* tsan_fiber = nullptr;

  /// The OS thread that calls.
  Fiber() {
    pthread_attr_t attributes;
    void* bottom = nullptr;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &bottom, &size);
    pthread_attr_destroy(&attributes);
    stack = static_cast<char*>(bottom);
#ifdef SIMT_TSAN
    tsan_fiber = __tsan_get_current_fiber();
#endif
  }

  /// A new stack; `start` runs at the first switch to it.
  Fiber(int number, void (*start)(boost::context::detail::transfer_t))
      : size(stack_size), offset(size_t(number) % 32 * 128), owned(true) {
    void* memory = mmap(nullptr, size + guard, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    stack = static_cast<char*>(memory) + guard;
    // A mapping each; the kernel allows 65,530 of them.
    if (number < 8192) mprotect(memory, guard, PROT_NONE);
    restart(start);
  }
  Fiber(const Fiber&) = delete;
  ~Fiber() {
    if (!owned) return;
    unpoison(stack, size);
    munmap(stack - guard, size + guard);
#ifdef SIMT_TSAN
    __tsan_destroy_fiber(tsan_fiber);
#endif
  }

  /// Forgets what the fiber was doing.
  void restart(void (*start)(boost::context::detail::transfer_t)) {
    unpoison(stack, size);
    context = boost::context::detail::make_fcontext(stack + size - offset, size - offset, start);
#ifdef SIMT_TSAN
    if (tsan_fiber) {
      void* self = __tsan_get_current_fiber();
      __tsan_switch_to_fiber(tsan_fiber, 0);  // what it did happened before what follows here
      __tsan_switch_to_fiber(self, 0);
      __tsan_destroy_fiber(tsan_fiber);
    }
    tsan_fiber = __tsan_create_fiber(0);
#endif
  }

  /// Suspends `this`, the fiber that runs, and resumes `to`.
  void switch_to(Fiber& to) {
#ifdef SIMT_ASAN
    __sanitizer_start_switch_fiber(&fake_stack, to.stack, to.size);
#endif
#ifdef SIMT_TSAN
    __tsan_switch_to_fiber(to.tsan_fiber, __tsan_switch_to_fiber_no_sync);
#endif
    arrived(boost::context::detail::jump_fcontext(to.context, this));
#ifdef SIMT_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
  }

  /// The first act of a fiber's start function.
  static void begin(boost::context::detail::transfer_t from) {
    arrived(from);
#ifdef SIMT_ASAN
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
  }

 private:
  static void arrived(boost::context::detail::transfer_t from) {
    static_cast<Fiber*>(from.data)->context = from.fctx;
  }
};

}  // namespace simt
