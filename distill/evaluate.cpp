#include "distill/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "data/bootstrap.h"
#include "distill/objective.h"
#include "distill/progress.h"
#include "distill/trainer.h"

namespace retort {
namespace {

// Evaluation keeps nothing half done.
void stop_if_interrupted(const std::string& what = "evaluating") {
  if (interrupted())
    throw Interrupted{"stopped while " + what + "; the same command begins that anew"};
}

// Batches of similar source lengths, so that little is padded; ids say where rows belong.
std::vector<Batch> decode_batches(Experiment& e, const std::vector<TokenPair>& pairs) {
  std::vector<int> order(pairs.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return pairs[size_t(a)].source.size() < pairs[size_t(b)].source.size();
  });
  std::vector<Batch> batches;
  size_t rows = size_t(std::max(1, e.recipe().evaluate.rows));
  for (size_t i = 0; i < order.size(); i += rows) {
    std::vector<TokenPair> part;
    for (size_t k = i; k < std::min(order.size(), i + rows); k++) {
      part.push_back(pairs[size_t(order[k])]);
      part.back().id = order[k];
    }
    bool lines = e.layout() == Layout::blocks;
    Batch b = collate(part, lines ? Layout::causal : e.layout(), e.specials());
    for (int row = 0; lines && row < b.size; row++) {  // a language model goes on from bos x
      auto first = b.source.begin() + row * b.source_length, end = first + b.source_lengths[row];
      std::rotate(first, end - 1, end);
    }
    batches.push_back(std::move(b));
  }
  return batches;
}

std::vector<std::string> generate(Experiment& e, const Model& model,
                                  const std::vector<TokenPair>& pairs, DecodeOptions options) {
  std::vector<std::string> out;
  for (const std::vector<int>& ids : decode_pairs(e, model, pairs, options))
    out.push_back(e.tokenizer().decode(ids));
  return out;
}

}  // namespace

std::vector<std::vector<int>> decode_pairs(Experiment& e, const Model& model,
                                           const std::vector<TokenPair>& pairs,
                                           DecodeOptions options, const std::string& title) {
  std::vector<std::vector<int>> out(pairs.size());
  std::vector<Batch> batches = decode_batches(e, pairs);
  std::optional<Progress> progress;
  if (!title.empty()) progress.emplace(title, long(batches.size()), 0, 10);
  long done = 0;
  for (const Batch& b : batches) {
    stop_if_interrupted(title.empty() ? "evaluating" : "drawing " + title);
    options.sequences = b.ids;
    std::vector<std::vector<int>> targets = decode_batch(model, b, e.layout(), options);
    for (size_t i = 0; i < targets.size(); i++) out[size_t(b.ids[i])] = std::move(targets[i]);
    if (progress) progress->update(++done, "batches");
  }
  if (progress) progress->finish();
  return out;
}

DecodeOptions decode_options(const Recipe& recipe) {
  const EvaluateOptions& e = recipe.evaluate;
  DecodeOptions o = decode_options(e);
  o.min_length = e.min_length, o.max_length = e.max_length;
  o.key = {recipe.seed, 0, 1u << 24, 0};
  return o;
}

Generation generate_split(Experiment& e, const Model& model, const std::string& split,
                          const DecodeOptions& options) {
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  Generation g;
  g.hypotheses = generate(e, model, pairs, options);
  for (size_t i = 0; i < pairs.size(); i++) {
    const Example& x = e.corpus(split).examples[size_t(pairs[i].id)];
    size_t count = std::max<size_t>(1, x.references.size());
    g.sources.push_back(x.source);
    if (count > g.references.size()) g.references.resize(count, {pairs.size(), std::string()});
    g.references[0][i] = x.target;
    for (size_t r = 1; r < count; r++) g.references[r][i] = x.references[r];
  }
  return g;
}

