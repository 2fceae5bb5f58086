#include "distill/evaluate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "data/bootstrap.h"
#include "distill/choices.h"
#include "distill/figures.h"
#include "distill/objective.h"
#include "distill/progress.h"
#include "distill/scores.h"

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

// Of the masked tokens of each block.
Measurement accuracy_of(const GoldScore& gold) {
  const Figure& f = find_figure("accuracy");
  Measurement m{{}, f.score_of, ""};
  for (const std::vector<double>& bins : gold.calibration.segments) {
    std::vector<double>& sums = m.segments.emplace_back(2);
    for (size_t b = 0; b < bins.size(); b += 3) sums[0] += bins[b + 2], sums[1] += bins[b];
  }
  return m;
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
  o.max_length = e.max_length;
  o.key = {recipe.seed, 0, 1u << 24, 0};
  return o;
}

Generation generate_split(Experiment& e, const Model& model, const std::string& split,
                          const DecodeOptions& options) {
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  Generation g;
  g.length_ratio.score_of = find_figure("length_ratio").score_of;
  g.end_rate.score_of = find_figure("end_rate").score_of;
  std::vector<std::vector<int>> all = decode_pairs(e, model, pairs, options);
  for (size_t i = 0; i < pairs.size(); i++) {
    g.hypotheses.push_back(e.tokenizer().decode(all[i]));
    double length = double(all[i].size());
    g.length_ratio.segments.push_back({length, double(pairs[i].target.size())});
    g.end_rate.segments.push_back({length < options.max_length ? 1.0 : 0.0, 1});
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
  if (e.layout() == Layout::classify || e.layout() == Layout::masked)
    throw std::runtime_error("data.layout " + e.recipe().data.layout +
                             ": an encoder generates nothing; see retort eval");
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

Json to_json(Measurement m) {
  for (std::vector<double>& segment : m.segments)
    for (double& x : segment) x = std::round(x * 1e6) / 1e6;
  Interval i = bootstrap(m);
  Json j = {{"score", m.score()}, {"low", i.low}, {"high", i.high}, {"segments", Json::array()}};
  if (!m.signature.empty()) j["signature"] = m.signature;
  for (const std::vector<double>& segment : m.segments) {
    Json& row = j["segments"].emplace_back(Json::array());
    for (double x : segment) x == std::floor(x) ? row.push_back(int64_t(x)) : row.push_back(x);
  }
  return j;
}

Json evaluate_stage(Experiment& e, const std::string& stage, const Model& model,
                    const Model* teacher, Generation* generation) {
  std::string split = e.evaluation_split();
  const EvaluateOptions& options = e.recipe().evaluate;
  Json j = {{"stage", stage},
            {"split", split},
            {"parameters", model.parameters().count()},
            {"non_embedding_parameters", model.non_embedding_count()}};
  for (const std::string& each : {std::string("train"), split, std::string("second_test")})
    if (e.has(each))
      j["examples"][each] = e.pairs(each).pairs.size(), j["left_out"][each] = e.left_out(each);
  bool is_teacher = teacher == &model,
       regression = e.layout() == Layout::classify && e.recipe().data.labels == "numbers";
  GoldScore gold = score_gold(e, model, split, is_teacher || regression ? nullptr : teacher);
  if (regression) {
    j["mean_squared_error"] = gold.loss;
  } else {
    j["loss"] = gold.loss, j["ece"] = to_json(gold.calibration);
    if (teacher && !is_teacher) j["agreement"] = to_json(gold.agreement);
  }
  bool answers = has_answers(e.recipe().data), classes = e.layout() == Layout::classify;
  if (!answers) j["accuracy"] = gold.accuracy;  // of tokens; that of answers is a figure
  if (!classes) j["perplexity"] = std::exp(gold.loss);
  if (e.layout() == Layout::masked)
    j["accuracy"] = to_json(accuracy_of(gold)), j["metrics"] = {"accuracy"};
  if (e.layout() == Layout::blocks || e.layout() == Layout::masked) return j;
  j["metrics"] = options.metrics;
  auto measure = [&](const std::string& on, const std::string& prefix) {
    Generation g = answers ? answer_split(e, model, on)
                           : generate_split(e, model, on, decode_options(e.recipe()));
    for (const std::string& name : options.metrics)
      j[prefix + name] = to_json(find_metric(name).measure(g.hypotheses, g.references));
    return g;
  };
  Generation g = measure(split, "");
  if (e.has("second_test")) measure("second_test", "second_");
  if (!answers) j["length_ratio"] = to_json(g.length_ratio), j["end_rate"] = to_json(g.end_rate);
  if (teacher && options.risks && !classes) {
    SampleScore own = score_samples(e, model, *teacher, split);
    j["likelihood_risk"] = to_json(own.risk);
    j["coverage_risk"] =
        is_teacher ? j["likelihood_risk"] : to_json(score_samples(e, *teacher, model, split).risk);
    j["student_entropy"] = to_json(own.writer_entropy);
    j["teacher_entropy"] = to_json(own.scorer_entropy);
    if (is_teacher) j["teacher_dist"] = to_json(teacher_diversity(e, model, split));
  }
  if (generation) *generation = std::move(g);
  return j;
}

}  // namespace retort
