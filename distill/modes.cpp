#include "distill/modes.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/optimizer.h"
#include "losses/divergence.h"

namespace retort {
namespace {

void check(const ModesOptions& o) {
  ENSURE(o.length >= 1 && o.length <= 16,
         fmt::format("modes: the length must be 1 to 16 letters, got {}", o.length));
  ENSURE(o.weights[0] >= o.weights[1] && o.weights[1] > 0 && o.weights[0] + o.weights[1] < 1,
         fmt::format("modes: weights must fall, be above 0 and leave a rest (0.55,0.40), got {},{}",
                     o.weights[0], o.weights[1]));
  ENSURE(o.steps >= 0 && o.rate > 0 && std::isfinite(o.rate),
         fmt::format("modes: expected steps from 0 up and a learning rate above 0, got {} and {}",
                     o.steps, o.rate));
}

int sequences(const ModesOptions& o) { return 1 << o.length; }

// log P of all sequences (1, S); A^L comes first, B^L last.
Tensor teacher_log_probs(const ModesOptions& o) {
  int S = sequences(o);
  std::vector<double> p(size_t(S), (1 - o.weights[0] - o.weights[1]) / S);
  p.front() += o.weights[0], p.back() += o.weights[1];
  return log(Tensor::from(p, {1, S}, Dtype::f64));
}

// Which letters a sequence has, (2 L, S): row 2 t + v is 1 where letter t is v.
Tensor letters(const ModesOptions& o) {
  int S = sequences(o), L = o.length;
  std::vector<double> one(size_t(2 * L) * size_t(S), 0);
  for (int t = 0; t < L; t++)
    for (int s = 0; s < S; s++)
      one[size_t(2 * t + (s >> (L - 1 - t) & 1)) * size_t(S) + size_t(s)] = 1;
  return Tensor::from(one, {2 * L, S}, Dtype::f64);
}

// log Q of all sequences (N, S) for theta (N, L): log Q(y) = sum_t log q_t(y_t), with letter
// logits (0, theta_t).
Tensor student_log_probs(const Tensor& theta, const Tensor& letters) {
  int N = theta.dim(0), L = theta.dim(1);
  Tensor z = reshape(theta, {N, L, 1});
  Tensor rows = log_softmax(concat({Tensor::zeros(z.shape, Dtype::f64), z}, 2));
  return matmul(reshape(rows, {N, 2 * L}), letters);
}

// -sum_y P(y) log Q(y).
double cross_entropy(const Tensor& log_p, const Tensor& log_q) {
  return -sum(exp(log_p) * log_q).item();
}

ModesEnd end_of(const Tensor& log_p, const Tensor& log_q) {
  std::vector<double> q = exp(log_q).values(), letters(size_t(std::bit_width(q.size())), 0);
  for (size_t s = 0; s < q.size(); s++) letters[size_t(std::popcount(s))] += q[s];
  return {{q.front(), q.back()}, cross_entropy(log_p, log_q), cross_entropy(log_q, log_p), letters};
}

}  // namespace

Tensor modes_starts(int count, int length, uint64_t seed) {
  std::vector<double> theta;
  for (int n = 0; n < count; n++)
    for (int t = 0; t < length; t++)
      theta.push_back(0.5 * normal({seed}, uint32_t(n), uint32_t(t)));
  return Tensor::from(theta, {count, length}, Dtype::f64);
}

ModesEnd modes_teacher(const ModesOptions& o) {
  check(o);
  Tensor log_p = teacher_log_probs(o);
  return end_of(log_p, log_p);
}

ModesEnd mean(const std::vector<ModesEnd>& ends) {
  ModesEnd m;
  double n = double(ends.size());
  for (const ModesEnd& e : ends) {
    m.mass[0] += e.mass[0], m.mass[1] += e.mass[1];
    m.coverage_risk += e.coverage_risk, m.likelihood_risk += e.likelihood_risk;
    m.letters.resize(e.letters.size(), 0);
    for (size_t k = 0; k < e.letters.size(); k++) m.letters[k] += e.letters[k] / n;
  }
  m.mass[0] /= n, m.mass[1] /= n, m.coverage_risk /= n, m.likelihood_risk /= n;
  return m;
}

std::array<int, 3> outcomes(const std::vector<ModesEnd>& ends) {
  std::array<int, 3> count{};
  for (const ModesEnd& e : ends) count[size_t(e.outcome())]++;
  return count;
}

std::vector<ModesEnd> modes(const std::string& name, const Tensor& starts, const ModesOptions& o) {
  return modes_path(name, starts, o, {o.steps}).back();
}

std::vector<std::vector<ModesEnd>> modes_path(const std::string& name, const Tensor& starts,
                                              const ModesOptions& o,
                                              const std::vector<long>& frames) {
  check(o);
  ENSURE(std::is_sorted(frames.begin(), frames.end()) && !frames.empty() && frames.front() >= 0 &&
             frames.back() <= o.steps,
         fmt::format("modes: frames must rise from 0 to the {} steps", o.steps));
  ENSURE(starts.rank() == 2 && starts.dim(1) == o.length && starts.dtype == Dtype::f64,
         fmt::format("modes: expected starts f64 (N, {}), got {} {}", o.length,
                     name_of(starts.dtype), text(starts.shape)));
  int N = starts.dim(0);
  Parameters parameters(0, Dtype::f64);
  parameters.add("theta", starts.shape, 0);
  parameters.flatten();
  parameters.load({{"theta", starts}});
  Tensor theta = parameters["theta"].value;
  OptimizerOptions options;
  options.eps = 1e-10;
  auto adam = make_optimizer(options, parameters);
  Tensor log_p = teacher_log_probs(o), one = letters(o);
  Tensor teacher = contiguous(expand(log_p, {N, sequences(o)}));
  DivergenceName loss = parse_divergence(name);
  std::vector<std::vector<ModesEnd>> path;
  long step = 0;
  for (long frame : frames) {
    for (; step < frame; step++) {
      parameters.zero_grads();
      backward(sum(divergence(loss, teacher, student_log_probs(theta, one))));
      adam->step(o.rate);
    }
    NoGrad quiet;
    Tensor log_q = student_log_probs(theta, one);
    path.emplace_back();
    for (int n = 0; n < N; n++) path.back().push_back(end_of(log_p, slice(log_q, 0, n, 1)));
  }
  return path;
}

}  // namespace retort