std::vector<std::string> generate_texts(Experiment& e, const Model& model,
                                        const std::vector<std::string>& sources,
                                        const DecodeOptions& options) {
  if (e.layout() == Layout::classify)
    throw std::runtime_error("data.layout classify: an encoder generates nothing; see retort eval");
  std::vector<TokenPair> pairs(sources.size());
  for (size_t i = 0; i < sources.size(); i++) {
    pairs[i].source = e.tokenizer().encode(sources[i]);
    pairs[i].id = int(i);
    if (int(pairs[i].source.size()) > e.recipe().data.max_source)
      throw std::runtime_error(
          "input line " + std::to_string(i + 1) + ": " + std::to_string(pairs[i].source.size()) +
          " tokens, data.max_source is " + std::to_string(e.recipe().data.max_source));
  }
  return generate(e, model, pairs, options);
}

double risk(Experiment& e, const Model& writer, const Model& scorer, const std::string& split) {
  NoGrad quiet;
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  DecodeOptions options;  // the model's own distribution, however the recipe decodes
  options.key = decode_options(e.recipe()).key;
  options.method = "sample";
  options.max_length = e.recipe().data.max_target + 1;
  std::vector<double> per_sequence(pairs.size());
  for (const Batch& prompts : decode_batches(e, pairs)) {
    stop_if_interrupted();
    options.sequences = prompts.ids;
    std::vector<std::vector<int>> targets = decode_batch(writer, prompts, e.layout(), options);
    Batch b =
        with_targets(prompts, pairs, targets, e.layout(), e.specials(), e.recipe().data.max_target);
    Pass pass;
    Device device = scorer.device();
    Tensor logits = scorer.forward(inputs_of(b, e.layout(), device), pass).logits;
    int n = logits.rows(), length = n / b.size;
    Tensor labels = Tensor::from(b.labels, {n}, device);
    std::vector<double> losses =
        cross_entropy(reshape(logits, {n, logits.cols()}), labels).values();
    for (int row = 0; row < b.size; row++) {
      double sum = 0;
      int count = 0;
      for (int t = 0; t < length; t++)
        if (b.labels[size_t(row * length + t)] >= 0)
          sum += losses[size_t(row * length + t)], count++;
      per_sequence[size_t(b.ids[size_t(row)])] = sum / std::max(1, count);
    }
  }
  return std::accumulate(per_sequence.begin(), per_sequence.end(), 0.0) /
         double(std::max<size_t>(1, per_sequence.size()));
}

Json evaluate_stage(Experiment& e, const std::string& stage, const Model& model,
                    const Model* teacher, Generation* generation) {
  std::string split = e.evaluation_split();
  Json j = {{"stage", stage},
            {"split", split},
            {"parameters", model.parameters().count()},
            {"non_embedding_parameters", model.non_embedding_count()}};
  GoldScore gold = score_gold(e, model, split);
  bool regression = e.layout() == Layout::classify && e.recipe().data.labels == "numbers";
  if (regression) {
    j["mean_squared_error"] = gold.loss;
  } else {
    j["loss"] = gold.loss, j["accuracy"] = gold.accuracy;
    if (e.layout() != Layout::classify) j["perplexity"] = std::exp(gold.loss);
  }
  if (e.layout() != Layout::seq2seq && e.layout() != Layout::causal) return j;
  Generation g = generate_split(e, model, split, decode_options(e.recipe()));
  for (const std::string& name : e.recipe().evaluate.metrics) {
    Measurement m = find_metric(name).measure(g.hypotheses, g.references);
    Interval i = bootstrap(m);
    j[name] = {{"score", m.score()}, {"low", i.low}, {"high", i.high}, {"signature", m.signature}};
  }
  if (teacher && e.recipe().evaluate.risks) {
    j["likelihood_risk"] = risk(e, model, *teacher, split);
    j["coverage_risk"] = risk(e, *teacher, model, split);
  }
  if (generation) *generation = std::move(g);
  return j;
}

}  // namespace retort
