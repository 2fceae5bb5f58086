// Views (reshape, transpose, slice, expand: no copy) and what copies them: contiguous, concat.
#include <algorithm>

#include "engine/map.h"

namespace retort {
namespace {

constexpr int kMaxRank = 6;

// Row r of y is the innermost dimension of x at the r-th outer position.
template <class T>
struct StridedCopy {
  const T* x;
  T* y;
  int n;
  size_t step;  // between elements of a row of x
  int outer;    // dimensions before the last
  int extent[kMaxRank];
  size_t stride[kMaxRank];
  template <class Team>
  HD void operator()(Team team, int row) const {
    size_t o = 0;
    int r = row;
    for (int d = outer - 1; d >= 0; d--) {
      o += size_t(r % extent[d]) * stride[d];
      r /= extent[d];
    }
    const T* a = x + o;
    T* b = y + size_t(row) * n;
    size_t s = step;
    if (s == 1)
      copy(team, n, a, b);
    else
      team.each(
          n, [&](int i, Real<T>& v) { v = a[size_t(i) * s]; }, out(b));
  }
};

template <class T>
void copy_strided(const Tensor& x, T* y) {
  ENSURE(x.rank() <= kMaxRank + 1, "contiguous: at most 7 dimensions, got " + text(x.shape));
  StridedCopy<T> k{
      x.data<T>(), y, x.cols(), x.rank() ? x.strides.back() : 1, std::max(0, x.rank() - 1), {}, {}};
  for (int d = 0; d < k.outer; d++)
    k.extent[d] = x.shape[size_t(d)], k.stride[d] = x.strides[size_t(d)];
  if (x.size()) rows(x.device(), x.rows(), k);
}

int checked_dim(const char* name, const Tensor& x, int dim) {
  int d = dim < 0 ? dim + x.rank() : dim;
  ENSURE(d >= 0 && d < x.rank(), std::string(name) + ": no dimension " + std::to_string(dim) +
                                     " in shape " + text(x.shape));
  return d;
}

// dy placed at [start, start + length) of dimension `dim` of zeros of `shape`.
Tensor pad(const Tensor& dy, const Shape& shape, int dim, int start) {
  Grads parts;
  Shape before = shape, after = shape;
  before[size_t(dim)] = start;
  after[size_t(dim)] = shape[size_t(dim)] - start - dy.shape[size_t(dim)];
  if (before[size_t(dim)]) parts.push_back(Tensor::zeros(before, dy.dtype, dy.device()));
  parts.push_back(dy);
  if (after[size_t(dim)]) parts.push_back(Tensor::zeros(after, dy.dtype, dy.device()));
  return concat(parts, dim);
}

}  // namespace

Tensor contiguous(const Tensor& x) {
  if (x.is_contiguous()) return x;
  if (!x.storage->host_ints.empty()) return Tensor::from(x.ints(), x.shape, x.device());
  Tensor y = x.like();
  if (x.dtype == Dtype::i32)
    copy_strided<int>(x, y.data<int>());
  else
    dispatch(x.dtype, [&]<class T>(T) { copy_strided<T>(x, y.data<T>()); });
  return record("contiguous", y, {x}, [](const Tensor& dy) { return Grads{dy}; });
}

Tensor reshape(const Tensor& x_in, Shape shape) {
  size_t known = 1;
  int free = -1;
  for (size_t i = 0; i < shape.size(); i++) {
    if (shape[i] == -1 && free < 0) {
      free = int(i);
    } else {
      ENSURE(shape[i] >= 0, "reshape: " + text(x_in.shape) + " has no shape " + text(shape));
      known *= size_t(shape[i]);
    }
  }
  Shape wanted = shape;
  if (free >= 0) shape[size_t(free)] = known ? int(x_in.size() / known) : 0;
  Tensor x = contiguous(x_in), y = x;
  y.shape = shape;
  ENSURE(y.size() == x.size(), "reshape: " + text(x.shape) + " has no shape " + text(wanted));
  y.strides.assign(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) y.strides[i - 1] = y.strides[i] * size_t(shape[i]);
  return record("reshape", y, {x},
                [s = x.shape](const Tensor& dy) { return Grads{reshape(dy, s)}; });
}

Tensor transpose(const Tensor& x, int a, int b) {
  a = checked_dim("transpose", x, a), b = checked_dim("transpose", x, b);
  Tensor y = x;
  std::swap(y.shape[size_t(a)], y.shape[size_t(b)]);
  std::swap(y.strides[size_t(a)], y.strides[size_t(b)]);
  return record("transpose", y, {x},
                [a, b](const Tensor& dy) { return Grads{transpose(dy, a, b)}; });
}

Tensor slice(const Tensor& x, int dim, int start, int length) {
  dim = checked_dim("slice", x, dim);
  ENSURE(start >= 0 && length >= 0 && length <= x.dim(dim) - start,
         "slice: " + std::to_string(length) + " from " + std::to_string(start) +
             " is outside dimension " + std::to_string(dim) + " of shape " + text(x.shape));
  Tensor y = x;
  y.shape[size_t(dim)] = length;
  y.offset += size_t(start) * x.strides[size_t(dim)];
  return record("slice", y, {x}, [s = x.shape, dim, start](const Tensor& dy) {
    return Grads{pad(dy, s, dim, start)};
  });
}

Tensor expand(const Tensor& x, Shape shape) {
  size_t lead = shape.size() - x.shape.size();
  ENSURE(shape.size() >= x.shape.size(),
         "expand: " + text(x.shape) + " to fewer dimensions " + text(shape));
  Tensor y = x;
  y.strides.assign(shape.size(), 0);
  for (size_t i = 0; i < x.shape.size(); i++) {
    int from = x.shape[i], to = shape[lead + i];
    ENSURE(from == to || from == 1,
           "expand: " + text(x.shape) + " does not broadcast to " + text(shape));
    y.strides[lead + i] = from == to ? x.strides[i] : 0;
  }
  y.shape = std::move(shape);
  return record("expand", y, {x}, [s = x.shape](const Tensor& dy) { return Grads{sum_to(dy, s)}; });
}

namespace {
// One part's rows (dim.. flattened) land at a column offset of the output's rows.
template <class T>
struct Place {
  const T* x;
  T* y;
  int n;
  size_t pitch, start;
  template <class Team>
  HD void operator()(Team team, int row) const {
    copy(team, n, x + size_t(row) * n, y + size_t(row) * pitch + start);
  }
};
template <class T>
void place_all(const std::vector<Tensor>& parts, int dim, const Tensor& y) {
  size_t pitch = 1, start = 0;
  int outer = 1;
  for (int d = 0; d < y.rank(); d++)
    if (d < dim)
      outer *= y.dim(d);
    else
      pitch *= size_t(y.dim(d));
  for (const Tensor& part : parts) {
    Tensor x = contiguous(part);
    size_t n = outer ? x.size() / size_t(outer) : 0;
    if (outer == 1)
      device_copy(y.device(), y.data<T>() + start, y.device(), x.data<T>(), n * sizeof(T));
    else if (n)
      rows(y.device(), outer, Place<T>{x.data<T>(), y.data<T>(), int(n), pitch, start});
    start += n;
  }
}
}  // namespace

Tensor concat(const std::vector<Tensor>& parts, int dim) {
  ENSURE(!parts.empty(), "concat: no tensors");
  dim = checked_dim("concat", parts[0], dim);
  Shape shape = parts[0].shape;
  shape[size_t(dim)] = 0;
  std::vector<int> lengths;
  for (const Tensor& part : parts) {
    Shape s = part.shape;
    if (int(s.size()) > dim) lengths.push_back(s[size_t(dim)]), s[size_t(dim)] = 0;
    Shape others = shape;
    others[size_t(dim)] = 0;
    ENSURE(s == others && part.dtype == parts[0].dtype,
           "concat: shapes differ outside dimension " + std::to_string(dim) + ": " +
               text(parts[0].shape) + " and " + text(part.shape));
    shape[size_t(dim)] += lengths.back();
  }
  Tensor y(shape, parts[0].dtype, parts[0].device());
  if (y.dtype == Dtype::i32)
    place_all<int>(parts, dim, y);
  else
    dispatch(y.dtype, [&]<class T>(T) { place_all<T>(parts, dim, y); });
  return record("concat", y, parts, [lengths, dim](const Tensor& dy) {
    Grads g;
    int start = 0;
    for (int n : lengths) g.push_back(slice(dy, dim, start, n)), start += n;
    return g;
  });
}

}  // namespace retort
