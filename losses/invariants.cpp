// What one loss keeps by itself. Between divergences: invariants_divergence.cpp.
#include "losses/invariants.h"

#include <algorithm>
#include <cmath>

#include "engine/gradcheck.h"
#include "losses/cross_entropy.h"
#include "losses/squared_error.h"

namespace retort {
namespace {

using Numbers = std::vector<double>;

struct Computed {
  Numbers loss, grad;
};

// The loss, and the gradient of its sum (with weights: of its weighted sum, which is then the
// loss).
Computed compute(const CheckedLoss& l, const Tensor& teacher, const Tensor& student, Dtype dtype,
                 double temperature = 1, const Tensor& mask = {}, const Tensor& weights = {}) {
  Tensor s = parameter(student.to(dtype));
  Tensor loss = l.loss(teacher.to(dtype), s, mask, temperature);
  if (weights.defined()) loss = sum(mul(loss, weights.to(dtype)));
  backward(sum(loss));
  return {loss.values(), grad(s).values()};
}

double norm(const Numbers& x) {
  double s = 0;
  for (double v : x) s += v * v;
  return std::sqrt(s);
}
// |a - b| / |b|; 0 of what is the same.
double off(Numbers a, const Numbers& b) {
  if (a == b) return 0;
  if (a.size() != b.size()) return INFINITY;
  for (size_t i = 0; i < a.size(); i++) a[i] -= b[i];
  return norm(a) / norm(b);
}
double off(const Computed& a, const Computed& b) {
  return worse(off(a.loss, b.loss), off(a.grad, b.grad));
}
double largest(const Numbers& x) {
  double most = 0;
  for (double v : x) most = worse(std::abs(v), most);
  return most;
}

// Rows of logits in which hardly anything, much, and nearly all is on one token.
struct Logits {
  Tensor teacher, student;
};
double worst_of(const CheckedLoss& l, const std::function<double(const Logits&)>& error) {
  double worst = 0;
  for (int V : l.classes)
    for (double spread : {0.3, 2.0})
      worst =
          worse(error({random_tensor({5, V}, 3, spread), random_tensor({5, V}, 4, spread)}), worst);
  return worst;
}

// Rows in another order: the last first.
Tensor turned_rows(const Tensor& x) {
  std::vector<Tensor> parts;
  for (int row = x.dim(0) - 1; row >= 0; row--) parts.push_back(slice(x, 0, row, 1));
  return concat(parts, 0);
}
Tensor turned_columns(const Tensor& x) {
  std::vector<int> ids;
  for (int i = x.cols() - 1; i >= 0; i--) ids.push_back(i);
  return columns(x, ids);
}
// Of numbers (N, V) as those of turned logits are.
Numbers turned(Numbers x, size_t V, bool rows) {
  if (rows)
    for (size_t i = 0; i < x.size() / V / 2; i++)
      std::swap_ranges(x.begin() + long(i * V), x.begin() + long((i + 1) * V),
                       x.end() - long((i + 1) * V));
  else
    for (size_t i = 0; i < x.size(); i += V)
      std::reverse(x.begin() + long(i), x.begin() + long(i + V));
  return x;
}

double masked_rows(const CheckedLoss& l, const Logits& x, Dtype dtype) {
  Tensor t = scale(x.teacher, 1), s = scale(x.student, 1);
  size_t V = size_t(t.cols());
  t.data<double>()[V] = NAN, s.data<double>()[2 * V - 1] = INFINITY;
  Tensor mask = Tensor::from(std::vector<int>{1, 0, 5, 1, 1}, {5});
  auto kept = [](const Tensor& y) { return concat({slice(y, 0, 0, 1), slice(y, 0, 2, 3)}, 0); };
  Computed with = compute(l, t, s, dtype, 1, mask), without = compute(l, kept(t), kept(s), dtype);
  auto second = with.grad.begin() + long(V);
  double left = largest({second, second + long(V)});
  with.grad.erase(second, second + long(V));
  if (l.per_row) left += std::abs(with.loss[1]), with.loss.erase(with.loss.begin() + 1);
  return worse(left, off(with, without));
}

// Three sequences of two positions, one of them padding, at once and as one and two; every
// reduction.
double accumulation(const CheckedLoss& l, Dtype dtype) {
  std::vector<int> valid{1, 1, 1, 0, 1, 1};
  Tensor t = random_tensor({6, 33}, 3, 2), s = random_tensor({6, 33}, 4, 2);
  double worst = 0;
  for (Reduction r : {Reduction::tokens, Reduction::sequences, Reduction::batch}) {
    auto part = [&](int first, int rows) {
      std::vector<int> own(valid.begin() + first, valid.begin() + first + rows);
      Tensor w = reduction_weights(r, own, 2, 5, 3, dtype, Device::cpu);
      return compute(l, slice(t, 0, first, rows), slice(s, 0, first, rows), dtype, 1,
                     Tensor::from(own, {rows}), w);
    };
    Computed whole = part(0, 6), parts = part(0, 2), rest = part(2, 4);
    parts.loss[0] += rest.loss[0];
    parts.grad.insert(parts.grad.end(), rest.grad.begin(), rest.grad.end());
    worst = worse(off(parts, whole), worst);
  }
  return worst;
}

}  // namespace

std::vector<Invariant> invariants_of(const CheckedLoss& l) {
  std::vector<Invariant> list;
  auto add = [&](const char* property, double f64, double f32, auto error) {
    list.push_back({l.name, property,
                    [l, error](Dtype dtype) {
                      return worst_of(l, [&](const Logits& x) { return error(x, dtype); });
                    },
                    f64, f32});
  };
  if (l.zero_at_teacher)
    add("0, and its gradient, at p = q", 0, 0, [l](const Logits& x, Dtype dtype) {
      Computed c = compute(l, x.teacher, x.teacher, dtype);
      return worse(largest(c.loss), largest(c.grad));
    });
  if (l.not_negative)
    add("not negative", 0, 0, [l](const Logits& x, Dtype dtype) {
      double below = 0;
      for (double loss : compute(l, x.teacher, x.student, dtype).loss)
        below = loss >= 0 ? below : worse(-loss, below);
      return below;
    });
  if (l.of_softmax)
    add("rows of the gradient sum to 0", 2e-12, 3e-4, [l](const Logits& x, Dtype dtype) {
      Computed c = compute(l, x.teacher, x.student, dtype);
      size_t V = size_t(x.student.cols());
      double worst = 0;
      for (size_t row = 0; row < 5; row++) {
        Numbers g(c.grad.begin() + long(row * V), c.grad.begin() + long((row + 1) * V));
        double sum = 0;
        for (double v : g) sum += v;
        if (sum != 0) worst = worse(std::abs(sum) / norm(g), worst);
      }
      return worst;
    });
  if (l.of_softmax)
    add("adding to logits changes nothing", 1e-12, 1e-4, [l](const Logits& x, Dtype dtype) {
      return off(compute(l, scale(x.teacher, 1, 3), scale(x.student, 1, -7), dtype),
                 compute(l, x.teacher, x.student, dtype));
    });
  add("temperature divides logits", 1e-12, 1e-4, [l](const Logits& x, Dtype dtype) {
    Computed a = compute(l, scale(x.teacher, 3), scale(x.student, 3), dtype, 3);
    for (double& g : a.grad) g *= 3;
    return off(a, compute(l, x.teacher, x.student, dtype));
  });
  add("order of the tokens", 1e-12, 1e-4, [l](const Logits& x, Dtype dtype) {
    Computed a = compute(l, turned_columns(x.teacher), turned_columns(x.student), dtype),
             b = compute(l, x.teacher, x.student, dtype);
    b.grad = turned(b.grad, size_t(x.student.cols()), false);
    return off(a, b);
  });
  // Of one row's loss no other knows; a batch's has no order on either side.
  add("order of the rows", l.per_row ? 0 : 1e-11, l.per_row ? 0 : 1e-4,
      [l](const Logits& x, Dtype dtype) {
        Computed b = compute(l, x.teacher, x.student, dtype),
                 a = compute(l, turned_rows(x.teacher), turned_rows(x.student), dtype);
        double teacher = 0;
        if (l.per_row) std::reverse(b.loss.begin(), b.loss.end());
        if (!l.per_row) teacher = off(compute(l, turned_rows(x.teacher), x.student, dtype), b);
        b.grad = turned(b.grad, size_t(x.student.cols()), true);
        return worse(off(a, b), teacher);
      });
  if (l.masks)
    add("masked rows leave nothing", 0, 0,
        [l](const Logits& x, Dtype dtype) { return masked_rows(l, x, dtype); });
  if (l.masks && l.per_row)
    list.push_back({l.name, "accumulation is the large batch",
                    [l](Dtype dtype) { return accumulation(l, dtype); }, 1e-14, 1e-6});
  return list;
}

}  // namespace retort
