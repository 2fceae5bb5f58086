// The teams of CUDA threads: Warp (32 lanes), Block, and Blocks (several blocks on one long row).
// Chunk i of four elements belongs to lane i % size; sums run in a fixed order: lane by lane, then
// by a tree over the lanes.
#pragma once
#include "kernels/team.h"

namespace retort {

constexpr int kChunk = 4;

template <class T>
struct alignas(sizeof(T) * kChunk) Four {
  T at[kChunk];
};

// One access of 16 bytes (of float) where p is aligned, four of one element where it is not. g++,
// which compiles this for the tests, would merge the two and trust the alignment of the first.
template <class T>
DEV bool aligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % sizeof(Four<T>) == 0;
}
template <class T>
DEV Four<T> load_four(const T* p) {
  Four<T> x;
#ifdef __CUDACC__
  if (aligned(p)) return *reinterpret_cast<const Four<T>*>(p);
#endif
  for (int k = 0; k < kChunk; k++) x.at[k] = p[k];
  return x;
}
template <class T>
DEV void store_four(T* p, const Four<T>& x) {
#ifdef __CUDACC__
  if (aligned(p)) {
    *reinterpret_cast<Four<T>*>(p) = x;
    return;
  }
#endif
  for (int k = 0; k < kChunk; k++) p[k] = x.at[k];
}

// Four neighbours of a stream while f works on them.
template <class S>
struct Chunk;
template <class T>
struct Chunk<const T*> {
  Real<T> value[kChunk];
  DEV Chunk(const T* p, int i) {
    Four<T> x = load_four(p + i);
    for (int k = 0; k < kChunk; k++) value[k] = x.at[k];
  }
  DEV void store() const {}
};
template <class T>
struct Chunk<T*> : Chunk<const T*> {
  using Chunk<const T*>::Chunk;
};
template <class T>
struct Chunk<Out<T>> {
  T* p;
  Real<T> value[kChunk];
  DEV Chunk(Out<T> s, int i) : p(s.p + i) {}
  DEV void store() const {
    Four<T> x;
    for (int k = 0; k < kChunk; k++) x.at[k] = T(value[k]);
    store_four(p, x);
  }
};
template <class T>
struct Chunk<InOut<T>> : Chunk<Out<T>> {
  DEV Chunk(InOut<T> s, int i) : Chunk<Out<T>>(Out<T>{s.p}, i) {
    Chunk<const T*> x(s.p, i);
    for (int k = 0; k < kChunk; k++) this->value[k] = x.value[k];
  }
};

template <class V, class... C>
DEV void visit_chunk(V& v, int i, C... c) {
#pragma unroll
  for (int k = 0; k < kChunk; k++) v(i + k, c.value[k]...);
  (c.store(), ...);
}
template <class V, class... C>
DEV void visit_slot(V& v, int i, C... c) {
  v(i, c.value...);
  (c.store(), ...);
}

