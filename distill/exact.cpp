#include "distill/exact.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "engine/safetensors.h"
#include "losses/divergence.h"

namespace retort {
namespace {

// Logits f64 (P, V), finite.
void check_logits(const char* name, const Tensor& x) {
  ENSURE(x.defined(),
         fmt::format("no tensor \"{}\"; store F64 logits [P,V] under this name", name));
  ENSURE(x.rank() == 2 && x.dtype == Dtype::f64,
         fmt::format("tensor {} must be F64 of shape (P, V), it is {} {}; store logits of P "
                     "prefixes over V letters",
                     name, name_of(x.dtype), text(x.shape)));
  std::vector<double> v = x.values();
  for (size_t i = 0; i < v.size(); i++)
    ENSURE(
        std::abs(v[i]) <= 1e25,
        fmt::format("tensor {}: prefix {}, letter {}: the logit is {}; logits must be finite and "
                    "within 1e25 (-1000 stands for a letter that cannot follow)",
                    name, i / size_t(x.cols()), i % size_t(x.cols()), v[i]));
}

// L of P = (V^L - 1)/(V - 1).
int length_of(int prefixes, int vocab) {
  long count = 0, level = 1;  // prefixes shorter than `length`, of this length
  int length = 0;
  for (; count < prefixes; level *= vocab, length++) count += level;
  ENSURE(length > 0 && count == prefixes,
         fmt::format("{} prefixes over {} letters are not all those of length 0 to L-1 for any L; "
                     "store P = (V^L - 1)/(V - 1) rows, for L = {}: {}",
                     prefixes, vocab, std::max(length, 1), std::max(count, 1L)));
  ENSURE(
      level <= kMostSequences,
      fmt::format("{}^{} = {} sequences, of which at most {} are enumerated; use fewer letters or "
                  "shorter sequences",
                  vocab, length, level, kMostSequences));
  return length;
}

// (P): the number of each prefix's row among the distinct ones, in order of appearance.
std::vector<int> rows_of(const Tensor& tie, const Tensor& student, std::vector<double>& distinct) {
  int P = student.dim(0), V = student.dim(1);
  ENSURE(!tie.defined() || (tie.dtype == Dtype::i32 && tie.shape == Shape{P}),
         fmt::format("tensor tie must be I64 of shape ({}), one number per prefix, it is {} {}", P,
                     name_of(tie.dtype), text(tie.shape)));
  std::vector<int> label = tie.defined() ? tie.ints() : std::vector<int>(), row(size_t(P), 0);
  std::vector<double> z = student.values();
  std::map<int, int> first;  // prefix of each label
  for (int i = 0, count = 0; i < P; i++) {
    auto [at, is_new] = first.try_emplace(label.empty() ? i : label[size_t(i)], i);
    row[size_t(i)] = is_new ? count++ : row[size_t(at->second)];
    auto begin = z.begin() + long(i) * V, original = z.begin() + long(at->second) * V;
    if (is_new) distinct.insert(distinct.end(), begin, begin + V);
    ENSURE(std::equal(begin, begin + V, original),
           fmt::format("tensor student: prefixes {} and {} have one number in tie, but their rows "
                       "differ; store the same logits, or give them different numbers",
                       at->second, i));
  }
  return row;
}

// log-probabilities of all V^L sequences from the logits of all prefixes (P, V): level by level,
// log P(y_<=t) = log P(y_<t) + log p(y_t | y_<t). Differentiable.
Tensor sequence_log_probs(const Tensor& logits) {
  Tensor rows = log_softmax(logits), level = Tensor::zeros({1}, Dtype::f64);
  for (int begin = 0; begin < logits.dim(0);) {
    int n = level.dim(0);
    level = reshape(reshape(level, {n, 1}) + slice(rows, 0, begin, n), {-1});
    begin += n;
  }
  return level;
}

// The step-wise loss of a divergence; P and Q (P) weigh the prefixes. `mixture`: as in
// DivergenceOptions, of js.
Tensor stepwise(const std::string& name, const Tensor& teacher, const Tensor& student,
                const Tensor& P, const Tensor& Q, const Tensor& mixture = {}) {
  DivergenceOptions options;
  options.mixture = mixture;
  auto expect = [&](const Tensor& weight, const char* d) {
    return sum(weight * divergence(parse_divergence(d), teacher, student, options));
  };
  if (name == "kl") return expect(P, "kl");
  if (name == "rkl") return expect(Q, "rkl");
  if (name == "js") return scale(expect(P, "skew_kl:0.5") + expect(Q, "skew_rkl:0.5"), 0.5);
  return scale(expect(P, "tvd") + expect(Q, "tvd"), 0.5);
}

// A value with its gradient in the distinct rows, and the sum of what was added up in that.
struct Derivative {
  double value;
  std::vector<double> grad;
  double scale = 0;
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
double norm(const Derivative& d) { return std::sqrt(dot(d.grad, d.grad)); }
bool cancels(const Derivative& d) { return norm(d) <= 1e-14 * d.scale; }

}  // namespace

SequenceTables sequence_tables(const Tensor& teacher, const Tensor& student, const Tensor& tie) {
  check_logits("teacher", teacher), check_logits("student", student);
  ENSURE(teacher.shape == student.shape,
         fmt::format("teacher {} and student {} differ in shape; both hold one row per prefix",
                     text(teacher.shape), text(student.shape)));
  SequenceTables t;
  t.teacher = teacher, t.vocab = teacher.dim(1);
  ENSURE(t.vocab >= 2, fmt::format("{} letters are too few; V must be 2 or more", t.vocab));
  t.length = length_of(teacher.dim(0), t.vocab);
  std::vector<double> distinct;
  t.row = rows_of(tie, student, distinct);
  t.student = Tensor::from(distinct, {int(distinct.size()) / t.vocab, t.vocab}, Dtype::f64);
  return t;
}

SequenceTables load_sequence_tables(const std::string& path) {
  TensorFile file = load_safetensors(path);
  try {
    return sequence_tables(file.tensors["teacher"], file.tensors["student"], file.tensors["tie"]);
  } catch (const std::exception& e) {
    throw std::runtime_error(path + ": " + e.what());
  }
}

std::vector<double> node_log_probs(const Tensor& logits) {
  std::vector<double> step = log_softmax(logits.detach()).values(), node = {0};
  size_t V = size_t(logits.cols());
  for (size_t n = 1; n <= step.size(); n++) node.push_back(node[(n - 1) / V] + step[n - 1]);
  return node;
}

std::map<std::string, ExactDivergence> exact_divergences(const SequenceTables& t) {
  int count = t.prefixes();
  Tensor rows = embedding(t.student, Tensor::from(t.row, {count}));
  std::vector<double> P = node_log_probs(t.teacher), Q = node_log_probs(rows);
  P.resize(size_t(count)), Q.resize(size_t(count));
  Tensor log_P = Tensor::from(P, {count}, Dtype::f64), log_Q = Tensor::from(Q, {count}, Dtype::f64);
  Tensor wP = exp(log_P), wQ = exp(log_Q);
  auto differentiate = [&](const std::function<Tensor(const Tensor&)>& f) {
    Tensor x = parameter(rows), y = f(x);
    backward(y);
    Derivative d{y.item(), std::vector<double>(t.student.size(), 0)};
    std::vector<double> g = grad(x).values();
    for (size_t i = 0, V = size_t(t.vocab); i < g.size(); i++)
      d.grad[size_t(t.row[i / V]) * V + i % V] += g[i], d.scale += std::abs(g[i]);
    return d;
  };
  Tensor teacher = reshape(sequence_log_probs(t.teacher), {1, -1});
  std::map<std::string, ExactDivergence> out;
  for (std::string name : {"kl", "rkl", "js", "tvd"}) {
    // The divergence of rows, of one row: over a vocabulary of all sequences.
    Derivative exact = differentiate([&](const Tensor& x) {
      Tensor student = reshape(sequence_log_probs(x), {1, -1});
      return divergence(parse_divergence(name), teacher, student);
    });
    Derivative step =
        differentiate([&](const Tensor& x) { return stepwise(name, t.teacher, x, wP, wQ); });
    ExactDivergence& d = out[name];
    d.exact = exact.value, d.stepwise = step.value;
    bool same = out["kl"].exact < 1e-26;  // no log-ratio above 1e-13
    if (!same && !cancels(exact) && !cancels(step)) {
      d.grad_cosine =
          std::clamp(dot(exact.grad, step.grad) / (norm(exact) * norm(step)), -1.0, 1.0);
      d.grad_norm_ratio = norm(step) / norm(exact);
    }
    if (name == "js")
      d.stepwise_exact_mixture = stepwise(name, t.teacher, rows, wP, wQ, log_P - log_Q).item();
  }
  return out;
}

}  // namespace retort
