#include "distill/oracle.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace retort {
namespace {

// V^L, or `most` + 1 where that is more.
long power(int vocab, int length, long most) {
  long n = 1;
  for (int t = 0; t < length && n <= most; t++) n = std::min(n * vocab, most + 1);
  return n;
}

int length_for(const Experiment& e, int vocab, const OracleOptions& o) {
  int longest = e.recipe().data.max_target + 1, length = 1;
  if (o.length > longest)
    throw std::runtime_error(
        fmt::format("length {}: the models write at most {} tokens, "
                    "data.max_target and the end; use a shorter one",
                    o.length, longest));
  if (o.length > 0) return o.length;
  while (length < longest && power(vocab, length + 1, o.most) <= o.most) length++;
  return length;
}

// The mean of those numbers that exist.
std::optional<double> mean(const std::vector<Divergences>& list, const std::string& name,
                           std::optional<double> ExactDivergence::*number) {
  double sum = 0, count = 0;
  for (const Divergences& d : list)
    if (const std::optional<double>& x = d.all.at(name).*number) sum += *x, count++;
  return count > 0 ? std::optional(sum / count) : std::nullopt;
}
void add_square(std::optional<double>& root, const std::optional<double>& x) {
  if (root && x) root = std::hypot(*root, *x);
}

// The mean of several, of one form.
Divergences mean(const std::vector<Divergences>& list) {
  Divergences m = list[0];
  for (size_t i = 1; i < list.size(); i++) {
    for (auto& [name, d] : m.all) {
      const ExactDivergence& x = list[i].all.at(name);
      d.exact += x.exact, d.stepwise += x.stepwise;
      add_square(d.error, x.error), add_square(d.stepwise_error, x.stepwise_error);
    }
    for (size_t k = 0; k < m.estimators.size(); k++) {
      Estimator& e = m.estimators[k];
      const Estimator& x = list[i].estimators[k];
      e.truth += x.truth, e.mean += x.mean, e.rows += x.rows, e.sampled += x.sampled;
      e.std = std::hypot(e.std, x.std);
    }
  }
  double n = double(list.size());
  for (auto& [name, d] : m.all) {
    d.exact /= n, d.stepwise /= n;
    for (auto* x : {&d.error, &d.stepwise_error})
      if (*x) **x /= n;
    for (auto number : {&ExactDivergence::grad_cosine, &ExactDivergence::grad_norm_ratio,
                        &ExactDivergence::stepwise_exact_mixture})
      d.*number = mean(list, name, number);
  }
  for (Estimator& e : m.estimators)
    e.truth /= n, e.mean /= n, e.rows /= n, e.sampled /= n, e.std /= std::sqrt(n);
  return m;
}

}  // namespace

Tensor logits_of(const Model& model, const Batch& batch, Layout layout) {
  Pass pass;
  Inputs inputs = inputs_of(batch, layout, model.device());
  return model.forward(inputs, pass).logits.to(Device::cpu).to(Dtype::f64);
}

int rows_at_a_time(const TokenPair& example, int length, int vocab) {
  long tokens = long(example.source.size()) + length + 1;
  return int(std::max(1L, std::min(8192 / tokens, (1L << 22) / (tokens * vocab))));
}

SequenceTables model_tables(const Model& teacher, const Model& student, const TokenPair& example,
                            Layout layout, int length) {
  NoGrad quiet;
  const ModelConfig& c = teacher.config();
  int V = c.vocab, first = layout == Layout::causal ? int(example.source.size()) : 0;
  size_t prefixes = 0, level = 1, targets = 1;  // targets: L - 1 tokens, none of them the end
  for (int t = 0; t < length; t++, level *= size_t(V)) prefixes += level;
  for (int t = 1; t < length; t++) targets *= size_t(V) - 1;
  std::vector<double> row(size_t(V), -1000), p, q;
  row[size_t(c.eos)] = 0;
  for (size_t i = 0; i < prefixes; i++) p.insert(p.end(), row.begin(), row.end());
  q = p;
  size_t rows = size_t(rows_at_a_time(example, length, V));
  for (size_t begin = 0; begin < targets; begin += rows) {
    std::vector<TokenPair> pairs(std::min(rows, targets - begin), example);
    for (size_t i = 0; i < pairs.size(); i++) {
      pairs[i].target.clear();
      for (size_t t = 1, rest = begin + i; t < size_t(length); t++, rest /= size_t(V) - 1) {
        int token = int(rest % (size_t(V) - 1));
        pairs[i].target.push_back(token + (token >= c.eos));
      }
    }
    Batch batch = collate(pairs, layout, {c.pad, c.bos, c.eos});
    auto read = [&](const Model& model, std::vector<double>& table) {
      std::vector<double> z = logits_of(model, batch, layout).values();
      for (size_t i = 0; i < pairs.size(); i++)
        for (size_t t = 0, node = 0; t < size_t(length); t++) {
          auto from = z.begin() + (long(i) * batch.target_length + first + long(t)) * V;
          std::copy(from, from + V, table.begin() + long(node) * V);
          if (t + 1 < size_t(length)) node = size_t(V) * node + 1 + size_t(pairs[i].target[t]);
        }
    };
    read(teacher, p), read(student, q);
  }
  SequenceTables tables = sequence_tables(Tensor::from(p, {int(prefixes), V}, Dtype::f64),
                                          Tensor::from(q, {int(prefixes), V}, Dtype::f64));
  tables.end = c.eos;
  return tables;
}

Oracle oracle(Experiment& e, const std::string& name, const OracleOptions& o) {
  if (e.layout() != Layout::seq2seq && e.layout() != Layout::causal)
    throw std::runtime_error(fmt::format(
        "data.layout {}: only seq2seq and causal have target sequences", e.recipe().data.layout));
  Model student = e.load(name), teacher = e.load("teacher");
  const std::vector<TokenPair>& pairs = e.pairs(e.evaluation_split()).pairs;
  if (o.examples > int(pairs.size()))
    throw std::runtime_error(fmt::format("data.{}: {} examples are asked for, it has {}",
                                         e.evaluation_split(), o.examples, pairs.size()));
  Oracle result;
  result.vocab = e.tokenizer().size();
  result.length = length_for(e, result.vocab, o);
  result.enumerated = power(result.vocab, result.length, o.most) <= o.most;
  auto one = [&](int i) -> Divergences {
    const TokenPair& example = pairs[size_t(i)];
    if (!result.enumerated)
      return sampled_divergences(teacher, student, example, e.layout(), result.length, o.samples,
                                 {o.seed, uint32_t(i)});
    SequenceTables t = model_tables(teacher, student, example, e.layout(), result.length);
    Divergences d{exact_divergences(t), {}};
    if (o.estimators)
      d.estimators = compare_estimators(t, d.all, o.estimators, o.seed + uint64_t(i));
    return d;
  };
  std::vector<Divergences> list;
  try {
    for (int i = 0; i < o.examples; i++) list.push_back(one(i));
  } catch (const std::exception& error) {
    throw std::runtime_error(fmt::format("{}: example {} of data.{}: {}", e.folder(name),
                                         list.size() + 1, e.evaluation_split(), error.what()));
  }
  static_cast<Divergences&>(result) = mean(list);
  return result;
}

}  // namespace retort
