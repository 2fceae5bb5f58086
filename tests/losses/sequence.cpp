// Step-wise losses against the divergences of whole sequences, by enumeration of a toy: all
// sequences of 4 letters of 3, a teacher with a row for each prefix, a student with a row for each
// last letter. Every expectation is a sum with the sequences' probabilities.
#include "losses/sequence.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/gradcheck.h"
#include "losses/cross_entropy.h"
#include "losses/divergence.h"
#include "tests/devices.h"

using namespace retort;

namespace {

constexpr int V = 3, T = 4, N = 81;

struct Toy {
  Device device;
  Tensor labels, teacher_rows, student_rows;  // (N T) ids
  Tensor teacher, theta;                      // (40, V) and (4, V) logits

  explicit Toy(Device device) : device(device) {
    std::vector<int> label, prefix, last;
    for (int i = 0; i < N; i++) {
      int letters[T] = {i / 27, i / 9 % 3, i / 3 % 3, i % 3}, row = 0, first = 0;
      for (int t = 0, of_length = 1; t < T; t++) {
        label.push_back(letters[t]), prefix.push_back(first + row);
        last.push_back(t ? letters[t - 1] + 1 : 0);
        row = row * V + letters[t], first += of_length, of_length *= V;
      }
    }
    labels = Tensor::from(label, {N * T}, device);
    teacher_rows = Tensor::from(prefix, {N * T}, device);
    student_rows = Tensor::from(last, {N * T}, device);
    teacher = random_tensor({40, V}, 1, 1.5).to(device);
    theta = parameter(random_tensor({4, V}, 2).to(device));
  }
  Tensor p() const { return embedding(teacher, teacher_rows); }
  Tensor q() const { return embedding(theta, student_rows); }
  Tensor nll(const Tensor& logits) const { return cross_entropy(logits, labels); }
  // log-probability of each sequence (N)
  Tensor log_probability(const Tensor& logits) const {
    return scale(sum(reshape(nll(logits), {N, T}), 1), -1);
  }
  // Of each position, the probability of its sequence, as a constant.
  Tensor weights(const Tensor& logits) const {
    Tensor w = reshape(exp(log_probability(logits)).detach(), {N, 1});
    return reshape(contiguous(expand(w, {N, T})), {-1});
  }
};

struct Result {
  double value;
  std::vector<double> gradient;
};
template <class F>
Result of(Toy& toy, F loss_of) {
  toy.theta = parameter(toy.theta.detach());
  Tensor loss = loss_of();
  backward(loss);
  return {loss.item(), grad(toy.theta).values()};
}
void same(const Result& a, const Result& b) {
  CHECK(a.value == Approx(b.value).epsilon(1e-12).margin(1e-12));
  for (size_t i = 0; i < a.gradient.size(); i++)
    CHECK(a.gradient[i] == Approx(b.gradient[i]).margin(1e-11));
}

// sum_y x log x/m of sequences' log-probabilities (N)
Tensor kl(const Tensor& x, const Tensor& m) { return sum(mul(exp(x), sub(x, m))); }
Tensor mixture(const Tensor& x, const Tensor& y, double w) {
  return log(add(scale(exp(x), w), scale(exp(y), 1 - w)));
}

}  // namespace

TEST_CASE("step-wise KL and RKL are the sequence's, RKL's gradient with the score term", "[cuda]") {
  for (Device device : devices()) {
    Toy toy(device);
    auto exact_kl =
        of(toy, [&] { return kl(toy.log_probability(toy.p()), toy.log_probability(toy.q())); });
    auto step_kl = of(
        toy, [&] { return sum(mul(divergence({"kl"}, toy.p(), toy.q()), toy.weights(toy.p()))); });
    same(step_kl, exact_kl);
    auto exact =
        of(toy, [&] { return kl(toy.log_probability(toy.q()), toy.log_probability(toy.p())); });
    for (std::string score : {"none", "rb", "mc"}) {
      INFO(score);
      auto step = of(toy, [&] {
        Tensor q = toy.q(), nll = toy.nll(q), w = toy.weights(q);
        Tensor d = divergence({"rkl"}, toy.p(), q), loss = sum(mul(d, w));
        Tensor reward = score == "rb" ? d : sampled_log_ratio(toy.nll(toy.p()), nll);
        return score == "none" ? loss : add(loss, score_term(mul(reward, w), nll, N));
      });
      if (score != "none") {
        same(step, exact);
        continue;
      }
      CHECK(step.value == Approx(exact.value).epsilon(1e-12));
      double worst = 0;  // without it the gradient is another one
      for (size_t i = 0; i < step.gradient.size(); i++)
        worst = std::max(worst, std::abs(step.gradient[i] - exact.gradient[i]));
      CHECK(worst > 0.01);
    }
  }
}

