// Matrix products: matmul with batches and transposed views, the linear layer, and two of them with
// GELU between.
#include "engine/ops.h"
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

// f(T(), Out()) for a product of tensors of type `in` that is stored as `out`: the same, or f32.
template <class F>
void dispatch_product(Dtype in, Dtype out, F f) {
  dispatch(in, [&]<class T>(T t) { in == out ? f(t, t) : f(t, Real<T>()); });
}
template <class T>
T* data_or_null(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

// What linear layers are made of, for contiguous tensors: x W^T + b, and what becomes of it.
struct Gelu {
  bool apply = false;
  Tensor before;  // when defined, keeps what gelu_tanh is applied to
};
Tensor project(const Tensor& x, const Tensor& w, const Tensor& b, Dtype out,
               const Gelu& gelu = {}) {
  Shape shape = x.shape;
  shape.back() = w.dim(0);
  Tensor y(shape, out, x.device());
  Gemm g{.tb = true, .m = x.rows(), .n = w.dim(0), .k = w.dim(1)};
  g.lda = g.ldb = g.k, g.ldc = g.n, g.stable_rows = stable_rows > 0;
  dispatch_product(x.dtype, out, [&]<class T, class Out>(T, Out) {
    gemm<T, Out>(x.device(), g, x.data<T>(), w.data<T>(), y.data<Out>(),
                 {.bias = data_or_null<Out>(b),
                  .gelu = gelu.apply,
                  .before_gelu = data_or_null<Out>(gelu.before)});
  });
  return y;
}
// dx = dy W; with `before_gelu`, the gradient through it too.
Tensor input_gradient(const Tensor& dy, const Tensor& w, const Tensor& before_gelu = {}) {
  Shape shape = dy.shape;
  shape.back() = w.dim(1);
  Tensor dx(shape, w.dtype, w.device());
  Gemm g{.m = dy.rows(), .n = w.dim(1), .k = w.dim(0)};
  g.lda = g.k, g.ldb = g.ldc = g.n;
  dispatch(w.dtype, [&]<class T>(T) {
    gemm<T, T>(w.device(), g, dy.data<T>(), w.data<T>(), dx.data<T>(),
               {.gelu_of = data_or_null<T>(before_gelu)});
  });
  return dx;
}
// dW = dy^T x and db, the columns' sums of dy, where it is wanted: in float32 for bf16.
struct WeightGradient {
  Tensor w, b;
  WeightGradient(const Tensor& dy, const Tensor& x, bool with_bias) {
    Dtype out = real_of(x.dtype);
    w = Tensor({dy.cols(), x.cols()}, out, x.device());
    if (with_bias) b = Tensor({dy.cols()}, out, x.device());
    Gemm g{.ta = true, .m = dy.cols(), .n = x.cols(), .k = x.rows()};
    g.lda = g.m, g.ldb = g.ldc = g.n;
    dispatch(x.dtype, [&]<class T>(T) {
      using Out = Real<T>;
      gemm<T, Out>(x.device(), g, dy.data<T>(), x.data<T>(), w.data<Out>(),
                   {.sums = data_or_null<Out>(b)});
    });
  }
};

void check_linear(const char* name, const Tensor& x, const Tensor& w, const Tensor& b) {
  auto shapes = [&] {
    return text(x.shape) + " by weight " + text(w.shape) +
           (b.defined() ? ", bias " + text(b.shape) : "");
  };
  ENSURE(w.rank() == 2 && x.rank() >= 1 && x.cols() == w.cols(),
         std::string(name) + ": expected (..., I) by weight (O, I): " + shapes());
  ENSURE(!b.defined() || b.shape == Shape{w.dim(0)},
         std::string(name) + ": expected bias (O): " + shapes());
  ENSURE(x.dtype == w.dtype && (!b.defined() || b.dtype == w.dtype),
         std::string(name) + ": types differ: " + name_of(x.dtype) + " " + shapes());
}
// As a product reads it.
Tensor ready(const Tensor& x) { return x.defined() ? contiguous(x.detach()) : x; }

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
bool StableRows::on() { return stable_rows > 0; }

Tensor linear(const Tensor& x_in, const Tensor& weight, const Tensor& bias,
              std::optional<Dtype> out_in) {
  check_linear("linear", x_in, weight, bias);
  Dtype out = out_in.value_or(x_in.dtype);
  ENSURE(out == x_in.dtype || out == real_of(x_in.dtype),
         std::string("linear: no product of ") + name_of(x_in.dtype) + " gives " + name_of(out));
  Tensor x = ready(x_in), w = ready(weight), b = ready(bias);
  if (b.defined()) b = cast(b, out);
  return record("linear", project(x, w, b, out), {x_in, weight, bias},
                [x, w, wants = bool(x_in.node), has_bias = bias.defined()](const Tensor& dy_in) {
                  Tensor dy = cast(contiguous(dy_in), x.dtype);
                  WeightGradient d(dy, x, has_bias);
                  return Grads{wants ? input_gradient(dy, w) : Tensor(), d.w, d.b};
                });
}

Tensor feed_forward(const Tensor& x_in, const Tensor& w0_in, const Tensor& b0, const Tensor& w1_in,
                    const Tensor& b1) {
  check_linear("feed_forward", x_in, w0_in, b0);
  Tensor x = ready(x_in), w0 = ready(w0_in), w1 = ready(w1_in);
  Shape shape = x.shape;
  shape.back() = w0.dim(0);
  Gelu gelu{true, {}};
  if (recorded({x_in, w0_in, b0, w1_in, b1})) gelu.before = Tensor(shape, x.dtype, x.device());
  Tensor h = project(x, w0, ready(b0), x.dtype, gelu);
  check_linear("feed_forward", h, w1, b1);
  return record("feed_forward", project(h, w1, ready(b1), x.dtype), {x_in, w0_in, b0, w1_in, b1},
                [x, w0, w1, before = gelu.before, h, wants = bool(x_in.node), bias0 = b0.defined(),
                 bias1 = b1.defined()](const Tensor& dy_in) {
                  Tensor dy = contiguous(dy_in), dh = input_gradient(dy, w1, before);
                  WeightGradient d0(dh, x, bias0), d1(dy, h, bias1);
                  return Grads{wants ? input_gradient(dh, w0) : Tensor(), d0.w, d0.b, d1.w, d1.b};
                });
}

}  // namespace retort
