// Mistakes of published distillation code, one test each, on objectives of whole models. Each
// computes the mistaken form beside ours, from sequences that are fed one by one, without padding.
#include <catch2/catch.hpp>
#include <cmath>

#include "distill/objective.h"
#include "losses/cross_entropy.h"

using namespace retort;

namespace {

using Ids = std::vector<int>;
using Numbers = std::vector<double>;

ModelConfig small(const std::string& architecture) {
  ModelConfig c = ModelConfig::preset(architecture == "decoder" ? "gpt2" : "bart");
  c.vocab = 13, c.width = 16, c.heads = 2, c.layers = 1, c.ffn = 16, c.max_positions = 32;
  c.dropout = c.attention_dropout = 0, c.init_std = 0.4;
  return c;
}
Layout layout_of(const Model& m) {
  return m.config().architecture == "decoder" ? Layout::causal : Layout::seq2seq;
}

const std::vector<TokenPair> kPairs = {
    {{5, 6, 7}, {8}, 0, 0}, {{9}, {10, 11, 12, 5, 6}, 1, 0}, {{7, 7}, {5, 9, 8}, 2, 0}};
const Specials kSpecials;

// An update's loss and gradient; targets are the pairs' own, or the teacher's.
struct Result {
  double loss;
  Numbers grad;
  Update update;
};
Result run(Model& student, const Model* teacher, std::vector<Term> terms,
           const std::string& reduction = "tokens", std::vector<Ids> written = {},
           Specials specials = {}, std::vector<TokenPair> pairs = kPairs, int max_target = 9) {
  Stage stage;
  stage.name = "student", stage.terms = std::move(terms), stage.train.reduction = reduction;
  stage.student_sequences.method = "sample";
  Objective o(stage, layout_of(student), specials, 7, teacher, max_target, std::move(written));
  Result r{0, {}, o.prepare(student, {collate(pairs, layout_of(student), specials)}, pairs, 0)};
  student.parameters().zero_grads();
  o.accumulate(student, r.update);
  r.loss = r.update.loss().item(), r.grad = student.parameters().grads().values();
  return r;
}

// Log-probabilities that a model gives after each prefix of a pair laid out alone: row i is that of
// what follows decoder input i.
std::vector<Numbers> rows(const Model& m, const TokenPair& pair, int start) {
  NoGrad quiet;
  bool causal = layout_of(m) == Layout::causal;
  Ids source = pair.source, target = causal ? pair.source : Ids{};
  if (!causal) source.push_back(kSpecials.eos);
  target.push_back(start);
  target.insert(target.end(), pair.target.begin(), pair.target.end());
  target.push_back(kSpecials.eos);
  Inputs in;
  int S = int(source.size()), T = int(target.size());
  if (!causal)
    in.source = Tensor::from(source, {1, S}), in.source_lengths = Tensor::from(Ids{S}, {1});
  in.target = Tensor::from(target, {1, T}), in.target_lengths = Tensor::from(Ids{T}, {1});
  Pass pass;
  Numbers flat = log_softmax(m.forward(in, pass).logits).values();
  std::vector<Numbers> list;
  size_t V = size_t(m.config().vocab);
  for (int t = 0; t < T; t++)
    list.emplace_back(flat.begin() + long(size_t(t) * V), flat.begin() + long(size_t(t + 1) * V));
  return list;
}

double kl(const Numbers& lp, const Numbers& lq) {
  double s = 0;
  for (size_t v = 0; v < lp.size(); v++) s += std::exp(lp[v]) * (lp[v] - lq[v]);
  return s;
}

// Mean of f(log p, log q, next token) over the predictions of y and the end token, begun `late`
// positions too late.
template <class F>
double mean_over_targets(const Model& p, const Model& q, F f, int late = 0) {
  double total = 0;
  int count = 0;
  for (const TokenPair& pair : kPairs) {
    auto of_p = rows(p, pair, kSpecials.bos), of_q = rows(q, pair, kSpecials.bos);
    size_t first = layout_of(p) == Layout::causal ? pair.source.size() : 0;
    for (size_t t = 0; t <= pair.target.size(); t++, count++)
      total += f(of_p[first + t + size_t(late)], of_q[first + t + size_t(late)],
                 t < pair.target.size() ? pair.target[t] : kSpecials.eos);
  }
  return total / count;
}

}  // namespace

TEST_CASE("f-DISTILL, chat: the first target token is left out, what follows the end counted") {
  for (const char* architecture : {"decoder", "encoder_decoder"}) {
    Model teacher(small(architecture), 2, Dtype::f64), student(small(architecture), 3, Dtype::f64);
    auto f = [](const Numbers& p, const Numbers& q, int) { return kl(p, q); };
    double right = mean_over_targets(teacher, student, f),
           mistaken = mean_over_targets(teacher, student, f, 1);
    CHECK(run(student, &teacher, {{"kl", "gold"}}).loss == Approx(right).epsilon(1e-10));
    CHECK(std::abs(mistaken / right - 1) > 0.01);
  }
}

