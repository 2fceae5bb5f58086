// Mistakes of SinKD's published code (2018cx/SinKD at 1ffac901), one test each: the mistaken form
// beside ours, so that it fails where ours becomes it.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/gradcheck.h"
#include "losses/divergence.h"
#include "losses/transport.h"

using namespace retort;

namespace {

using Numbers = std::vector<double>;

Numbers softened(const Tensor& logits, double T) { return softmax(scale(logits, 1 / T)).values(); }

double loss(const std::string& name, const Tensor& teacher, const Tensor& student, double T,
            std::vector<std::string> parameters = {}) {
  Transport t = parse_transport(name, parameters);
  t.temperature = T;
  TransportInputs in;
  in.teacher = teacher, in.student = student;
  return transport(t, in).loss.item();
}

// |q_i - p_j|_1 of rows of V, and <P, C> after the published normalisations, in arithmetic Real.
template <class Real>
double published(const Numbers& q, const Numbers& p, int B, Real eps) {
  size_t n = size_t(B), V = q.size() / n;
  std::vector<Real> C(n * n, 0), X(n * n);
  for (size_t i = 0; i < n * n; i++) {
    for (size_t v = 0; v < V; v++) C[i] += Real(std::abs(q[i / n * V + v] - p[i % n * V + v]));
    X[i] = std::exp(-C[i] / eps);
  }
  for (int k = 0; k < 20; k++)
    for (size_t step : {size_t(1), n})  // rows, then columns
      for (size_t line = 0; line < n; line++) {
        Real sum = 0, *x = &X[step == 1 ? line * n : line];
        for (size_t i = 0; i < n; i++) sum += x[i * step];
        for (size_t i = 0; i < n; i++) x[i * step] /= sum;
      }
  Real total = 0;
  for (size_t i = 0; i < n * n; i++) total += X[i] * C[i];
  return total;
}

}  // namespace

TEST_CASE("SinKD: the constructor's temperature is ignored, it is always 2") {
  Tensor t = random_tensor({4, 5}, 2, 2), s = random_tensor({4, 5}, 1, 2);
  auto at = [&](double T) { return 0.001 * published(softened(s, T), softened(t, T), 4, 0.1); };
  for (double T : {1.0, 2.0, 4.0}) {
    CHECK(loss("sinkhorn:published", t, s, T) == Approx(at(T)).epsilon(1e-10));
    CHECK((T == 2 || std::abs(at(2) / at(T) - 1) > 0.1));
  }
  CHECK(parse_transport("sinkhorn:published").temperature == 2);
}

TEST_CASE("SinKD: scalings in the exp domain are 0 / 0 in float32 where eps is small") {
  Tensor t = Tensor::from({20, 0, 0, 19}, {2, 2}, Dtype::f32),
         s = Tensor::from({0, 20, 0, 21}, {2, 2}, Dtype::f32);
  Numbers p = softened(t, 2), q = softened(s, 2);
  CHECK(std::isnan(published<float>(q, p, 2, 0.01f)));
  double exact = published<long double>(q, p, 2, 0.01L);
  CHECK(loss("sinkhorn:published", t, s, 2, {"eps=0.01", "scale=1"}) ==
        Approx(exact).epsilon(1e-5));
}

TEST_CASE("SinKD: the plan has the batch's mass, so the loss grows with the batch") {
  Tensor t = random_tensor({4, 5}, 2, 2), s = random_tensor({4, 5}, 1, 2);
  Tensor tt = concat({t, t}, 0), ss = concat({s, s}, 0);
  CHECK(loss("sinkhorn:published", tt, ss, 2) ==
        Approx(2 * loss("sinkhorn:published", t, s, 2)).epsilon(1e-10));
  for (const char* name : {"sinkhorn:unit", "sinkhorn_debiased", "sinkhorn_unbalanced"})
    CHECK(loss(name, tt, ss, 2) == Approx(loss(name, t, s, 2)).epsilon(1e-10));
}

TEST_CASE("SinKD: of logits (B, L, V) the softmax is over the positions L, not the classes V") {
  const int B = 2, L = 3, V = 5;
  Tensor t = random_tensor({B, L, V}, 2, 2), s = random_tensor({B, L, V}, 1, 2);
  auto over_positions = [](const Tensor& x) {
    return contiguous(transpose(softmax(contiguous(transpose(scale(x, 0.5)))))).values();
  };
  // A constant added to a position's logits changes no distribution over the classes.
  Tensor shifted = scale(s, 1);
  for (int v = 0; v < V; v++) shifted.data<double>()[V + v] += 1;
  auto rows = [&](const Tensor& x) { return reshape(x, {B * L, V}); };
  double ours = loss("sinkhorn:published", rows(t), rows(s), 2, {"scale=1"});
  CHECK(loss("sinkhorn:published", rows(t), rows(shifted), 2, {"scale=1"}) == Approx(ours));
  CHECK(ours == Approx(published(softened(rows(s), 2), softened(rows(t), 2), B * L, 0.1)));
  auto mistaken = [&](const Tensor& x) {
    return published(over_positions(x), over_positions(t), B * L, 0.1);
  };
  CHECK(std::abs(mistaken(shifted) - mistaken(s)) > 0.01);
}

TEST_CASE("SinKD: its JS takes a probability for a logarithm, and halves twice") {
  Tensor t = random_tensor({1, 7}, 2, 2), s = random_tensor({1, 7}, 1, 2);
  Numbers p = softened(t, 1), q = softened(s, 1);
  auto mistaken = [](const Numbers& p, const Numbers& q) {
    double sum = 0;
    for (size_t i = 0; i < p.size(); i++) {
      double m = (p[i] + q[i]) / 2;
      sum += 0.5 * 0.5 * (m * (std::log(m) - p[i]) + m * (std::log(m) - q[i]));
    }
    return sum;
  };
  CHECK(mistaken(p, q) < -0.1);  // and not 0 where both are equal
  CHECK(mistaken(p, p) < -0.1);
  CHECK(divergence({"js"}, t, s).item() > 0);
  CHECK(divergence({"js"}, t, t).item() == 0);
}

TEST_CASE("SinKD: its TVD is a mean over the classes too, and vanishes as they grow") {
  Tensor t = random_tensor({1, 200}, 2, 2), s = random_tensor({1, 200}, 1, 2);
  Numbers p = softened(t, 1), q = softened(s, 1);
  double sum = 0;
  for (size_t v = 0; v < 200; v++) sum += 0.5 * std::abs(p[v] - q[v]);
  double ours = divergence({"tvd"}, t, s).item(), mistaken = sum / 200;
  CHECK(ours == Approx(sum).epsilon(1e-12));
  CHECK(mistaken < 0.01 * ours);
}
