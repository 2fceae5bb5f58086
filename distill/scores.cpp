#include "distill/scores.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "distill/evaluate.h"
#include "distill/figures.h"
#include "distill/objective.h"
#include "engine/sample.h"
#include "losses/cross_entropy.h"

namespace retort {
namespace {

// A figure of so many examples, all statistics 0.
Measurement empty(const char* figure, size_t examples) {
  const Figure& f = find_figure(figure);
  return {std::vector<std::vector<double>>(examples, std::vector<double>(f.statistics)), f.score_of,
          ""};
}

std::vector<std::vector<int>> draw(Experiment& e, const Model& writer,
                                   const std::vector<TokenPair>& pairs, uint32_t step) {
  DecodeOptions o;  // the model's own distribution, however the recipe decodes
  o.key = decode_options(e.recipe()).key;
  o.key.step = step;
  o.method = "sample";
  o.max_length = e.recipe().data.max_target + 1;
  return decode_pairs(e, writer, pairs, o);
}

}  // namespace

void each_batch(Experiment& e, const std::vector<TokenPair>& pairs,
                const std::function<void(const Batch&)>& use) {
  BatchOptions o;
  o.layout = e.layout(), o.shuffle = false;
  for (const TokenPair& p : pairs)
    o.tokens = std::max({o.tokens, int(p.source.size()) + int(p.target.size()) + 4});
  Batcher batcher(pairs, e.specials(), o);
  for (int i = 0; i < batcher.count(0); i++) use(batcher.batch(0, i));
}

Tensor row_logits(const Model& model, const Batch& b, Layout layout) {
  Pass pass;
  Tensor logits = model.forward(inputs_of(b, layout, model.device()), pass).logits;
  return reshape(logits, {logits.rows(), logits.cols()});
}

std::vector<double> entropies(const Tensor& logits) {
  Tensor lp = log_softmax(logits);
  return scale(sum(mul(exp(lp), lp), 1), -1).values();
}

GoldScore score_gold(Experiment& e, const Model& model, const std::string& split,
                     const Model* teacher) {
  NoGrad quiet;
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  GoldScore score;
  score.agreement = empty("agreement", pairs.size());
  score.calibration = empty("ece", pairs.size());
  double right = 0;
  each_batch(e, pairs, [&](const Batch& b) {
    Tensor logits = row_logits(model, b, e.layout());
    if (e.layout() == Layout::classify && b.labels.empty()) {  // regression
      std::vector<double> y = logits.values();
      for (size_t k = 0; k < y.size(); k++)
        score.loss += (y[k] - b.values[k]) * (y[k] - b.values[k]);
      score.tokens += y.size();
      return;
    }
    Tensor labels = Tensor::from(b.labels, {logits.rows()}, logits.device());
    std::vector<double> losses = cross_entropy(logits, labels).values();
    BestTokens first = best(log_softmax(logits), 1);
    std::vector<int> likeliest = first.ids.ints(), of_teacher;
    std::vector<double> confidence = first.values.values();
    if (teacher) of_teacher = best(row_logits(*teacher, b, e.layout()), 1).ids.ints();
    for (size_t row = 0; row < losses.size(); row++) {
      if (b.labels[row] < 0) continue;
      size_t id = size_t(b.ids[size_t(b.row_of(row))]);
      bool hit = likeliest[row] == b.labels[row];
      double probability = std::exp(confidence[row]);
      size_t bin = std::min(ece_bins - 1, size_t(probability * ece_bins));
      std::vector<double>& counts = score.calibration.segments[id];
      counts[3 * bin] += 1, counts[3 * bin + 1] += probability, counts[3 * bin + 2] += hit;
      if (teacher) {
        score.agreement.segments[id][0] += likeliest[row] == of_teacher[row];
        score.agreement.segments[id][1] += 1;
      }
      score.loss += losses[row], right += hit, score.tokens++;
    }
  });
  score.loss /= double(std::max<size_t>(1, score.tokens));
  score.accuracy = right / double(std::max<size_t>(1, score.tokens));
  return score;
}

SampleScore score_samples(Experiment& e, const Model& writer, const Model& scorer,
                          const std::string& split) {
  NoGrad quiet;
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  std::vector<std::vector<int>> drawn = draw(e, writer, pairs, 0);
  SampleScore score{empty("likelihood_risk", pairs.size()), empty("student_entropy", pairs.size()),
                    empty("teacher_entropy", pairs.size())};
  each_batch(e, pairs, [&](const Batch& prompts) {
    std::vector<std::vector<int>> targets;
    for (int id : prompts.ids) targets.push_back(drawn[size_t(id)]);
    Batch b =
        with_targets(prompts, pairs, targets, e.layout(), e.specials(), e.recipe().data.max_target);
    Tensor of_scorer = row_logits(scorer, b, e.layout()),
           of_writer = &writer == &scorer ? of_scorer : row_logits(writer, b, e.layout());
    Tensor labels = Tensor::from(b.labels, {of_scorer.rows()}, of_scorer.device());
    std::vector<double> losses = cross_entropy(of_scorer, labels).values(),
                        theirs = entropies(of_scorer), own = entropies(of_writer);
    size_t length = losses.size() / size_t(b.size);
    for (size_t i = 0; i < size_t(b.size); i++) {
      double loss = 0, count = 0, own_sum = 0, their_sum = 0;
      for (size_t row = i * length; row < (i + 1) * length; row++)
        if (b.labels[row] >= 0)
          loss += losses[row], own_sum += own[row], their_sum += theirs[row], count++;
      size_t id = size_t(b.ids[i]);
      score.risk.segments[id] = {loss / std::max(1.0, count), 1};
      score.writer_entropy.segments[id] = {own_sum, count};
      score.scorer_entropy.segments[id] = {their_sum, count};
    }
  });
  return score;
}

Measurement teacher_diversity(Experiment& e, const Model& teacher, const std::string& split) {
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  std::vector<std::set<std::pair<int, int>>> distinct(pairs.size());
  std::vector<double> all(pairs.size());
  for (uint32_t sample = 1; sample <= 5; sample++) {
    std::vector<std::vector<int>> drawn = draw(e, teacher, pairs, sample);
    for (size_t i = 0; i < drawn.size(); i++)
      for (size_t t = 1; t < drawn[i].size(); t++)
        distinct[i].insert({drawn[i][t - 1], drawn[i][t]}), all[i]++;
  }
  Measurement m = empty("teacher_dist", pairs.size());
  for (size_t i = 0; i < pairs.size(); i++)
    if (all[i] > 0) m.segments[i] = {double(distinct[i].size()) / all[i], 1};
  return m;
}

}  // namespace retort
