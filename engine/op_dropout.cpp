// Dropout by the counter-based generator: the mask is a function of (key, sequence, element), drawn
// again in backward instead of stored.
#include "engine/map.h"

namespace retort {
namespace {

template <class T>
struct Dropout {  // row = one sequence
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
    team.each(
        n,
        [&](int i, R a, R& b) {
          b = uniform(k, uint32_t(row), uint32_t(i)) < limit ? R(0) : a * keep;
        },
        x + o, out(y + o));
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
