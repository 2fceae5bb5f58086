// Where not all sequences can be enumerated: means over sequences drawn from teacher and student.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "distill/objective.h"
#include "distill/oracle.h"
#include "losses/cross_entropy.h"
#include "losses/divergence.h"
#include "losses/sequence.h"

namespace retort {
namespace {

using Numbers = std::vector<double>;

// Sites of random numbers, far from the others' (distill/objective.h).
constexpr uint32_t kFromTeacher = 1u << 25, kFromStudent = kFromTeacher + 1;

// Of each sequence that one model drew, in nats.
struct Drawn {
  Numbers full;     // sum of KL(p||q), of the student's KL(q||p)
  Numbers half;     // the same from its own to the exact mixture
  Numbers stepped;  // to (p + q)/2
  Numbers tvd;      // sum of TVD(p, q)
  Numbers ratio;    // log of its own over the other's probability
  Numbers length;   // tokens, the end included
};

struct Mean {
  double value = 0, error = 0;  // error: the standard error
};
Mean mean(const Numbers& x) {
  double n = double(x.size()), m = std::accumulate(x.begin(), x.end(), 0.0) / n, square = 0;
  for (double v : x) square += (v - m) * (v - m);
  return {m, std::sqrt(square / (n - 1) / n)};
}
Mean halves(const Numbers& of_teacher, const Numbers& of_student) {
  Mean a = mean(of_teacher), b = mean(of_student);
  return {(a.value + b.value) / 2, std::hypot(a.error, b.error) / 2};
}
template <class F>
Numbers each(const Numbers& x, F f) {
  Numbers y(x.size());
  std::transform(x.begin(), x.end(), y.begin(), f);
  return y;
}

// Losses of sampled targets, each row's over the whole vocabulary.
void score(const Tensor& p, const Tensor& q, const Batch& b, bool of_teacher, Drawn& to) {
  int n = int(b.labels.size());
  std::vector<int> valid(b.labels.size());
  for (size_t i = 0; i < valid.size(); i++) valid[i] = b.labels[i] >= 0;
  Tensor labels = Tensor::from(b.labels, {n});
  Tensor p_nll = cross_entropy(p, labels), q_nll = cross_entropy(q, labels);
  DivergenceOptions step, exact;
  step.mask = exact.mask = Tensor::from(valid, {n});
  exact.mixture = exact_mixture(0.5, p_nll, q_nll, b.size);
  auto add = [&](Numbers& list, const Tensor& rows) {
    Numbers sums = sum(reshape(rows, {b.size, -1}), 1).values();
    list.insert(list.end(), sums.begin(), sums.end());
  };
  DivergenceName half = parse_divergence(of_teacher ? "skew_kl:0.5" : "skew_rkl:0.5");
  add(to.full, divergence({of_teacher ? "kl" : "rkl"}, p, q, step));
  add(to.half, divergence(half, p, q, exact));
  add(to.stepped, divergence(half, p, q, step));
  add(to.tvd, divergence({"tvd"}, p, q, step));
  add(to.ratio, of_teacher ? q_nll - p_nll : p_nll - q_nll);
  add(to.length, step.mask.to(Dtype::f64));
}

void compare(const char* target, const Drawn& d, double truth, int vocab,
             std::vector<Estimator>& out) {
  double length = mean(d.length).value;
  auto add = [&](const char* name, const Numbers& f, double rows) {
    Mean m = mean(f);
    out.push_back(
        {target, name, truth, m.value, m.error * std::sqrt(double(f.size())), rows, m.value});
  };
  add("k1", d.ratio, length / vocab);
  add("k2", each(d.ratio, [](double x) { return x * x / 2; }), length / vocab);
  add("k3", each(d.ratio, [](double x) { return std::expm1(-x) + x; }), length / vocab);
  add("full vocabulary", d.full, length);
}

}  // namespace

Divergences sampled_divergences(const Model& teacher, const Model& student,
                                const TokenPair& example, Layout layout, int length, int samples,
                                RandomKey key) {
  NoGrad quiet;
  const ModelConfig& c = teacher.config();
  Specials specials{c.pad, c.bos, c.eos};
  DecodeOptions o;
  o.method = "sample", o.max_length = length;
  TokenPair pair = example;
  pair.id = 0;
  int rows = rows_at_a_time(example, length, c.vocab);
  auto draw = [&](const Model& writer, uint32_t site) {
    Drawn d;
    for (int begin = 0; begin < samples; begin += rows) {
      int count = std::min(rows, samples - begin);
      o.key = {key.seed, key.step, site, uint32_t(begin)};
      Batch prompts = collate(std::vector<TokenPair>(size_t(count), pair), layout, specials);
      Batch b = with_targets(prompts, {pair}, decode_batch(writer, prompts, layout, o), layout,
                             specials, length - 1);
      Tensor p = reshape(logits_of(teacher, b, layout), {-1, c.vocab}),
             q = reshape(logits_of(student, b, layout), {-1, c.vocab});
      score(p, q, b, site == kFromTeacher, d);
    }
    return d;
  };
  Drawn P = draw(teacher, kFromTeacher), Q = draw(student, kFromStudent);
  Divergences out;
  auto add = [&](const char* name, Mean exact, Mean step) -> ExactDivergence& {
    ExactDivergence& d = out.all[name];
    d.exact = exact.value, d.error = exact.error;
    d.stepwise = step.value, d.stepwise_error = step.error;
    return d;
  };
  Mean kl = mean(P.full), rkl = mean(Q.full), js = halves(P.half, Q.half);
  add("kl", kl, kl), add("rkl", rkl, rkl);
  add("js", js, halves(P.stepped, Q.stepped)).stepwise_exact_mixture = js.value;
  add("tvd", mean(each(P.ratio, [](double x) { return std::max(0.0, -std::expm1(-x)); })),
      halves(P.tvd, Q.tvd));
  compare("kl", P, kl.value, c.vocab, out.estimators);
  compare("rkl", Q, rkl.value, c.vocab, out.estimators);
  return out;
}

}  // namespace retort
