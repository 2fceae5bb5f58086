// Elementwise arithmetic of two tensors with broadcasting. Equal shapes and a trailing-shape
// operand (a bias) are read in place; anything else is broadcast first.
#include "engine/map.h"

namespace retort {
namespace {

struct Add {
  template <class T>
  HD T operator()(T a, T b) const {
    return a + b;
  }
};
struct Sub {
  template <class T>
  HD T operator()(T a, T b) const {
    return a - b;
  }
};
struct Mul {
  template <class T>
  HD T operator()(T a, T b) const {
    return a * b;
  }
};
struct Div {
  template <class T>
  HD T operator()(T a, T b) const {
    return a / b;
  }
};

template <class F, class T>
struct RowBroadcast {  // y[r, i] = f(a[r, i], b[i])
  const T *a, *b;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    size_t o = size_t(row) * n;
    team.each(
        n, [](int, R u, R v, R& w) { w = F{}(u, v); }, a + o, b, out(y + o));
  }
};

Shape broadcast_shape(const char* name, const Shape& a, const Shape& b) {
  Shape y(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < y.size(); i++) {
    int da = i < a.size() ? a[a.size() - 1 - i] : 1, db = i < b.size() ? b[b.size() - 1 - i] : 1;
    ENSURE(da == db || da == 1 || db == 1,
           std::string(name) + ": shapes do not broadcast: " + text(a) + " and " + text(b));
    y[y.size() - 1 - i] = da == 1 ? db : da;
  }
  return y;
}

bool is_suffix(const Shape& small, const Shape& large) {
  return small.size() <= large.size() && std::equal(small.rbegin(), small.rend(), large.rbegin());
}

// The numbers only; recording is the callers' part.
template <class F>
Tensor compute(const char* name, const Tensor& a_in, const Tensor& b_in) {
  ENSURE(a_in.dtype == b_in.dtype, std::string(name) + ": types differ: " + name_of(a_in.dtype) +
                                       " " + text(a_in.shape) + " and " + name_of(b_in.dtype) +
                                       " " + text(b_in.shape));
  NoGrad quiet;
  Shape shape = broadcast_shape(name, a_in.shape, b_in.shape);
  if (a_in.shape == shape && b_in.shape == shape)
    return map(contiguous(a_in), contiguous(b_in), F{});
  if (a_in.shape == shape && is_suffix(b_in.shape, shape) && b_in.size() > 0) {
    Tensor a = contiguous(a_in), b = contiguous(b_in), y = a.like();
    int n = int(b.size());
    dispatch(a.dtype, [&]<class T>(T) {
      rows(a.device(), int(a.size() / b.size()),
           RowBroadcast<F, T>{a.data<T>(), b.data<T>(), y.data<T>(), n});
    });
    return y;
  }
  return map(contiguous(expand(a_in, shape)), contiguous(expand(b_in, shape)), F{});
}

template <class T>
struct ScaleRows {  // x[row] *= factor[row]
  const T* factor;
  T* x;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    T c = factor[row];
    team.each(
        n, [&](int, T& v) { v *= c; }, inout(x + size_t(row) * n));
  }
};

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return record("add", compute<Add>("add", a, b), {a, b},
                [sa = a.shape, sb = b.shape](const Tensor& dy) {
                  return Grads{sum_to(dy, sa), sum_to(dy, sb)};
                });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  return record("sub", compute<Sub>("sub", a, b), {a, b},
                [sa = a.shape, sb = b.shape](const Tensor& dy) {
                  return Grads{sum_to(dy, sa), scale(sum_to(dy, sb), -1)};
                });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  return record("mul", compute<Mul>("mul", a, b), {a, b},
                [a = a.detach(), b = b.detach()](const Tensor& dy) {
                  return Grads{sum_to(mul(dy, b), a.shape), sum_to(mul(dy, a), b.shape)};
                });
}

Tensor div(const Tensor& a, const Tensor& b) {
  Tensor y = compute<Div>("div", a, b);
  return record("div", y, {a, b}, [sa = a.shape, b = b.detach(), y](const Tensor& dy) {
    Tensor da = div(dy, b);
    return Grads{sum_to(da, sa), scale(sum_to(mul(da, y), b.shape), -1)};
  });
}

void add_in_place(const Tensor& x, const Tensor& y_in) {
  ENSURE(x.shape == y_in.shape && x.is_contiguous(),
         "add_in_place: expected contiguous equal shapes: " + text(x.shape) + " and " +
             text(y_in.shape));
  NoGrad quiet;
  Tensor y = contiguous(y_in);
  dispatch(x.dtype, [&]<class T>(T) {
    map(x.device(), x.size(), x.data<T>(), Add{}, static_cast<const T*>(x.data<T>()),
        static_cast<const T*>(y.data<T>()));
  });
}

void scale_rows_in_place(const Tensor& x, const Tensor& factor) {
  ENSURE(x.is_contiguous() && factor.is_contiguous() && factor.size() == size_t(x.rows()) &&
             x.dtype == factor.dtype,
         "scale_rows_in_place: expected contiguous x (N, V) and a factor (N) of its type, got " +
             text(x.shape) + " and " + text(factor.shape));
  dispatch_real(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(), ScaleRows<T>{factor.data<T>(), x.data<T>(), x.cols()});
  });
}

}  // namespace retort
