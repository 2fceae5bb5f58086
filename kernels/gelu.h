// GELU in its tanh form, x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): an operator by itself, and
// an epilogue of products (cuBLASLt's GELU is this one).
#pragma once
#include "kernels/math.h"

namespace retort {

struct GeluTanh {
  template <class T>
  HD T operator()(T x) const {
    T u = T(0.7978845608028654) * (x + T(0.044715) * x * x * x);
    return T(0.5) * x * (1 + tanh_(u));
  }
};
/// dx of an x and its dy.
struct GeluTanhBackward {
  template <class T>
  HD T operator()(T x, T dy) const {
    T u = T(0.7978845608028654) * (x + T(0.044715) * x * x * x);
    T du = T(0.7978845608028654) * (1 + T(0.134145) * x * x), t = tanh_(u);
    return dy * T(0.5) * (1 + t + x * (1 - t * t) * du);
  }
};

}  // namespace retort