TEST_CASE("f-DISTILL, SeqKD: the mean is over padding and source too") {
  Model teacher(small("decoder"), 2, Dtype::f64), student(small("decoder"), 3, Dtype::f64);
  std::vector<Ids> written;
  for (const TokenPair& p : kPairs) written.push_back(p.target);
  Result r = run(student, &teacher, {{"ce", "teacher"}}, "tokens", written);
  double right = mean_over_targets(
      teacher, student, [](const Numbers&, const Numbers& q, int y) { return -q[size_t(y)]; });
  CHECK(r.loss == Approx(right).epsilon(1e-10));
  const Batch& b = r.update.batches.at("teacher")[0];
  CHECK(b.label_count < int(b.labels.size()));  // what the mistaken mean would divide by
}

TEST_CASE("f-DISTILL: a mean over the tokens of the batch where the paper has a sum over steps") {
  Model teacher(small("encoder_decoder"), 2, Dtype::f64),
      student(small("encoder_decoder"), 3, Dtype::f64);
  double mean = run(student, &teacher, {{"kl", "gold"}}).loss,
         sum = run(student, &teacher, {{"kl", "gold"}}, "batch").loss;
  CHECK(sum == Approx(mean * (1 + 1 + 5 + 1 + 3 + 1) / 3).epsilon(1e-10));  // per sequence
}

TEST_CASE("f-DISTILL: beta is the student's share, 0.85 of it no Jensen-Shannon divergence") {
  Term teachers = method_terms("gjs:0.15")[0], students = method_terms("gjs:0.15")[1];
  CHECK(teachers.on == "teacher");
  CHECK(teachers.loss == "skew_kl:0.15");  // KL(p || 0.15 p + 0.85 q)
  CHECK(teachers.weight == Approx(0.15));
  CHECK(students.on == "student");
  CHECK(students.loss == "skew_rkl:0.85");  // KL(q || 0.15 p + 0.85 q)
  CHECK(students.weight == Approx(0.85));
  for (const Term& t : method_terms("js")) CHECK(t.weight == 0.5);
}

TEST_CASE("f-DISTILL: samples are by beam search, top-k, top-p; ours plain, the teacher's fixed") {
  TeacherSequences t;
  StudentSequences s;
  for (const Decoding* d : {static_cast<Decoding*>(&t), static_cast<Decoding*>(&s)})
    CHECK((d->temperature == 1 && d->top_k == 0 && d->top_p == 1));
  CHECK((t.offline && s.every == 1));
  // Drawn once for all of training; the student's anew in each update.
  Model teacher(small("decoder"), 2, Dtype::f64), student(small("decoder"), 3, Dtype::f64);
  Stage stage;
  stage.name = "student", stage.terms = method_terms("js");
  stage.student_sequences.method = "sample";
  Objective o(stage, Layout::causal, {}, 7, &teacher, 9, {{4}, {5, 6}, {7}});
  Batch gold = collate(kPairs, Layout::causal, {});
  Update a = o.prepare(student, {gold}, kPairs, 0), b = o.prepare(student, {gold}, kPairs, 1);
  CHECK(a.batches.at("teacher")[0].labels == b.batches.at("teacher")[0].labels);
  CHECK(a.batches.at("student")[0].labels != b.batches.at("student")[0].labels);
}

TEST_CASE("f-DISTILL, ENGINE: the whole vocabulary on the student's samples, not hard tokens") {
  Model teacher(small("encoder_decoder"), 2, Dtype::f64),
      student(small("encoder_decoder"), 3, Dtype::f64);
  Result r = run(student, &teacher, method_terms("engine"));
  const Batch& b = r.update.batches.at("student")[0];
  double soft = 0, hard = 0;
  for (int i = 0; i < b.size; i++) {
    TokenPair sampled = kPairs[size_t(b.ids[size_t(i)])];
    Ids labels;
    for (int t = 0; t < b.target_length; t++)
      if (int y = b.labels[size_t(i * b.target_length + t)]; y >= 0) labels.push_back(y);
    sampled.target = labels;
    auto p = rows(teacher, sampled, kSpecials.bos), q = rows(student, sampled, kSpecials.bos);
    for (size_t t = 0; t < labels.size(); t++) {
      hard -= p[t][size_t(labels[t])] / b.label_count;
      for (size_t v = 0; v < p[t].size(); v++) soft -= std::exp(q[t][v]) * p[t][v] / b.label_count;
    }
  }
  CHECK(r.loss == Approx(soft).epsilon(1e-10));
  CHECK(std::abs(hard / soft - 1) > 0.01);
}

