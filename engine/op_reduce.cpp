// Reductions over one dimension, or over all. A tensor is seen as (outer, n, inner): n is summed.
#include <algorithm>

#include "engine/map.h"

namespace retort {
namespace {

template <class T>
struct RowSum {
  const T* x;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    R s = team.sum(
        n, [](int, R v) { return v; }, x + size_t(row) * n);
    team.one([&] { y[row] = s; });
  }
};
template <class T>
struct ColumnSum {  // of an (n, inner) matrix
  const T* x;
  int inner;
  HD Real<T> operator()(int r, int c) const { return x[size_t(r) * inner + c]; }
};
// Row = (outer, inner): the maximum over n and the first place where it stands.
template <class T>
struct StridedMax {
  const T* x;
  T* y;
  int* where;
  int n, inner;
  template <class Team>
  HD void operator()(Team team, int row) const {
    const T* a = x + size_t(row / inner) * n * inner + row % inner;
    size_t step = size_t(inner);
    using R = Real<T>;
    R m = team.max(n, [&](int i) { return R(a[size_t(i) * step]); });
    int first = n - team.max(n, [&](int i) { return R(a[size_t(i) * step]) == m ? n - i : 0; });
    team.one([&] { y[row] = m, where[row] = first < n ? first : 0; });
  }
};
template <class T>
struct MaxBackward {
  const T* dy;
  const int* where;
  T* dx;
  int n, inner;
  template <class Team>
  HD void operator()(Team team, int row) const {
    T* d = dx + size_t(row / inner) * n * inner + row % inner;
    T g = dy[row];
    int w = where[row];
    size_t step = size_t(inner);
    team.each(n, [&](int i) { d[size_t(i) * step] = i == w ? g : T(0); });
  }
};

struct Split {
  int outer = 1, n = 1, inner = 1;
  Shape rest;
};
Split split(const char* name, const Tensor& x, int dim) {
  int d = dim < 0 ? dim + x.rank() : dim;
  ENSURE(d >= 0 && d < x.rank(), std::string(name) + ": no dimension " + std::to_string(dim) +
                                     " in shape " + text(x.shape));
  Split s;
  for (int i = 0; i < x.rank(); i++) {
    (i < d ? s.outer : i == d ? s.n : s.inner) *= x.dim(i);
    if (i != d) s.rest.push_back(x.dim(i));
  }
  if (s.rest.empty()) s.rest = {1};
  ENSURE(s.n > 0, std::string(name) + ": dimension " + std::to_string(dim) + " of " +
                      text(x.shape) + " is empty");
  return s;
}

}  // namespace

Tensor sum(const Tensor& x_in, int dim) {
  Split s = split("sum", x_in, dim);
  Tensor x = contiguous(x_in), y(s.rest, x.dtype, x.device());
  dispatch(x.dtype, [&]<class T>(T) {
    if (s.inner == 1) {
      rows(x.device(), s.outer, RowSum<T>{x.data<T>(), y.data<T>(), s.n});
    } else {
      for (int o = 0; o < s.outer; o++)
        columns(x.device(), s.n, s.inner, y.data<T>() + size_t(o) * s.inner,
                ColumnSum<T>{x.data<T>() + size_t(o) * s.n * s.inner, s.inner});
    }
  });
  return record("sum", y, {x}, [shape = x.shape, dim](const Tensor& dy) {
    Shape one = shape;
    one[size_t(dim < 0 ? dim + int(shape.size()) : dim)] = 1;
    return Grads{expand(reshape(dy, one), shape)};
  });
}

Tensor sum(const Tensor& x) { return sum(reshape(x, {-1}), 0); }
Tensor mean(const Tensor& x) { return scale(sum(x), 1.0 / double(std::max<size_t>(1, x.size()))); }
Tensor mean(const Tensor& x, int dim) { return scale(sum(x, dim), 1.0 / split("mean", x, dim).n); }

Tensor max(const Tensor& x_in, int dim) {
  Split s = split("max", x_in, dim);
  Tensor x = contiguous(x_in), y(s.rest, x.dtype, x.device()),
         where(s.rest, Dtype::i32, x.device());
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), s.outer * s.inner,
         StridedMax<T>{x.data<T>(), y.data<T>(), where.data<int>(), s.n, s.inner});
  });
  return record("max", y, {x}, [s, where, shape = x.shape](const Tensor& dy_in) {
    Tensor dy = contiguous(dy_in), dx(shape, dy.dtype, dy.device());
    dispatch(dy.dtype, [&]<class T>(T) {
      rows(dy.device(), s.outer * s.inner,
           MaxBackward<T>{dy.data<T>(), where.data<int>(), dx.data<T>(), s.n, s.inner});
    });
    return Grads{dx};
  });
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape == shape) return x;
  Tensor y = x;
  int lead = x.rank() - int(shape.size());
  ENSURE(lead >= 0, "sum_to: " + text(x.shape) + " to " + text(shape));
  if (lead > 0) {  // all leading dimensions at once
    int outer = 1;
    for (int d = 0; d < lead; d++) outer *= x.dim(d);
    Shape flat(x.shape.begin() + lead, x.shape.end());
    flat.insert(flat.begin(), outer);
    y = sum(reshape(y, flat), 0);
  }
  for (int d = 0; d < int(shape.size()); d++)
    if (shape[size_t(d)] == 1 && y.dim(d) != 1) {
      Shape kept = y.shape;
      kept[size_t(d)] = 1;
      y = reshape(sum(y, d), kept);
    }
  return y.shape == shape ? y : reshape(y, shape);
}

}  // namespace retort
