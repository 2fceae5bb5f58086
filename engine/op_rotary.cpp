// Rotary positions (Su et al. 2021): pairs (i, i + D/2) of each head turn by position *
// base^(-2i/D).
#include "engine/map.h"

namespace retort {
namespace {

template <class T>
struct Angles {  // row = position: cos of D/2 angles, then sin
  const int* positions;
  T* y;
  double base;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    T* c = y + size_t(row) * n;
    int half = n / 2;
    double position = positions[row], step = -2 * ::log(base) / n;
    team.each(
        half,
        [&](int i, T& p, T& q) {
          double angle = position * ::exp(step * i);
          p = T(::cos(angle)), q = T(::sin(angle));
        },
        out(c), out(c + half));
  }
};

template <class T>
struct Rotate {  // row = (b, t, h)
  const T* x;
  const Real<T>* angles;
  T* y;
  int heads, turned, n;
  Real<T> sign;  // -1 turns back
  template <class Team>
  HD void operator()(Team team, int row) const {
    using R = Real<T>;
    size_t o = size_t(row) * n;
    if (row % heads >= turned) return copy(team, n, x + o, y + o);
    const R* c = angles + size_t(row / heads) * n;
    R s = sign;
    int half = n / 2;
    team.each(
        half,
        [&](int, R u, R v, R cos, R sin, R& p, R& q) {
          p = u * cos - v * (s * sin);
          q = v * cos + u * (s * sin);
        },
        x + o, x + o + half, c, c + half, out(y + o), out(y + o + half));
  }
};

Tensor rotate(const Tensor& x_in, const Tensor& angles, int turned, int sign) {
  Tensor x = contiguous(x_in), y = x.like();
  dispatch(x.dtype, [&]<class T>(T) {
    rows(x.device(), x.rows(),
         Rotate<T>{x.data<T>(), angles.data<Real<T>>(), y.data<T>(), x.dim(2), turned, x.cols(),
                   Real<T>(sign)});
  });
  return y;
}

}  // namespace

Tensor rotary_angles(const Tensor& positions_in, int head_size, Dtype dtype, double base) {
  ENSURE(positions_in.dtype == Dtype::i32 && positions_in.rank() == 2 && head_size > 0 &&
             head_size % 2 == 0,
         "rotary_angles: expected i32 positions (B, T) and an even head size, got " +
             text(positions_in.shape) + " and " + std::to_string(head_size));
  Tensor positions = contiguous(positions_in),
         y({positions.dim(0), positions.dim(1), head_size}, real_of(dtype), positions.device());
  dispatch_real(y.dtype, [&]<class T>(T) {
    rows(y.device(), y.rows(), Angles<T>{positions.data<int>(), y.data<T>(), base, head_size});
  });
  return y;
}

Tensor rotary(const Tensor& x, const Tensor& angles_in, int heads) {
  ENSURE(x.rank() == 4 && angles_in.dtype == real_of(x.dtype) &&
             angles_in.shape == Shape({x.dim(0), x.dim(1), x.dim(3)}) && heads >= 0 &&
             heads <= x.dim(2),
         "rotary: expected x (B, T, H, D), its angles (B, T, D) and at most H heads, got " +
             text(x.shape) + ", " + text(angles_in.shape) + " and " + std::to_string(heads));
  Tensor angles = contiguous(angles_in);
  return record("rotary", rotate(x, angles, heads, 1), {x},
                [angles, heads](const Tensor& dy) { return Grads{rotate(dy, angles, heads, -1)}; });
}

}  // namespace retort
