// Scaled dot-product attention on tensors; the kernel is kernels/attention.h.
#include <algorithm>

#include "engine/ops.h"
#include "kernels/attention.h"

namespace retort {
namespace {

// x with a contiguous last dimension, other strides as they are.
Tensor with_contiguous_heads(const Tensor& x) {
  return x.strides.back() == 1 || x.cols() == 1 ? x : contiguous(x);
}
Heads heads_of(const Tensor& x) { return {x.strides[0], x.strides[1], x.strides[2]}; }

template <class T>
AttentionArgs<T> arguments(const Tensor& q, const Tensor& k, const Tensor& v, const Attention& o) {
  AttentionArgs<T> a{q.dim(0),    q.dim(1),    k.dim(1),         q.dim(2),         k.dim(2),
                     q.dim(3),    q.data<T>(), k.data<T>(),      v.data<T>(),      heads_of(q),
                     heads_of(k), heads_of(v), nullptr,          nullptr,          0,
                     o.causal,    o.step,      Real<T>(o.scale), float(o.dropout), o.key};
  if (o.lengths.defined()) {
    a.lengths = o.lengths.data<int>();
    std::vector<int> n = o.lengths.ints();
    a.no_empty = std::all_of(n.begin(), n.end(), [](int i) { return i > 0; });
  }
  a.stable = StableRows::on();
  if (o.bias.defined()) a.bias = o.bias.data<T>();
  if (o.bias.defined() && o.bias.rank() == 3) a.bias_batch = o.bias.strides[0];
  return a;
}

// The numbers, and what gives the gradients in q, k, v and bias.
struct Attended {
  Tensor y;
  Backward back;
};
Attended attend(const Tensor& q_in, const Tensor& k_in, const Tensor& v_in,
                const Attention& options) {
  auto shapes = [&] {
    return text(q_in.shape) + ", " + text(k_in.shape) + ", " + text(v_in.shape);
  };
  ENSURE(q_in.rank() == 4 && k_in.rank() == 4 && k_in.shape == v_in.shape &&
             q_in.dim(0) == k_in.dim(0) && q_in.dim(3) == k_in.dim(3) && k_in.dim(2) > 0 &&
             q_in.dim(2) % k_in.dim(2) == 0,
         "attention: expected q (B, T, H, D), k and v (B, S, K, D), H a multiple of K; got " +
             shapes());
  ENSURE(q_in.dtype == k_in.dtype && q_in.dtype == v_in.dtype,
         "attention: types differ: " + shapes());
  int B = q_in.dim(0), T_ = q_in.dim(1), S = k_in.dim(1), H = q_in.dim(2);
  ENSURE(!options.lengths.defined() ||
             (options.lengths.shape == Shape{B} && options.lengths.dtype == Dtype::i32),
         "attention: expected i32 lengths (" + std::to_string(B) + "), got " +
             text(options.lengths.shape));
  ENSURE(!options.bias.defined() || ((options.bias.shape == Shape{H, T_ + S - 1} ||
                                      options.bias.shape == Shape{B, H, T_ + S - 1}) &&
                                     options.bias.dtype == q_in.dtype),
         "attention: expected bias " + text({H, T_ + S - 1}) + " or " + text({B, H, T_ + S - 1}) +
             " of type " + name_of(q_in.dtype) + ", got " + text(options.bias.shape) + " " +
             name_of(options.bias.dtype));
  ENSURE(options.dropout >= 0 && options.dropout < 1, "attention: dropout must be in [0, 1)");
  ENSURE(T_ < 65536 && S < 65536, "attention: at most 65,535 queries and keys, got " + shapes());
  Tensor q = with_contiguous_heads(q_in), k = with_contiguous_heads(k_in),
         v = with_contiguous_heads(v_in);
  Attention o = options;
  if (o.scale == 0) o.scale = 1 / std::sqrt(double(q.dim(3)));
  if (o.lengths.defined()) o.lengths = contiguous(o.lengths);
  if (o.bias.defined()) o.bias = contiguous(o.bias.detach());
  Tensor y(q.shape, q.dtype, q.device()), log_sum({B, H, T_}, real_of(q.dtype), q.device());
  dispatch(q.dtype, [&]<class T>(T) {
    attention_forward(q.device(), arguments<T>(q, k, v, o), y.data<T>(), log_sum.data<Real<T>>());
  });
  return {y, [q = q.detach(), k = k.detach(), v = v.detach(), o, y, log_sum](const Tensor& dy_in) {
            Tensor dy = contiguous(dy_in), dq = q.like(), dk = k.like(), dv = v.like(), dbias;
            if (o.bias.defined()) dbias = Tensor(o.bias.shape, real_of(q.dtype), q.device());
            dispatch(q.dtype, [&]<class T>(T) {
              AttentionArgs<T> a = arguments<T>(q, k, v, o);
              size_t numbers = attention_scratch(q.device(), a, dbias.defined());
              Storage scratch(q.device(), numbers * sizeof(Real<T>));
              attention_backward(q.device(), a, y.data<T>(), log_sum.data<Real<T>>(), dy.data<T>(),
                                 dq.data<T>(), dk.data<T>(), dv.data<T>(),
                                 dbias.defined() ? dbias.data<Real<T>>() : nullptr,
                                 static_cast<Real<T>*>(scratch.data));
            });
            return Grads{dq, dk, dv, dbias};
          }};
}

// Heads of keys, then as many of values.
Tensor keys(const Tensor& kv) { return slice(kv, 2, 0, kv.dim(2) / 2); }
Tensor values(const Tensor& kv) { return slice(kv, 2, kv.dim(2) / 2, kv.dim(2) / 2); }

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Attention& options) {
  auto [y, back] = attend(q, k, v, options);
  return record("attention", y, {q, k, v, options.bias}, back);
}

Tensor attention(const Tensor& q, const Tensor& kv, const Attention& options) {
  ENSURE(kv.rank() == 4 && kv.dim(2) % 2 == 0,
         "attention: expected keys and values (B, S, 2 K, D), got " + text(kv.shape));
  Tensor together = kv.detach();
  auto [y, back] = attend(q, keys(together), values(together), options);
  return record("attention", y, {q, kv, options.bias}, [back = back](const Tensor& dy) {
    Grads g = back(dy);
    return Grads{g[0], concat({g[1], g[2]}, 2), g[3]};
  });
}

Tensor attention(const Tensor& qkv, int heads, const Attention& options) {
  ENSURE(qkv.rank() == 4 && heads > 0 && heads < qkv.dim(2) && (qkv.dim(2) - heads) % 2 == 0,
         "attention: expected queries, keys and values (B, T, H + 2 K, D) with H = " +
             std::to_string(heads) + ", got " + text(qkv.shape));
  Tensor all = qkv.detach(), kv = slice(all, 2, heads, qkv.dim(2) - heads);
  auto [y, back] = attend(slice(all, 2, 0, heads), keys(kv), values(kv), options);
  return record("attention", y, {qkv, {}, options.bias}, [back = back](const Tensor& dy) {
    Grads g = back(dy);
    return Grads{concat({g[0], g[1], g[2]}, 2), {}, g[3]};
  });
}

}  // namespace retort
