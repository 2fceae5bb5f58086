// Rotary positions (Su et al. 2021): pairs (i, i + D/2) of each head turn by position *
// base^(-2i/D).
#include "engine/map.h"

namespace retort {
namespace {

template <class T>
struct Rotate {  // row = (b, t, h)
  const T* x;
  const int* positions;
  T* y;
  double base;
  int heads, n;
  Real<T> sign;  // -1 turns back
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    size_t o = size_t(row) * n;
    R s = sign;
    int half = n / 2;
    double position = positions[row / heads], step = -2 * ::log(base) / n;
    team.each(
        half,
        [&](int i, R u, R v, R& p, R& q) {
          double angle = position * ::exp(step * i);
          R c = R(::cos(angle)), d = s * R(::sin(angle));
          p = u * c - v * d;
          q = v * c + u * d;
        },
        x + o, x + o + half, out(y + o), out(y + o + half));
  }
};

Tensor rotate(const Tensor& x_in, const Tensor& positions, double base, int sign) {
  Tensor x = contiguous(x_in), y = x.like();
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(),
         Rotate<T>{x.data<T>(), positions.data<int>(), y.data<T>(), base, x.dim(2), x.cols(),
                   Real<T>(sign)});
  });
  return y;
}

}  // namespace

Tensor rotary(const Tensor& x, const Tensor& positions_in, double base) {
  ENSURE(x.rank() == 4 && x.cols() % 2 == 0 && positions_in.dtype == Dtype::i32 &&
             positions_in.shape == Shape({x.dim(0), x.dim(1)}),
         "rotary: expected x (B, T, H, D) with even D and i32 positions (B, T), got " +
             text(x.shape) + " and " + text(positions_in.shape));
  Tensor positions = contiguous(positions_in);
  return record("rotary", rotate(x, positions, base, 1), {x}, [positions, base](const Tensor& dy) {
    return Grads{rotate(dy, positions, base, -1)};
  });
}

}  // namespace retort
