// A Team works on one row. Solo: one CPU thread, vectorised loops. Warp and Block: CUDA threads.
// All offer loops of n over a lambda: each(n, f), sum(n, f), sums(n, f) -> Pair, max(n, f), and
// one(f). Element i is always visited by the same thread, so a row may store y[i] in one loop and
// read it in the next.
#pragma once
#include <cmath>
#include <cstddef>

#if defined(__CUDACC__)
#define HD __host__ __device__ __forceinline__
#define DEV __device__ __forceinline__
#define GPU_SHARED(T, name, dims) __shared__ T name dims
#define INLINE  // a lambda in a row: nvcc inlines it anyway
#else
#define INLINE \
  __attribute__((always_inline))  // a lambda that must not stay a call, or its loop stays scalar
#define HD inline __attribute__((always_inline))
#endif

namespace retort {

template <class T>
struct Pair {
  T a, b;
  HD Pair operator+(const Pair& o) const { return {a + o.a, b + o.b}; }
};

struct Solo {
  template <class F>
  HD void each(int n, F f) const {
#pragma omp simd
    for (int i = 0; i < n; i++) f(i);
  }
  template <class F>
  HD auto sum(int n, F f) const {
    decltype(f(0)) s = 0;
#pragma omp simd reduction(+ : s)
    for (int i = 0; i < n; i++) s += f(i);
    return s;
  }
  template <class F>
  HD auto sums(int n, F f) const {
    using T = decltype(f(0).a);
    T a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
    for (int i = 0; i < n; i++) {
      Pair<T> v = f(i);
      a += v.a, b += v.b;
    }
    return Pair<T>{a, b};
  }
  template <class F>
  HD auto max(int n, F f) const {
    auto m = f(0);
#pragma omp simd reduction(max : m)
    for (int i = 0; i < n; i++) {
      auto x = f(i);
      m = x > m ? x : m;
    }
    return m;
  }
  template <class F>
  HD void one(F f) const {
    f();
  }
};

#ifdef __CUDACC__
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

// What Warp and Block share: strided loops over Self::lane(), Self::size(), then Self::reduce.
template <class Self>
struct CudaTeam {
  DEV const Self& self() const { return static_cast<const Self&>(*this); }
  template <class F>
  DEV void each(int n, F f) const {
    for (int i = self().lane(); i < n; i += self().size()) f(i);
  }
  template <class F>
  DEV auto sum(int n, F f) const {
    decltype(f(0)) s{};
    for (int i = self().lane(); i < n; i += self().size()) s = s + f(i);
    return self().reduce(s, Plus{}, decltype(s){});
  }
  template <class F>
  DEV auto sums(int n, F f) const {
    return sum(n, f);
  }
  template <class F>
  DEV auto max(int n, F f) const {
    auto first = f(0), m = first;
    for (int i = self().lane(); i < n; i += self().size()) m = Greater{}(m, f(i));
    return self().reduce(m, Greater{}, first);
  }
  template <class F>
  DEV void one(F f) const {
    if (self().lane() == 0) f();
  }
};

struct Warp : CudaTeam<Warp> {
  DEV int lane() const { return threadIdx.x % 32; }
  DEV int size() const { return 32; }
  template <class T, class Op>
  DEV T reduce(T v, Op op, T) const {
    return warp_reduce(v, op);
  }
};

struct Block : CudaTeam<Block> {
  DEV int lane() const { return threadIdx.x; }
  DEV int size() const { return blockDim.x; }
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
#endif

}  // namespace retort
