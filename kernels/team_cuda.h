// The teams of CUDA threads: Warp (32 lanes), Block, and Blocks (several blocks on one long row).
// Chunk i of C elements belongs to lane i % size; sums run in a fixed order: lane by lane, then
// by a tree over the lanes.
#pragma once
#include "kernels/team.h"

namespace retort {

template <class T, int C>
struct alignas(sizeof(T) * C < 16 ? sizeof(T) * C : 16) Several {
  T at[C];
};

// Accesses of 16 bytes where p is aligned, C of one element where it is not. g++, which compiles
// this for the tests, would merge the two and trust the alignment of the first.
template <class T, int C>
DEV bool aligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % alignof(Several<T, C>) == 0;
}
template <int C, class T>
DEV Several<T, C> load(const T* p) {
  Several<T, C> x;
#ifdef __CUDACC__
  if (aligned<T, C>(p)) return *reinterpret_cast<const Several<T, C>*>(p);
#endif
  for (int k = 0; k < C; k++) x.at[k] = p[k];
  return x;
}
template <int C, class T>
DEV void store(T* p, const Several<T, C>& x) {
#ifdef __CUDACC__
  if (aligned<T, C>(p)) {
    *reinterpret_cast<Several<T, C>*>(p) = x;
    return;
  }
#endif
  for (int k = 0; k < C; k++) p[k] = x.at[k];
}

// C neighbours of a stream while f works on them.
template <class S, int C>
struct Chunk;
template <class T, int C>
struct Chunk<const T*, C> {
  Real<T> value[C];
  DEV Chunk(const T* p, int i) {
    Several<T, C> x = load<C>(p + i);
    for (int k = 0; k < C; k++) value[k] = real(x.at[k]);
  }
  DEV void store() const {}
};
template <class T, int C>
struct Chunk<T*, C> : Chunk<const T*, C> {
  using Chunk<const T*, C>::Chunk;
};
template <class F, class T, int C>
struct Chunk<Kept<F, T>, C> : Chunk<const T*, C> {
  DEV Chunk(const Kept<F, T>& s, int i) : Chunk<const T*, C>(s.p, i) {
    for (int k = 0; k < C; k++) this->value[k] = s.f(this->value[k]);
  }
};
template <class T, int C>
struct Chunk<Out<T>, C> {
  T* p;
  Real<T> value[C];
  DEV Chunk(Out<T> s, int i) : p(s.p + i) {}
  DEV void store() const {
    Several<T, C> x;
    for (int k = 0; k < C; k++) put(x.at[k], value[k]);
    retort::store(p, x);
  }
};
template <class T, int C>
struct Chunk<InOut<T>, C> : Chunk<Out<T>, C> {
  DEV Chunk(InOut<T> s, int i) : Chunk<Out<T>, C>(Out<T>{s.p}, i) {
    Chunk<const T*, C> x(s.p, i);
    for (int k = 0; k < C; k++) this->value[k] = x.value[k];
  }
};

template <int C, class V, class... S>
DEV void visit_chunk(V& v, int i, S... c) {
#pragma unroll
  for (int k = 0; k < C; k++) v(i + k, c.value[k]...);
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

// What all share: loops over the chunks of C elements of Self::lane(), then Self::reduce.
template <class Self, int C>
struct CudaTeam {
  DEV const Self& self() const { return static_cast<const Self&>(*this); }
  template <class V, class... S>
  DEV void walk(int n, V v, S... s) const {
#pragma unroll 1
    for (int i = C * self().lane(); i < n; i += C * self().size()) {
      if (i + C <= n)
        visit_chunk<C>(v, i, Chunk<S, C>(s, i)...);
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
  template <int, class F, class T>
  DEV Kept<F, T> keep(int, F f, const T* x) const {
    return {f, x};
  }
};

template <int C>
struct Warp : CudaTeam<Warp<C>, C> {
  DEV int lane() const { return int(threadIdx.x % 32); }
  DEV int size() const { return 32; }
  template <class T, class Op>
  DEV T reduce(T v, Op op, T) const {
    return warp_reduce(v, op);
  }
};

template <int C>
struct Block : CudaTeam<Block<C>, C> {
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
constexpr int kMostBlocks = 16;
struct Meeting {  // one for each row; zeros before the launch
  unsigned arrived;
  alignas(16) unsigned char parts[2][kMostBlocks][16];
};
template <int C>
struct Blocks : CudaTeam<Blocks<C>, C> {
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
    v = Block<C>{}.reduce(v, op, zero);
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
