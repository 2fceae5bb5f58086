// Mistakes of published distillation code, one test each, on rows of logits. Each computes the
// mistaken form beside ours, so that it fails where ours becomes it. The numbers are those of the
// code they were found in.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/gradcheck.h"
#include "losses/divergence.h"

using namespace retort;

namespace {

using Numbers = std::vector<double>;

Numbers probabilities(const Tensor& logits) { return softmax(logits).values(); }

struct Row {
  double loss;
  Numbers grad;
};
Row row(const std::string& name, const Tensor& teacher, const Tensor& student_in) {
  Tensor student = parameter(scale(student_in, 1));
  Tensor loss = divergence(parse_divergence(name), teacher, student);
  backward(sum(loss));
  return {loss.item(), grad(student).values()};
}

// dL/dz of dL/dq = u: q (u - sum q u).
Numbers through_softmax(const Numbers& q, const Numbers& u) {
  double mean = 0;
  Numbers out;
  for (size_t i = 0; i < q.size(); i++) mean += q[i] * u[i];
  for (size_t i = 0; i < q.size(); i++) out.push_back(q[i] * (u[i] - mean));
  return out;
}
double norm(const Numbers& x) {
  double s = 0;
  for (double v : x) s += v * v;
  return std::sqrt(s);
}

}  // namespace

TEST_CASE("f-DISTILL's code: log(m + 1e-10) makes the JS of equal distributions negative") {
  const int V = 1003;
  Tensor t = random_tensor({1, V}, 1, 4);
  Numbers p = probabilities(t);
  double mistaken = 0;
  for (double x : p) mistaken += x * (std::log(x) - std::log(x + 1e-10));
  CHECK(mistaken < -1e-8);
  CHECK(row("js", t, t).loss == 0);
}

TEST_CASE("DistiLLM: its skewed forward KL is a cross-entropy, which is not 0 at the teacher") {
  Tensor t = random_tensor({1, 33}, 1), s = random_tensor({1, 33}, 2);
  const double alpha = 0.1;
  Numbers p = probabilities(t), q = probabilities(s);
  double cross_entropy = 0, entropy = 0;
  for (size_t i = 0; i < 33; i++) {
    cross_entropy -= p[i] * std::log(alpha * p[i] + (1 - alpha) * q[i]);
    entropy -= p[i] * std::log(p[i]);
  }
  CHECK(entropy > 1);
  CHECK(row("skew_kl:0.1", t, s).loss == Approx(cross_entropy - entropy).epsilon(1e-12));
  CHECK(row("skew_kl:0.1", t, t).loss == Approx(0).margin(1e-14));
}

TEST_CASE("DistiLLM-2: the student inside the mixture of its skewed reverse KL gets no gradient") {
  Tensor t = random_tensor({1, 33}, 1, 1.5), s = random_tensor({1, 33}, 2, 1.5);
  const double alpha = 0.1;
  Numbers p = probabilities(t), q = probabilities(s), whole, detached;
  for (size_t i = 0; i < 33; i++) {
    double m = (1 - alpha) * p[i] + alpha * q[i];
    whole.push_back(std::log(q[i] / m) - alpha * q[i] / m);
    detached.push_back(std::log(q[i] / m));
  }
  whole = through_softmax(q, whole), detached = through_softmax(q, detached);
  Numbers ours = row("skew_rkl:0.1", t, s).grad;
  for (size_t i = 0; i < 33; i++) CHECK(ours[i] == Approx(whole[i]).margin(1e-13));
  CHECK(norm(detached) / norm(ours) > 1.2);
}

TEST_CASE("DistiLLM: its plain KL has the sign of -RKL; ours are never negative") {
  for (int seed = 1; seed < 20; seed++) {
    Tensor t = random_tensor({1, 33}, uint64_t(seed)), s = random_tensor({1, 33}, 99);
    Numbers p = probabilities(t), q = probabilities(s);
    double kl = 0, rkl = 0;
    for (size_t i = 0; i < 33; i++)
      kl += p[i] * std::log(p[i] / q[i]), rkl += q[i] * std::log(q[i] / p[i]);
    CHECK(row("kl", t, s).loss == Approx(kl).epsilon(1e-10));
    CHECK(row("rkl", t, s).loss == Approx(rkl).epsilon(1e-10));
    CHECK((kl > 0 && rkl > 0));
  }
}

TEST_CASE("Liger: TVD's slope is -1/2 where p = q, not 0") {
  // Three of four tokens have equal logits and, as the fourth's are equal too, equal probability.
  Tensor t = Tensor::from({0, 1, 2, 3}, {1, 4}, Dtype::f64);
  CHECK(row("tvd", t, t).grad == Numbers(4, 0.0));
  // Dyadic probabilities: tokens 2 and 3 are tied exactly, 0 and 1 are not.
  auto logs = [](Numbers p) {
    for (double& x : p) x = std::log2(x) * std::log(2.0);
    return Tensor::from(p, {1, 4}, Dtype::f64);
  };
  Numbers q{0.25, 0.25, 0.25, 0.25};
  Row r = row("tvd", logs({0.5, 0.0, 0.25, 0.25}), logs(q));
  Numbers right = through_softmax(q, {-0.5, 0.5, 0, 0}),
          mistaken = through_softmax(q, {-0.5, 0.5, -0.5, -0.5});
  for (size_t i = 0; i < 4; i++) CHECK(r.grad[i] == Approx(right[i]).margin(1e-14));
  CHECK(std::abs(mistaken[2] - right[2]) > 0.05);
}

TEST_CASE("Liger: 0 * inf in the Jensen-Shannon of a logit -inf") {
  Tensor t = Tensor::from({0, 1, -INFINITY, 2}, {1, 4}, Dtype::f64);
  for (bool both : {true, false}) {
    Tensor s = Tensor::from({1, 0, both ? -INFINITY : 0.5, -1}, {1, 4}, Dtype::f64);
    Numbers p = probabilities(t), q = probabilities(s);
    double unguarded = 0, js = 0;
    for (size_t i = 0; i < 4; i++) {
      double m = (p[i] + q[i]) / 2;
      unguarded += (p[i] * std::log(p[i] / m) + q[i] * std::log(q[i] / m)) / 2;
      js += p[i] > 0 ? p[i] / 2 * std::log(p[i] / m) : 0;
      js += q[i] > 0 ? q[i] / 2 * std::log(q[i] / m) : 0;
    }
    CHECK(std::isnan(unguarded));
    Row r = row("js", t, s);
    CHECK(r.loss == Approx(js).epsilon(1e-12));
    for (double g : r.grad) CHECK(std::isfinite(g));
    CHECK((!both || r.grad[2] == 0));
  }
}

TEST_CASE("RKL less ENGINE is minus the student's entropy, and so are their gradients") {
  Tensor t = random_tensor({1, 33}, 1), s = random_tensor({1, 33}, 2);
  Row rkl = row("rkl", t, s), engine = row("engine", t, s);
  Numbers q = probabilities(s), slope;
  double entropy = 0;
  for (double x : q) entropy -= x * std::log(x), slope.push_back(std::log(x) + 1);
  CHECK(rkl.loss - engine.loss == Approx(-entropy).epsilon(1e-12));
  Numbers of_entropy = through_softmax(q, slope);
  for (size_t i = 0; i < 33; i++)
    CHECK(rkl.grad[i] - engine.grad[i] == Approx(of_entropy[i]).margin(1e-13));
}
