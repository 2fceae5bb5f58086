// Elementwise functions of one tensor, forward and backward side by side.
#include "engine/map.h"
#include "kernels/gelu.h"

namespace retort {
namespace {

struct Same {
  template <class T>
  HD T operator()(T x) const {
    return x;
  }
};
struct Scale {
  double factor, shift;
  template <class T>
  HD T operator()(T x) const {
    return T(factor) * x + T(shift);
  }
};
struct Exp {
  template <class T>
  HD T operator()(T x) const {
    return exp_or_inf(x);
  }
};
struct Log {
  template <class T>
  HD T operator()(T x) const {
    return log_(x);
  }
};
struct Multiply {
  template <class T>
  HD T operator()(T y, T dy) const {
    return y * dy;
  }
};
struct LogBackward {
  template <class T>
  HD T operator()(T x, T dy) const {
    return dy / x;
  }
};
struct Tanh {
  template <class T>
  HD T operator()(T x) const {
    return tanh_(x);
  }
};
struct TanhBackward {  // from y
  template <class T>
  HD T operator()(T y, T dy) const {
    return dy * (1 - y * y);
  }
};
struct Relu {  // NaN stays NaN
  template <class T>
  HD T operator()(T x) const {
    return x < 0 ? T(0) : x;
  }
};
struct ReluBackward {
  template <class T>
  HD T operator()(T x, T dy) const {
    return x > 0 ? dy : T(0);
  }
};
struct Silu {
  template <class T>
  HD T operator()(T x) const {
    return x * sigmoid_(x);
  }
};
struct SiluBackward {
  template <class T>
  HD T operator()(T x, T dy) const {
    T s = sigmoid_(x);
    return dy * s * (1 + x * (1 - s));
  }
};
struct Gelu {
  template <class T>
  HD T operator()(T x) const {
    return T(0.5) * x * (1 + erf_(x * T(0.7071067811865475)));
  }
};
struct GeluBackward {  // Phi(x) + x phi(x)
  template <class T>
  HD T operator()(T x, T dy) const {
    T phi = T(0.3989422804014327) * exp_(T(-0.5) * x * x);
    return dy * (T(0.5) * (1 + erf_(x * T(0.7071067811865475))) + x * phi);
  }
};
// An operator whose backward needs its input, or its output.
template <class F, class B>
Tensor from_input(const char* name, const Tensor& x_in, F f, B b) {
  Tensor x = contiguous(x_in);
  return record(name, map(x, f), {x},
                [x = x.detach(), b](const Tensor& dy) { return Grads{map(x, contiguous(dy), b)}; });
}
template <class F, class B>
Tensor from_output(const char* name, const Tensor& x_in, F f, B b) {
  Tensor x = contiguous(x_in), y = map(x, f);
  return record(name, y, {x},
                [y, b](const Tensor& dy) { return Grads{map(y, contiguous(dy), b)}; });
}

template <class T>
struct MaskedFill {
  const T* x;
  const int* mask;
  T* y;
  Real<T> value;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    size_t o = size_t(row) * n;
    R v = value;
    team.each(
        n, [&](int, R a, int m, R& b) { b = m ? v : a; }, x + o, mask + o, out(y + o));
  }
};
Tensor fill(const Tensor& x_in, const Tensor& mask, double value) {
  Tensor x = contiguous(x_in), y = x.like();
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(),
         MaskedFill<T>{x.data<T>(), mask.data<int>(), y.data<T>(), Real<T>(value), x.cols()});
  });
  return y;
}

}  // namespace

Tensor cast(const Tensor& x_in, Dtype dtype) {
  if (x_in.dtype == dtype) return x_in;
  Tensor x = contiguous(x_in), y(x.shape, dtype, x.device());
  dispatch(x.dtype, [&]<class X>(X) {
    dispatch(dtype, [&]<class Y>(Y) {
      map(x.device(), x.size(), y.data<Y>(), Same{}, static_cast<const X*>(x.data<X>()));
    });
  });
  return record("cast", y, {x},
                [from = x.dtype](const Tensor& dy) { return Grads{cast(dy, from)}; });
}
Tensor scale(const Tensor& x_in, double factor, double shift) {
  Tensor x = contiguous(x_in);
  return record("scale", map(x, Scale{factor, shift}), {x},
                [factor](const Tensor& dy) { return Grads{scale(dy, factor)}; });
}
Tensor exp(const Tensor& x) { return from_output("exp", x, Exp{}, Multiply{}); }
Tensor log(const Tensor& x) { return from_input("log", x, Log{}, LogBackward{}); }
Tensor tanh(const Tensor& x) { return from_output("tanh", x, Tanh{}, TanhBackward{}); }
Tensor relu(const Tensor& x) { return from_input("relu", x, Relu{}, ReluBackward{}); }
Tensor silu(const Tensor& x) { return from_input("silu", x, Silu{}, SiluBackward{}); }
Tensor gelu(const Tensor& x) { return from_input("gelu", x, Gelu{}, GeluBackward{}); }
Tensor gelu_tanh(const Tensor& x) {
  return from_input("gelu_tanh", x, GeluTanh{}, GeluTanhBackward{});
}

Tensor masked_fill(const Tensor& x, const Tensor& mask_in, double value) {
  ENSURE(mask_in.dtype == Dtype::i32,
         std::string("masked_fill: the mask is i32, got ") + name_of(mask_in.dtype));
  bool fits = mask_in.rank() <= x.rank();
  for (int d = 1; fits && d <= mask_in.rank(); d++)
    fits = mask_in.dim(-d) == x.dim(-d) || mask_in.dim(-d) == 1;
  ENSURE(fits,
         "masked_fill: mask " + text(mask_in.shape) + " does not broadcast to " + text(x.shape));
  Tensor mask = contiguous(expand(mask_in, x.shape));
  return record("masked_fill", fill(x, mask, value), {x},
                [mask](const Tensor& dy) { return Grads{fill(dy, mask, 0)}; });
}

}  // namespace retort
