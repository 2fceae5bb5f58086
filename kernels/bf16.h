// bfloat16: a float32 without its lower 16 bits. A storage type: kernels load it as float, compute
// in float and round to nearest even when they store. Real<T> is the type a kernel computes in.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda.h"

namespace retort {

/// The bits of x as another type of the same size (std::bit_cast is no device function).
template <class To, class From>
HD To bits(From x) {
  To y;
  memcpy(&y, &x, sizeof y);
  return y;
}

struct bf16 {
  uint16_t raw;
  bf16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN.
  HD bf16(float x) : raw(round(x)) {}
  HD operator float() const { return bits<float>(uint32_t(raw) << 16); }
  static HD uint16_t round(float x) {
    uint32_t u = bits<uint32_t>(x);
    uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, nan = (u >> 16) | 0x40u;
    return uint16_t((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
  }
};

/// Four neighbours as one element of a stream (kernels/team.h).
template <class T>
struct Four {
  T at[4];
};

template <class T>
struct RealOf {
  using type = T;
};
template <>
struct RealOf<bf16> {
  using type = float;
};
template <class T>
struct RealOf<Four<T>> {
  using type = Four<typename RealOf<T>::type>;
};
template <class T>
using Real = typename RealOf<std::remove_const_t<T>>::type;

/// x as a number to compute with.
template <class T>
HD Real<T> real(const T& x) {
  return x;
}
template <class T>
HD Four<Real<T>> real(const Four<T>& x) {
  return {{x.at[0], x.at[1], x.at[2], x.at[3]}};
}

/// y = x. Of a bf16 only its bits are written: where a loop makes objects of a class, g++ leaves it
/// scalar.
template <class T>
HD void put(T& y, Real<T> x) {
  if constexpr (std::is_same_v<T, bf16>)
    y.raw = bf16::round(x);
  else
    y = T(x);
}
template <class T>
HD void put(Four<T>& y, const Four<Real<T>>& x) {
  for (int k = 0; k < 4; k++) put(y.at[k], x.at[k]);
}

}  // namespace retort
