// A Team works on one row of n elements. Solo: one CPU thread, vectorised loops. Warp and Block:
// CUDA threads. All offer loops over streams: each(n, f, s...), sum(n, f, s...), sums(n, f, s...)
// -> Pair, max(n, f, s...), and one(f). f(i, x...) sees element i of every stream as a number of
// type Real<T>:
//   const T* is read, out(T*) is written, inout(T*) is read and written,
//   team.keep<K>(n, f, x) is f(x[i]) of a stream, for several loops to read: Solo computes it once,
//   into the thread's own memory number K; a CUDA thread, whose exp costs less than memory, in
//   every loop.
// Element i is always visited by the same thread, so a row may store y[i] in one loop and read it
// in the next. A CUDA thread visits four neighbours at a time, eight of bfloat16, by 128-bit loads
// where a stream is aligned.
#pragma once
#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/bf16.h"

namespace retort {

template <class T>
struct Pair {
  T a, b;
  HD Pair operator+(const Pair& o) const { return {a + o.a, b + o.b}; }
};

template <class T>
struct Out {
  T* p;
};
template <class T>
struct InOut {
  T* p;
};
template <class T>
HD Out<T> out(T* p) {
  return {p};
}
template <class T>
HD InOut<T> inout(T* p) {
  return {p};
}

template <class F, class T>
struct Kept {
  F f;
  const T* p;
};

// What f holds of a stream while it works on element i.
template <class S>
struct Slot;
template <class T>
struct Slot<const T*> {
  static constexpr bool writes = false;
  Real<T> value;
  HD Slot(const T* p, int i) : value(real(p[i])) {}
  HD void store() const {}
};
template <class T>
struct Slot<T*> : Slot<const T*> {
  using Slot<const T*>::Slot;
};
template <class F, class T>
struct Slot<Kept<F, T>> {
  Real<T> value;
  HD Slot(const Kept<F, T>& s, int i) : value(s.f(s.p[i])) {}
  HD void store() const {}
};
template <class T>
struct Slot<Out<T>> {
  static constexpr bool writes = true;
  T* at;
  Real<T> value;
  HD Slot(Out<T> s, int i) : at(s.p + i) {}
  HD void store() const { put(*at, value); }
};
template <class T>
struct Slot<InOut<T>> {
  static constexpr bool writes = true;
  T* at;
  Real<T> value;
  HD Slot(InOut<T> s, int i) : at(s.p + i), value(real(*at)) {}
  HD void store() const { put(*at, value); }
};

template <class F, class... S>
HD auto call(F& f, int i, S... slot) {
  if constexpr (std::is_void_v<decltype(f(i, slot.value...))>) {
    f(i, slot.value...);
    (slot.store(), ...);
  } else {
    auto r = f(i, slot.value...);
    (slot.store(), ...);
    return r;
  }
}
/// f on element i of the streams.
template <class F, class... S>
HD auto visit(F& f, int i, S... s) {
  return call(f, i, Slot<S>(s, i)...);
}

// Sums are of blocks, then of the blocks' sums: in one long sum of floats the last terms would lose
// digits to the first.
struct Solo {
  static constexpr int kBlock = 2048;
  template <class F, class... S>
  HD void each(int n, F f, S... s) const {
#pragma omp simd
    for (int i = 0; i < n; i++) visit(f, i, s...);
  }
  template <class F, class... S>
  HD auto sum(int n, F f, S... s) const {
    using T = decltype(visit(f, 0, s...));
    T t = 0;
    for (int start = 0; start < n; start += kBlock) {
      int end = n - start < kBlock ? n : start + kBlock;
      T u = 0;
#pragma omp simd reduction(+ : u)
      for (int i = start; i < end; i++) u += visit(f, i, s...);
      t += u;
    }
    return t;
  }
  template <class F, class... S>
  HD auto sums(int n, F f, S... s) const {
    using T = decltype(visit(f, 0, s...).a);
    Pair<T> t{0, 0};
    for (int start = 0; start < n; start += kBlock) {
      int end = n - start < kBlock ? n : start + kBlock;
      T a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
      for (int i = start; i < end; i++) {
        Pair<T> v = visit(f, i, s...);
        a += v.a, b += v.b;
      }
      t = t + Pair<T>{a, b};
    }
    return t;
  }
  template <class F, class... S>
  HD auto max(int n, F f, S... s) const {
    auto m = visit(f, 0, s...);
#pragma omp simd reduction(max : m)
    for (int i = 0; i < n; i++) {
      auto x = visit(f, i, s...);
      m = x > m ? x : m;
    }
    return m;
  }
  template <class F>
  HD void one(F f) const {
    f();
  }
  template <int K, class F, class T>
  HD const T* keep(int n, F f, const T* x) const {
#ifdef __CUDA_ARCH__  // nvcc compiles this for the device as well, where nobody is Solo
    return x;
#else
    thread_local std::vector<T> memory;
    if (memory.size() < size_t(n)) memory.resize(size_t(n));
    each(
        n, [&](int, T v, T& y) { y = f(v); }, x, out(memory.data()));
    return memory.data();
#endif
  }
};

}  // namespace retort

#ifdef GPU_CODE
#include "kernels/team_cuda.h"
#endif