TEST_CASE(
    "Jensen-Shannon with the exact mixture is the sequence's, its gradient with the score term",
    "[cuda]") {
  for (Device device : devices())
    for (double beta : {0.5, 0.15}) {
      INFO("beta " << beta);
      Toy toy(device);
      auto exact = of(toy, [&] {
        Tensor p = toy.log_probability(toy.p()), q = toy.log_probability(toy.q()),
               m = mixture(p, q, beta);
        return add(scale(kl(p, m), beta), scale(kl(q, m), 1 - beta));
      });
      for (std::string kind : {"rb", "mc", "arithmetic"}) {
        INFO(kind);
        auto step = of(toy, [&] {
          Tensor p = toy.p(), q = toy.q(), p_nll = toy.nll(p), q_nll = toy.nll(q),
                 w = toy.weights(q);
          DivergenceOptions o;
          if (kind != "arithmetic") o.mixture = exact_mixture(beta, p_nll, q_nll, N);
          Tensor teacher_half = divergence({"skew_kl", beta}, p, q, o),
                 student_half = divergence({"skew_rkl", 1 - beta}, p, q, o);
          Tensor loss = add(scale(sum(mul(teacher_half, toy.weights(p))), beta),
                            scale(sum(mul(student_half, w)), 1 - beta));
          if (kind == "arithmetic") return loss;
          Tensor reward = student_half;
          if (kind == "mc") reward = sampled_log_ratio(p_nll, q_nll, o.mixture);
          return add(loss, scale(score_term(mul(reward, w), q_nll, N), 1 - beta));
        });
        if (kind == "arithmetic")
          CHECK(step.value > exact.value + 0.01);  // an upper bound, another number
        else
          same(step, exact);
      }
    }
}

TEST_CASE("a constant mixture is alpha's; at its ends the halves become KL, RKL and 0", "[cuda]") {
  for (Device device : devices())
    for (Dtype dtype : {Dtype::f64, Dtype::f32}) {
      Tensor p = random_tensor({5, 33}, 3, 2).to(dtype).to(device);
      double limit = dtype == Dtype::f64 ? 1e-12 : 2e-5;
      auto run = [&](const DivergenceName& name, double x, bool mixed) {
        Tensor q = parameter(random_tensor({5, 33}, 4, 2).to(dtype).to(device));
        DivergenceOptions o;
        if (mixed) o.mixture = Tensor::full({5}, x, dtype, device);
        Tensor loss = divergence(name, p, q, o);
        backward(sum(loss));
        std::vector<double> v = loss.values(), g = grad(q).values();
        v.insert(v.end(), g.begin(), g.end());
        return v;
      };
      auto close = [&](const std::vector<double>& a, const std::vector<double>& b) {
        for (size_t i = 0; i < a.size(); i++)
          REQUIRE(a[i] == Approx(b[i]).epsilon(limit).margin(limit));
      };
      double x = std::log(0.3) - std::log(0.7);
      close(run({"skew_kl", 0.5}, x, true), run({"skew_kl", 0.3}, 0, false));
      close(run({"skew_rkl", 0.5}, x, true), run({"skew_rkl", 0.7}, 0, false));
      close(run({"skew_kl", 0.5}, -90, true), run({"kl"}, 0, false));
      close(run({"skew_rkl", 0.5}, 90, true), run({"rkl"}, 0, false));
      std::vector<double> zero(5 + 5 * 33, 0);
      close(run({"skew_kl", 0.5}, 90, true), zero);
      close(run({"skew_rkl", 0.5}, -90, true), zero);
      CHECK_THROWS_WITH(run({"kl"}, 0, true), Catch::Contains("is for skew_kl and skew_rkl"));
    }
}
