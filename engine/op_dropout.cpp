// Dropout by the counter-based generator: the mask is a function of (key, sequence, element), drawn
// again in backward instead of stored.
#include "engine/map.h"

namespace retort {
namespace {

template <class T>
struct Dropout {  // row = one sequence; a draw is of four neighbours
  static constexpr int kChunk = sizeof(T) == 2 ? 2 : 1;
  const T* x;
  T* y;
  RandomKey key;
  float p;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    size_t o = size_t(row) * n;
    R keep = R(1) / (1 - R(p));
    RandomKey k = key;
    float limit = p;
    int whole = n / 4;
    team.each(
        whole,
        [&](int i, Four<R> a, Four<R>& b) {
          Four<float> u = uniforms(k, uint32_t(row), uint32_t(i));
          for (int j = 0; j < 4; j++) b.at[j] = u.at[j] < limit ? R(0) : a.at[j] * keep;
        },
        reinterpret_cast<const Four<T>*>(x + o), out(reinterpret_cast<Four<T>*>(y + o)));
    team.each(
        n % 4,
        [&](int i, R a, R& b) {
          b = uniform(k, uint32_t(row), uint32_t(4 * whole + i)) < limit ? R(0) : a * keep;
        },
        x + o + 4 * whole, out(y + o + 4 * whole));
  }
};

Tensor drop(const Tensor& x_in, double p, const RandomKey& key) {
  Tensor x = contiguous(x_in), y = x.like();
  int sequences = x.rank() ? x.dim(0) : 1;
  if (x.size() == 0) return y;
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), sequences,
         Dropout<T>{x.data<T>(), y.data<T>(), key, float(p), int(x.size() / size_t(sequences))});
  });
  return y;
}

}  // namespace

Tensor dropout(const Tensor& x, double p, const RandomKey& key) {
  ENSURE(p >= 0 && p < 1, "dropout: p must be in [0, 1), got " + std::to_string(p));
  if (p == 0) return x;
  return record("dropout", drop(x, p, key), {x},
                [p, key](const Tensor& dy) { return Grads{drop(dy, p, key)}; });
}

}  // namespace retort
