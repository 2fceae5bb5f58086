// Matrix products: matmul with batches and transposed views, and the linear layer.
#include "engine/map.h"
#include "kernels/gemm.h"

namespace retort {
namespace {

thread_local int stable_rows = 0;

// A matrix operand as gemm wants it: rows or columns contiguous, one stride between batches.
struct Operand {
  Tensor x;
  bool transposed = false;
  int ld = 0;
  size_t batch_stride = 0;
};

bool batch_is_uniform(const Tensor& x) {
  for (int d = x.rank() - 3; d > 0; d--)
    if (x.dim(d - 1) != 1 && x.strides[size_t(d - 1)] != x.strides[size_t(d)] * size_t(x.dim(d)))
      return false;
  return true;
}

Operand operand(const Tensor& x) {
  size_t r = x.strides[x.strides.size() - 2], c = x.strides.back();
  int m = x.dim(-2), n = x.dim(-1);
  Operand o;
  if ((c == 1 || n == 1) && (r >= size_t(n) || m == 1) && batch_is_uniform(x))
    o = {x, false, int(m == 1 ? n : r), 0};
  else if ((r == 1 || m == 1) && (c >= size_t(m) || n == 1) && batch_is_uniform(x))
    o = {x, true, int(n == 1 ? m : c), 0};
  else
    o = {contiguous(x), false, n, 0};
  if (o.x.rank() > 2) o.batch_stride = o.x.strides[o.x.strides.size() - 3];
  return o;
}

// The numbers of matmul, without recording.
Tensor multiply(const Tensor& a_in, const Tensor& b_in) {
  NoGrad quiet;
  Operand a = operand(a_in), b = operand(b_in);
  Shape shape(a_in.shape.begin(), a_in.shape.end() - 1);
  shape.push_back(b_in.dim(-1));
  Tensor y(shape, a_in.dtype, a_in.device());
  Gemm g{a.transposed, b.transposed, a_in.dim(-2), b_in.dim(-1),
         a_in.dim(-1), a.ld,         b.ld,         y.dim(-1)};
  for (int d = 0; d + 2 < a_in.rank(); d++) g.batch *= a_in.dim(d);
  g.stride_a = a.batch_stride, g.stride_b = b.batch_stride;
  g.stride_c = size_t(g.m) * size_t(g.n);
  if (g.k == 0) return Tensor::zeros(shape, y.dtype, y.device());
  dispatch(y.dtype,
           [&]<class T>(T) { gemm<T>(y.device(), g, a.x.data<T>(), b.x.data<T>(), y.data<T>()); });
  return y;
}

template <class T>
struct FillRow {  // the bias waits in y; the product adds to it
  const T* b;
  T* y;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    copy(team, n, b, y + size_t(row) * n);
  }
};

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  auto both = [&] { return text(a.shape) + " x " + text(b.shape); };
  ENSURE(a.rank() >= 2 && b.rank() >= 2, "matmul: expected matrices, got " + both());
  ENSURE(a.dtype == b.dtype,
         std::string("matmul: types differ: ") + name_of(a.dtype) + " x " + name_of(b.dtype));
  ENSURE(a.dim(-1) == b.dim(-2), "matmul: inner sizes differ: " + both());
  if (b.rank() == 2 && a.rank() > 2) {  // all of a's rows at once
    Shape shape(a.shape.begin(), a.shape.end() - 1);
    shape.push_back(b.dim(-1));
    return reshape(matmul(reshape(a, {-1, a.dim(-1)}), b), shape);
  }
  ENSURE(Shape(a.shape.begin(), a.shape.end() - 2) == Shape(b.shape.begin(), b.shape.end() - 2),
         "matmul: batch sizes differ: " + both());
  return record("matmul", multiply(a, b), {a, b},
                [a = a.detach(), b = b.detach()](const Tensor& dy) {
                  return Grads{multiply(dy, transpose(b)), multiply(transpose(a), dy)};
                });
}

StableRows::StableRows() { stable_rows++; }
StableRows::~StableRows() { stable_rows--; }

Tensor linear(const Tensor& x_in, const Tensor& weight, const Tensor& bias) {
  auto shapes = [&] {
    return text(x_in.shape) + " by weight " + text(weight.shape) +
           (bias.defined() ? ", bias " + text(bias.shape) : "");
  };
  ENSURE(weight.rank() == 2 && x_in.rank() >= 1 && x_in.cols() == weight.cols(),
         "linear: expected (..., I) by weight (O, I): " + shapes());
  ENSURE(!bias.defined() || bias.shape == Shape{weight.dim(0)},
         "linear: expected bias (O): " + shapes());
  ENSURE(x_in.dtype == weight.dtype && (!bias.defined() || bias.dtype == weight.dtype),
         std::string("linear: types differ: ") + name_of(x_in.dtype) + " " + shapes());
  Tensor x = contiguous(x_in);
  Shape shape = x.shape;
  shape.back() = weight.dim(0);
  int n = x.rows(), in = x.cols(), out = weight.dim(0);
  Tensor y(shape, x.dtype, x.device());
  dispatch(x.dtype, [&]<class T>(T) {
    if (bias.defined())
      rows(x.device(), n, FillRow<T>{contiguous(bias).data<T>(), y.data<T>(), out});
    gemm<T>(x.device(),
            {.tb = true,
             .m = n,
             .n = out,
             .k = in,
             .lda = in,
             .ldb = in,
             .ldc = out,
             .beta = bias.defined() ? 1.f : 0.f,
             .stable_rows = stable_rows > 0},
            x.data<T>(), contiguous(weight).data<T>(), y.data<T>());
  });
  return record(
      "linear", y, {x, weight, bias},
      [x = x.detach(), w = contiguous(weight.detach()), wants = bool(x.node),
       has_bias = bias.defined()](const Tensor& dy_in) {
        Tensor dy = contiguous(dy_in), dx, dw = w.like(), db;
        int n = x.rows(), in = x.cols(), out = w.dim(0);
        if (wants) dx = x.like();
        dispatch(x.dtype, [&]<class T>(T) {
          if (wants)
            gemm<T>(x.device(), {.m = n, .n = in, .k = out, .lda = out, .ldb = in, .ldc = in},
                    dy.data<T>(), w.data<T>(), dx.data<T>());
          gemm<T>(x.device(),
                  {.ta = true, .m = out, .n = in, .k = n, .lda = out, .ldb = in, .ldc = in},
                  dy.data<T>(), x.data<T>(), dw.data<T>());
        });
        if (has_bias) db = sum_to(dy, {out});
        return Grads{dx, dw, db};
      });
}

}  // namespace retort
