// CUDA's device functions on the host: barriers, shuffles, votes, atomics, fast mathematics, bits.
// Part of cuda_runtime.h.
#pragma once
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "simt.h"

// Barriers, votes and shuffles. The last argument is the call's own place in the source.
#define SIMT_SITE const simt::Site& site = simt::Site::current()

inline void __syncthreads(SIMT_SITE) { simt::block_barrier(simt::Vote::none, false, site); }
inline int __syncthreads_or(int p, SIMT_SITE) {
  return simt::block_barrier(simt::Vote::any, p, site);
}
inline int __syncthreads_and(int p, SIMT_SITE) {
  return simt::block_barrier(simt::Vote::all, p, site);
}
inline int __syncthreads_count(int p, SIMT_SITE) {
  return simt::block_barrier(simt::Vote::count, p, site);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, SIMT_SITE) {
  simt::warp_meet(simt::WarpOp::sync, mask, 0, 0, 32, site);
}
inline unsigned __ballot_sync(unsigned mask, int p, SIMT_SITE) {
  return unsigned(simt::warp_meet(simt::WarpOp::ballot, mask, p != 0, 0, 32, site));
}
inline int __any_sync(unsigned mask, int p, SIMT_SITE) {
  return int(simt::warp_meet(simt::WarpOp::any, mask, p != 0, 0, 32, site));
}
inline int __all_sync(unsigned mask, int p, SIMT_SITE) {
  return int(simt::warp_meet(simt::WarpOp::all, mask, p != 0, 0, 32, site));
}

template <class T>
T __shfl_sync(unsigned mask, T v, int lane, int width = 32, SIMT_SITE) {
  return simt::from_bits<T>(
      simt::warp_meet(simt::WarpOp::index, mask, simt::to_bits(v), lane, width, site));
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMT_SITE) {
  return simt::from_bits<T>(
      simt::warp_meet(simt::WarpOp::up, mask, simt::to_bits(v), int(delta), width, site));
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMT_SITE) {
  return simt::from_bits<T>(
      simt::warp_meet(simt::WarpOp::down, mask, simt::to_bits(v), int(delta), width, site));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int lanes, int width = 32, SIMT_SITE) {
  return simt::from_bits<T>(
      simt::warp_meet(simt::WarpOp::exclusive_or, mask, simt::to_bits(v), lanes, width, site));
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned v, SIMT_SITE) {
  return unsigned(simt::warp_meet(simt::WarpOp::add, mask, v, 0, 32, site));
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned v, SIMT_SITE) {
  return unsigned(simt::warp_meet(simt::WarpOp::min, mask, v, 0, 32, site));
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned v, SIMT_SITE) {
  return unsigned(simt::warp_meet(simt::WarpOp::max, mask, v, 0, 32, site));
}
template <class T>
unsigned __match_any_sync(unsigned mask, T v, SIMT_SITE) {
  return unsigned(simt::warp_meet(simt::WarpOp::match, mask, simt::to_bits(v), 0, 32, site));
}

inline void __nanosleep(unsigned, SIMT_SITE) { simt::nap(site); }
inline void __threadfence() { simt::fence(); }
inline void __threadfence_block() { simt::fence(); }
inline void __threadfence_system() { simt::fence(); }
[[noreturn]] inline void __trap(SIMT_SITE) { simt::trap(site); }
#undef SIMT_SITE

// Atomics: relaxed, as on the device.
namespace simt {
template <class T, class F>
T atomic_update(T* address, F next) {
  using Bits = std::conditional_t<sizeof(T) == 8, uint64_t,
                                  std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;
  static_assert(sizeof(T) == sizeof(Bits));
  in_order();
  auto* word = reinterpret_cast<Bits*>(address);
  Bits seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    T old = from_bits<T>(seen);
    if (__atomic_compare_exchange_n(word, &seen, Bits(to_bits(T(next(old)))), true,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return old;
  }
}
}  // namespace simt

template <class T>
T atomicAdd(T* p, std::type_identity_t<T> v) {
  return simt::atomic_update(p, [=](T old) { return old + v; });
}
template <class T>
T atomicSub(T* p, std::type_identity_t<T> v) {
  return simt::atomic_update(p, [=](T old) { return old - v; });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> v) {
  return simt::atomic_update(p, [=](T old) { return old < v ? v : old; });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> v) {
  return simt::atomic_update(p, [=](T old) { return v < old ? v : old; });
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> v) {
  return simt::atomic_update(p, [=](T old) { return old & v; });
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> v) {
  return simt::atomic_update(p, [=](T old) { return old | v; });
}
template <class T>
T atomicXor(T* p, std::type_identity_t<T> v) {
  return simt::atomic_update(p, [=](T old) { return old ^ v; });
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> v) {
  return simt::atomic_update(p, [=](T) { return v; });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return simt::atomic_update(p, [=](T old) { return old == expected ? v : old; });
}
inline unsigned atomicInc(unsigned* p, unsigned limit) {
  return simt::atomic_update(p, [=](unsigned old) { return old >= limit ? 0 : old + 1; });
}
inline unsigned atomicDec(unsigned* p, unsigned limit) {
  return simt::atomic_update(
      p, [=](unsigned old) { return old == 0 || old > limit ? limit : old - 1; });
}

// Loads and stores with a cache hint.
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
void __stcg(T* p, T v) {
  *p = v;
}
template <class T>
void __stcs(T* p, T v) {
  *p = v;
}

// Mathematics. glibc declares some of these names for itself, hence macros.
#define __expf(x) ::expf(x)
#define __exp10f(x) ::exp10f(x)
#define __logf(x) ::logf(x)
#define __log2f(x) ::log2f(x)
#define __powf(x, y) ::powf(x, y)
#define __sinf(x) ::sinf(x)
#define __cosf(x) ::cosf(x)
#define __sincosf(x, s, c) ::sincosf(x, s, c)
using std::max;
using std::min;
inline float rsqrtf(float x) { return 1 / ::sqrtf(x); }
inline double rsqrt(double x) { return 1 / ::sqrt(x); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return ::fmaf(a, b, c); }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return ::sqrtf(x); }
inline float __frsqrt_rn(float x) { return 1 / ::sqrtf(x); }
inline int __float2int_rn(float x) { return int(::lrintf(x)); }
inline int __float2int_rd(float x) { return int(::floorf(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }

// Bits.
inline unsigned __float_as_uint(float x) { return simt::from_bits<unsigned>(simt::to_bits(x)); }
inline int __float_as_int(float x) { return simt::from_bits<int>(simt::to_bits(x)); }
inline float __uint_as_float(unsigned x) { return simt::from_bits<float>(simt::to_bits(x)); }
inline float __int_as_float(int x) { return simt::from_bits<float>(simt::to_bits(x)); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline unsigned __brev(unsigned x) {
  unsigned r = 0;
  for (int i = 0; i < 32; i++) r |= (x >> i & 1) << (31 - i);
  return r;
}