TEST_CASE("f-DISTILL: the teacher is a module in training: dropout in its targets, gradients") {
  ModelConfig config = small("encoder_decoder"), noisy = config;
  noisy.dropout = noisy.attention_dropout = 0.5;
  Model teacher(noisy, 2, Dtype::f64), student(config, 2, Dtype::f64);  // the same weights
  for (const char* method : {"kd", "predistil"}) {
    std::vector<Term> terms = method_terms(method);
    if (terms.size() > 1) terms.erase(terms.begin() + 1);  // cross-entropy is not 0
    Result r = run(student, &teacher, terms);
    CHECK(r.loss == Approx(0).margin(1e-12));
    for (double g : r.grad) CHECK(std::abs(g) < 1e-12);
    for (double g : teacher.parameters().grads().values()) CHECK(g == 0);
  }
}

TEST_CASE("f-DISTILL, DART and XSum: the teacher's decoder reads the student's encoder") {
  // A student that is its teacher but for the encoder: mistakenly both decoders are the same
  // function of the same states, and there is nothing to learn.
  ModelConfig config = small("encoder_decoder");
  Model teacher(config, 2, Dtype::f64), student(config, 2, Dtype::f64),
      other(config, 5, Dtype::f64);
  std::map<std::string, Tensor> encoder;
  for (const auto& [name, value] : other.parameters().values())
    if (name.rfind("encoder.", 0) == 0) encoder[name] = value;
  student.parameters().load(encoder, true);
  auto f = [](const Numbers& p, const Numbers& q, int) { return kl(p, q); };
  double right = mean_over_targets(teacher, student, f);
  CHECK(right > 1e-3);
  std::vector<Term> terms = method_terms("predistil");
  CHECK(run(student, &teacher, {terms[0]}).loss == Approx(0.8 * right).epsilon(1e-10));
  // Nor does the target have a gradient: here it would be the teacher's, and not 0.
  for (double g : teacher.parameters().grads().values()) CHECK(g == 0);
}

TEST_CASE("f-DISTILL, T5: where the start token is the padding's, the first position is left out") {
  const Specials t5{0, 0, kSpecials.eos};  // pad, bos
  Model teacher(small("encoder_decoder"), 2, Dtype::f64),
      student(small("encoder_decoder"), 3, Dtype::f64);
  double right = 0, mistaken = 0;
  for (const TokenPair& pair : kPairs) {
    auto p = rows(teacher, pair, 0), q = rows(student, pair, 0);
    for (size_t t = 0; t <= pair.target.size(); t++)
      right += kl(p[t], q[t]) / 12, mistaken += kl(p[t + 1], q[t + 1]) / 12;
  }
  Result r = run(student, &teacher, {{"kl", "gold"}}, "tokens", {}, t5);
  CHECK(r.loss == Approx(right).epsilon(1e-10));
  CHECK(std::abs(mistaken / right - 1) > 0.01);
}

TEST_CASE("SeqKD over all teacher sequences has KL's exact gradient") {
  // Sequences of at most two tokens over the whole vocabulary: (end), (a, end), (a, b).
  ModelConfig config = small("encoder_decoder");
  config.vocab = 6;
  Model teacher(config, 2, Dtype::f64), student(config, 3, Dtype::f64);
  TokenPair pair{{4, 5}, {}, 0, 0};
  std::vector<Ids> all{{}};
  for (int a = 0; a < 6; a++) {
    if (a == kSpecials.eos) continue;
    all.push_back({a});
    for (int b = 0; b < 6; b++)
      if (b != kSpecials.eos) all.push_back({a, b});
  }
  Numbers seqkd(student.parameters().grads().size()), kl_gradient = seqkd;
  double mass = 0, cross_entropy = 0, entropy = 0, exact = 0;
  for (const Ids& y : all) {
    pair.target = y;
    auto p = rows(teacher, pair, kSpecials.bos), q = rows(student, pair, kSpecials.bos);
    double log_p = 0, log_q = 0;
    for (size_t t = 0; t < std::min<size_t>(2, y.size() + 1); t++) {
      int token = t < y.size() ? y[t] : kSpecials.eos;
      log_p += p[t][size_t(token)], log_q += q[t][size_t(token)];
    }
    double weight = std::exp(log_p);
    mass += weight, entropy -= weight * log_p;
    Result hard = run(student, &teacher, {{"ce", "teacher"}}, "batch", {y}, {}, {pair}, 1),
           soft = run(student, &teacher, {{"kl", "teacher"}}, "batch", {y}, {}, {pair}, 1);
    cross_entropy += weight * hard.loss, exact += weight * soft.loss;
    for (size_t i = 0; i < seqkd.size(); i++)
      seqkd[i] += weight * hard.grad[i], kl_gradient[i] += weight * soft.grad[i];
  }
  CHECK(mass == Approx(1).epsilon(1e-12));
  CHECK(exact == Approx(cross_entropy - entropy).epsilon(1e-10));
  for (size_t i = 0; i < seqkd.size(); i++)
    CHECK(seqkd[i] == Approx(kl_gradient[i]).epsilon(1e-9).margin(1e-12));
}
