// Elementwise kernels on tensors of one shape: map(x, F{}) and map(x, y, F{}). Not recorded.
// Included by operator files only.
#pragma once
#include "engine/ops.h"
#include "kernels/launch.h"

namespace retort {

/// f(x[i]) of a contiguous x.
template <class F>
Tensor map(const Tensor& x, F f) {
  Tensor y = x.like();
  dispatch(x.dtype, [&]<class T>(T) {
    map(x.device(), x.size(), y.data<T>(), f, static_cast<const T*>(x.data<T>()));
  });
  return y;
}
/// f(x[i], z[i]) of contiguous x and z.
template <class F>
Tensor map(const Tensor& x, const Tensor& z, F f) {
  Tensor y = x.like();
  dispatch(x.dtype, [&]<class T>(T) {
    map(x.device(), x.size(), y.data<T>(), f, static_cast<const T*>(x.data<T>()),
        static_cast<const T*>(z.data<T>()));
  });
  return y;
}

}  // namespace retort