struct Plus {
  template <class T>
  DEV T operator()(T a, T b) const {
    return a + b;
  }
};
struct Greater {
  template <class T>
  DEV T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

template <class T>
DEV T shuffle_xor(T v, int o) {
  return __shfl_xor_sync(0xffffffffu, v, o);
}
template <class T>
DEV Pair<T> shuffle_xor(Pair<T> v, int o) {
  return {shuffle_xor(v.a, o), shuffle_xor(v.b, o)};
}
template <class T, class Op>
DEV T warp_reduce(T v, Op op) {
  for (int o = 16; o; o >>= 1) v = op(v, shuffle_xor(v, o));
  return v;
}

// What all share: loops over the chunks of Self::lane(), then Self::reduce.
template <class Self>
struct CudaTeam {
  DEV const Self& self() const { return static_cast<const Self&>(*this); }
  template <class V, class... S>
  DEV void walk(int n, V v, S... s) const {
#pragma unroll 1
    for (int i = kChunk * self().lane(); i < n; i += kChunk * self().size()) {
      if (i + kChunk <= n)
        visit_chunk(v, i, Chunk<S>(s, i)...);
      else
#pragma unroll 1
        for (int k = i; k < n; k++) visit_slot(v, k, Slot<S>(s, k)...);
    }
  }
  template <class F, class... S>
  DEV void each(int n, F f, S... s) const {
    walk(
        n, [&](int i, auto&... x) { f(i, x...); }, s...);
  }
  template <class F, class... S>
  DEV auto sum(int n, F f, S... s) const {
    decltype(visit(f, 0, s...)) t{};
    walk(
        n, [&](int i, auto&... x) { t = t + f(i, x...); }, s...);
    return self().reduce(t, Plus{}, decltype(t){});
  }
  template <class F, class... S>
  DEV auto sums(int n, F f, S... s) const {
    return sum(n, f, s...);
  }
  template <class F, class... S>
  DEV auto max(int n, F f, S... s) const {  // f only reads: every lane begins with element 0
    auto first = visit(f, 0, s...), m = first;
    walk(
        n, [&](int i, auto&... x) { m = Greater{}(m, f(i, x...)); }, s...);
    return self().reduce(m, Greater{}, first);
  }
  template <class F>
  DEV void one(F f) const {
    if (self().lane() == 0) f();
  }
};

struct Warp : CudaTeam<Warp> {
  DEV int lane() const { return int(threadIdx.x % 32); }
  DEV int size() const { return 32; }
  template <class T, class Op>
  DEV T reduce(T v, Op op, T) const {
    return warp_reduce(v, op);
  }
};

struct Block : CudaTeam<Block> {
  DEV int lane() const { return int(threadIdx.x); }
  DEV int size() const { return int(blockDim.x); }
  template <class T, class Op>
  DEV T reduce(T v, Op op, T zero) const {
    GPU_SHARED(T, part, [32]);
    v = warp_reduce(v, op);
    __syncthreads();  // part may still be read by the reduction before this one
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = threadIdx.x % 32 < blockDim.x / 32 ? part[threadIdx.x % 32] : zero;
    return warp_reduce(v, op);
  }
};

// `count` resident blocks on one row. Partial results go through global memory, twice in turn.
struct Blocks : CudaTeam<Blocks> {
  static constexpr int kMost = 16;
  struct Meeting {  // one for each row; zeros before the launch
    unsigned arrived;
    alignas(16) unsigned char parts[2][kMost][16];
  };
  Meeting* meeting;
  int index, count;
  mutable unsigned met = 0;
  DEV Blocks(Meeting* meeting, int index, int count)
      : meeting(meeting), index(index), count(count) {}
  Blocks(const Blocks&) = delete;  // a copy would count its own meetings
  DEV int lane() const { return index * int(blockDim.x) + int(threadIdx.x); }
  DEV int size() const { return count * int(blockDim.x); }
  template <class T, class Op>
  DEV T reduce(T v, Op op, T zero) const {
    v = Block{}.reduce(v, op, zero);
    unsigned char(*parts)[16] = meeting->parts[met++ % 2];
    if (threadIdx.x == 0) {
      *reinterpret_cast<T*>(parts[index]) = v;
      __threadfence();
      atomicAdd(&meeting->arrived, 1u);
      while (atomicAdd(&meeting->arrived, 0u) < met * unsigned(count)) __nanosleep(32);
      __threadfence();
    }
    __syncthreads();
    v = fetch<T>(parts[0]);
#pragma unroll 1
    for (int b = 1; b < count; b++) v = op(v, fetch<T>(parts[b]));
    return v;
  }
  template <class T>
  DEV static T fetch(const unsigned char* p) {  // past the first-level cache, which is not coherent
    T v;
    unsigned words[sizeof(T) / 4];
    for (size_t i = 0; i < sizeof(T) / 4; i++)
      words[i] = reinterpret_cast<const volatile unsigned*>(p)[i];
    memcpy(&v, words, sizeof v);
    return v;
  }
};

}  // namespace retort
