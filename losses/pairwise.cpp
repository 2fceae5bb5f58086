#include "losses/pairwise.h"

#include <algorithm>
#include <cmath>

#include "engine/map.h"
#include "kernels/pairwise.h"

namespace retort {
namespace {

constexpr int kSpan = 2048;  // tokens whose probabilities exist at a time

// The rows of a batch, with what turns their logits into probabilities.
struct Softened {
  Tensor logits, index;  // (N, V), i32 (B)
  Tensor top, total;     // (B)
  double k;              // 1 / T
  int count() const { return index.dim(0); }

  Softened(const Tensor& x, const Tensor& rows_, double inverse_temperature)
      : logits(contiguous(x.detach())), index(rows_), k(inverse_temperature) {
    top = Tensor({count()}, logits.dtype, logits.device()), total = top.like();
    dispatch_real(logits.dtype, [&]<class T>(T) {
      rows(logits.device(), count(),
           SoftmaxSums<T>{logits.data<T>(), index.data<int>(), top.data<T>(), total.data<T>(), T(k),
                          logits.cols()});
    });
  }
  /// Probabilities (B, n) of the n tokens from `first` on.
  Tensor span(int first, int n) const {
    Tensor q({count(), n}, logits.dtype, logits.device());
    dispatch_real(logits.dtype, [&]<class T>(T) {
      rows(logits.device(), count(),
           Probabilities<T>{logits.data<T>(), index.data<int>(), top.data<T>(), total.data<T>(),
                            q.data<T>(), T(k), first, logits.cols(), n});
    });
    return q;
  }
};

template <class F>
void each_ground(Ground ground, F f) {
  if (ground == Ground::l1)
    f(AbsoluteDifference{});
  else
    f(SquaredDifference{});
}

template <class F>
void each_span(int vocabulary, F f) {
  for (int first = 0; first < vocabulary; first += kSpan)
    f(first, std::min(kSpan, vocabulary - first));
}

Tensor cost_of(Ground ground, const Softened& x, const Softened& y) {
  Tensor cost({x.count(), y.count()}, x.logits.dtype, x.logits.device());
  each_span(x.logits.cols(), [&](int first, int n) {
    Tensor q = x.span(first, n), p = &x == &y ? q : y.span(first, n);
    each_ground(ground, [&]<class G>(G) {
      dispatch_real(cost.dtype, [&]<class T>(T) {
        rows(cost.device(), x.count() * PairCost<G, T>::rows_of(y.count()),
             PairCost<G, T>{q.data<T>(), p.data<T>(), cost.data<T>(), y.count(), first == 0, n});
      });
    });
  });
  return cost;
}

// d sum(dcost C) / d logits of x.
Tensor cost_backward(Ground ground, const Softened& x, const Softened& y, const Tensor& dcost) {
  bool all = x.count() == x.logits.dim(0);
  Tensor dx =
      all ? x.logits.like() : Tensor::zeros(x.logits.shape, x.logits.dtype, x.logits.device());
  int V = x.logits.cols();
  dispatch_real(dx.dtype, [&]<class T>(T) {
    each_span(V, [&](int first, int n) {
      Tensor q = x.span(first, n), p = &x == &y ? q : y.span(first, n);
      each_ground(ground, [&]<class G>(G) {
        rows(dx.device(), x.count(),
             PairCostBackward<G, T>{q.data<T>(), p.data<T>(), dcost.data<T>(), x.index.data<int>(),
                                    dx.data<T>(), y.count(), first, V, n});
      });
    });
    rows(dx.device(), x.count(),
         SoftmaxSlope<T>{x.logits.data<T>(), x.index.data<int>(), dx.data<T>(), T(x.k), V});
  });
  return dx;
}

}  // namespace

Tensor pairwise_cost(Ground ground, const Tensor& student, const Tensor& teacher,
                     double temperature, const std::vector<int>& kept) {
  bool self = !teacher.defined();
  ENSURE(student.rank() == 2 && student.cols() > 0 &&
             (self || (teacher.shape == student.shape && teacher.dtype == student.dtype)),
         "pairwise_cost: expected logits (N, V) of one shape and type, got " + text(student.shape) +
             (self ? "" : " and " + text(teacher.shape)));
  ENSURE(temperature > 0 && std::isfinite(temperature),
         "pairwise_cost: the temperature must be positive, got " + std::to_string(temperature));
  ENSURE(!kept.empty(), "pairwise_cost: a batch of 0 rows");
  for (int row : kept)
    ENSURE(row >= 0 && row < student.dim(0), "pairwise_cost: no row " + std::to_string(row));
  Tensor index = Tensor::from(kept, {int(kept.size())}, student.device());
  Softened x(student, index, 1 / temperature);
  if (self)
    return record("pairwise_cost", cost_of(ground, x, x), {student},
                  [ground, x](const Tensor& dy) {  // either side of a pair is a student
                    Tensor both = contiguous(dy + transpose(dy));
                    return Grads{cost_backward(ground, x, x, both)};
                  });
  Softened y(teacher, index, 1 / temperature);
  return record("pairwise_cost", cost_of(ground, x, y), {student},
                [ground, x, y](const Tensor& dy) {
                  return Grads{cost_backward(ground, x, y, contiguous(dy))};
                });
}

}  // namespace retort
