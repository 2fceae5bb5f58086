#include "distill/choices.h"

#include <fmt/core.h>

#include <algorithm>

#include "distill/scores.h"
#include "engine/sample.h"
#include "losses/cross_entropy.h"

namespace retort {
namespace {

const Example& example_of(Experiment& e, const std::string& split, const TokenPair& pair) {
  return e.corpus(split).examples[size_t(pair.id)];
}

// What may be right of an example.
Segments right_of(const Example& x) {
  if (!x.references.empty()) return x.references;
  return {x.label.empty() ? x.target : x.label};
}

// One answer for each pair as lines beside what is right.
Generation lines_of(Experiment& e, const std::string& split, const Segments& answers) {
  Generation g;
  size_t question = 0;
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  for (size_t i = 0; i < pairs.size(); i++) {
    const Example& x = example_of(e, split, pairs[i]);
    Segments right = right_of(x);
    if (x.group > 0 && x.group == question) {
      g.hypotheses.back() += '\t' + answers[i], g.references[0].back() += '\t' + right[0];
      continue;
    }
    question = x.group;
    if (right.size() > g.references.size())
      g.references.resize(right.size(), Segments(g.hypotheses.size()));
    g.hypotheses.push_back(answers[i]);
    right.resize(g.references.size());
    for (size_t r = 0; r < right.size(); r++) g.references[r].push_back(right[r]);
  }
  return g;
}

// The tokens of a choice.
std::vector<int> tokens_of(Experiment& e, const std::string& split, const TokenPair& pair,
                           const Choice& choice) {
  const DataOptions& data = e.recipe().data;
  std::vector<int> tokens = e.tokenizer().encode(choice.text);
  if (int(tokens.size()) > data.max_target && !data.truncate)
    throw std::runtime_error(fmt::format(
        "{}:{}: the choice \"{}\" has {} tokens, data.max_target is {}; raise it, or set "
        "data.truncate",
        e.corpus(split).path, example_of(e, split, pair).line, choice.text, tokens.size(),
        data.max_target));
  tokens.resize(std::min(tokens.size(), size_t(data.max_target)));
  return tokens;
}

// The classes a classifier finds likeliest, or a regression's numbers.
Segments labels_of(Experiment& e, const Model& model, const std::string& split) {
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  Segments answers(pairs.size());
  each_batch(e, pairs, [&](const Batch& b) {
    Tensor logits = row_logits(model, b, e.layout());
    if (e.labels().empty()) {
      std::vector<double> values = logits.values();
      for (size_t k = 0; k < values.size(); k++)
        answers[size_t(b.ids[k])] = fmt::format("{}", float(values[k]));
      return;
    }
    std::vector<int> likeliest = best(logits, 1).ids.ints();
    for (size_t k = 0; k < likeliest.size(); k++)
      answers[size_t(b.ids[k])] = e.labels()[size_t(likeliest[k])];
  });
  return answers;
}

}  // namespace

std::vector<std::vector<double>> choice_scores(Experiment& e, const Model& model,
                                               const std::string& split) {
  NoGrad quiet;
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  std::vector<std::vector<double>> scores(pairs.size());
  std::vector<TokenPair> rows;  // a pair for each choice
  std::vector<double*> at;
  for (size_t i = 0; i < pairs.size(); i++) {
    const std::vector<Choice>& choices = example_of(e, split, pairs[i]).choices;
    scores[i].resize(choices.size());
    for (size_t k = 0; k < choices.size(); k++) {
      rows.push_back(pairs[i]);
      rows.back().target = tokens_of(e, split, pairs[i], choices[k]);
      at.push_back(&scores[i][k]);
    }
  }
  each_batch(e, rows, [&](const Batch& b) {
    // (B T, V): the softmax is over V.
    Tensor logits = row_logits(model, b, e.layout());
    Tensor labels = Tensor::from(b.labels, {logits.rows()}, logits.device());
    std::vector<double> losses = cross_entropy(logits, labels).values();
    size_t length = losses.size() / size_t(b.size);
    for (size_t n = 0; n < losses.size(); n++)
      if (b.labels[n] >= 0) *at[size_t(b.ids[n / length])] -= losses[n];
  });
  return scores;
}

Generation answer_split(Experiment& e, const Model& model, const std::string& split) {
  NoGrad quiet;
  if (e.layout() == Layout::classify) return lines_of(e, split, labels_of(e, model, split));
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  std::vector<std::vector<double>> scores = choice_scores(e, model, split);
  Segments answers;
  for (size_t i = 0; i < pairs.size(); i++) {
    size_t first = size_t(std::max_element(scores[i].begin(), scores[i].end()) - scores[i].begin());
    answers.push_back(example_of(e, split, pairs[i]).choices[first].label);
  }
  return lines_of(e, split, answers);
}

void check_answers(Experiment& e, const std::string& split) {
  Segments right;
  for (const TokenPair& pair : e.pairs(split).pairs) {
    const Example& x = example_of(e, split, pair);
    right.push_back(right_of(x)[0]);
    for (const Choice& choice : x.choices) tokens_of(e, split, pair, choice);
  }
  Generation g = lines_of(e, split, right);
  for (const std::string& name : e.recipe().evaluate.metrics) try {
      find_metric(name).measure(g.hypotheses, g.references);
    } catch (const std::exception& error) {
      throw std::runtime_error(e.corpus(split).path + ": evaluate.metrics: " + error.what());
    }
}

}  // namespace retort
