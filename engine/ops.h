// The operators. Each computes and records its backward; shapes stand in the alphabet B batch,
// T target length, S source length, C channels, V vocabulary, H heads, D head size. Every operator
// throws std::invalid_argument naming itself and the shapes when they do not fit, takes float32,
// float64 or bfloat16, and accepts strided views.
#pragma once
#include <optional>

#include "engine/tape.h"
#include "kernels/random.h"

namespace retort {

// Elementwise, with broadcasting (numpy's rules). engine/op_binary.cpp
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
/// x += y for equal shapes, outside the tape.
void add_in_place(const Tensor& x, const Tensor& y);
/// Row r of x (N, V) times factor[r], f32 or f64, outside the tape.
void scale_rows_in_place(const Tensor& x, const Tensor& factor);

// Elementwise functions of one tensor. engine/op_unary.cpp
Tensor scale(const Tensor& x, double factor, double shift = 0);  ///< factor x + shift
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor relu(const Tensor& x);
Tensor silu(const Tensor& x);       ///< x sigmoid(x)
Tensor gelu(const Tensor& x);       ///< x Phi(x), Phi the normal distribution function
Tensor gelu_tanh(const Tensor& x);  ///< x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), GPT-2's form
/// The same numbers in another floating type; bf16 rounds to nearest even.
Tensor cast(const Tensor& x, Dtype dtype);
/// x where mask (i32, broadcastable to x) is 0, `value` elsewhere.
Tensor masked_fill(const Tensor& x, const Tensor& mask, double value);
/// Zeroes each element with probability p and divides the others by 1 - p. x is (B, ...): the draw
/// of element i of sequence b depends on (key, b, i) only.
Tensor dropout(const Tensor& x, double p, const RandomKey& key);

// Views and copies. engine/op_view.cpp
Tensor contiguous(const Tensor& x);                             ///< x itself when it already is
Tensor reshape(const Tensor& x, Shape shape);                   ///< one extent may be -1
Tensor transpose(const Tensor& x, int a = -2, int b = -1);      ///< a view
Tensor slice(const Tensor& x, int dim, int start, int length);  ///< a view
Tensor expand(const Tensor& x, Shape shape);                    ///< a broadcast view
Tensor concat(const std::vector<Tensor>& parts, int dim);

// Reductions over one dimension, which disappears. engine/op_reduce.cpp
Tensor sum(const Tensor& x);  ///< of all elements, shape (1)
Tensor mean(const Tensor& x);
Tensor sum(const Tensor& x, int dim);
Tensor mean(const Tensor& x, int dim);
Tensor max(const Tensor& x, int dim);  ///< the gradient goes to the first maximum
/// Sums the broadcast dimensions of `x` away, down to `shape`: the backward of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);

// Rows: over the last dimension. engine/op_softmax.cpp, engine/op_norm.cpp
Tensor softmax(const Tensor& x);
Tensor log_softmax(const Tensor& x);
Tensor logsumexp(const Tensor& x);  ///< (..., V) -> (...)
/// (x - mean) / sqrt(var + eps) gain + bias; gain and bias (C).
Tensor layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, double eps = 1e-5);
/// x / sqrt(mean(x^2) + eps) gain; gain (C).
Tensor rms_norm(const Tensor& x, const Tensor& gain, double eps = 1e-6);

// Products. engine/op_matmul.cpp
/// (..., m, k) x (..., k, n) -> (..., m, n); leading dimensions equal, or b (k, n) for all of a's
/// rows; transposed views cost no copy.
Tensor matmul(const Tensor& a, const Tensor& b);
/// x W^T + b for x (..., I), W (O, I), b (O) or undefined -> (..., O); of bf16 tensors in `out`,
/// f32 or bf16 (as if undefined).
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              std::optional<Dtype> out = {});
/// gelu_tanh(x W0^T + b0) W1^T + b1, as linear() would; one operator, because a library has GELU
/// and its derivative as part of the products.
Tensor feed_forward(const Tensor& x, const Tensor& w0, const Tensor& b0, const Tensor& w1,
                    const Tensor& b1);
/// While one lives, linear(), feed_forward() and attention() give a row of x the same bits whatever
/// other rows there are, and however long they are: decoding must not depend on the batch. Slower
/// by a third where rows are many.
struct StableRows {
  static bool on();  ///< whether one lives in this thread
  StableRows();
  ~StableRows();
  StableRows(const StableRows&) = delete;
};

// Indices, i32. engine/op_index.cpp
/// table (V, C), ids of any shape -> (ids..., C); an id outside [0, V) is an error.
Tensor embedding(const Tensor& table, const Tensor& ids);
/// x (..., V), ids (...) -> x[..., ids[...]] (...).
Tensor gather(const Tensor& x, const Tensor& ids);
/// x (..., V), distinct ids (K) -> x[..., ids] (..., K).
Tensor columns(const Tensor& x, const std::vector<int>& ids);

/// Writes x (B, T, ...) into cache (B, capacity, ...) at positions i32 (B, T), in place; not
/// recorded.
void store(const Tensor& cache, const Tensor& x, const Tensor& positions);
/// A cache of rows `order` of this one, of the same capacity, with their first `length` positions;
/// what lies behind is undefined. Not recorded.
Tensor reorder(const Tensor& cache, const std::vector<int>& order, int length);

struct Attention {
  bool causal = false;  ///< query i sees keys j <= i + (S - T)
  Tensor lengths;       ///< i32 (B): sequence b has keys j < lengths[b]; undefined: all
  double scale = 0;     ///< 0 means 1 / sqrt(D)
  Tensor bias;  ///< (H, T + S - 1): bias[h, j - i + T - 1] is added to the scaled score (i, j);
                ///< or (B, H, T + S - 1), one for each sequence
  bool step = false;   ///< a decoding step: for few queries (the numbers may round differently)
  double dropout = 0;  ///< of the attention probabilities
  RandomKey key;
};
/// Scaled dot-product attention. q (B, T, H, D), k and v (B, S, K, D) with H a multiple of K
/// (grouped heads) -> (B, T, H, D). Scores exist one tile at a time. A query that sees no key gives
/// zeros. engine/op_attention.cpp
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Attention& options = {});
/// The same of heads that one projection made, whose gradient is then one tensor: of kv (B, S, 2 K,
/// D), K heads of keys and K of values; of qkv (B, T, H + 2 K, D), `heads` = H of queries before.
Tensor attention(const Tensor& q, const Tensor& kv, const Attention& options = {});
Tensor attention(const Tensor& qkv, int heads, const Attention& options = {});
/// Rotary positions (Su et al. 2021, half-split form) turn the pair (i, i + D/2) of each head by
/// the position times base^(-2i/D). The angles of i32 positions (B, T) for heads of D numbers:
/// their cos, then their sin, (B, T, D), of the type that `dtype` is computed in.
Tensor rotary_angles(const Tensor& positions, int head_size, Dtype dtype, double base = 10000);
/// x (B, T, H, D) with its first `heads` heads turned by angles (B, T, D).
Tensor rotary(const Tensor& x, const Tensor& angles, int heads);

}  // namespace retort
