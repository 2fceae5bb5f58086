// What evaluation says of probabilities, against sums by hand over one sequence at a time: which of
// the two models writes and which scores, the end token, entropies, calibration, TeacherDist.
#include "distill/scores.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "distill/evaluate.h"
#include "distill/figures.h"
#include "tests/distill/toy.h"

using namespace retort;

namespace {

int likeliest(const Row& row) {
  return int(std::max_element(row.begin(), row.end()) - row.begin());
}

// What the model draws for each source, as evaluation does, in draw number `step`.
std::vector<std::vector<int>> drawn(Experiment& e, const Model& model, uint32_t step) {
  DecodeOptions o;
  o.method = "sample", o.max_length = e.recipe().data.max_target + 1;
  o.key = decode_options(e.recipe()).key, o.key.step = step;
  return decode_pairs(e, model, e.pairs("test").pairs, o);
}

// The tokens that count, the end token where it was drawn.
std::vector<int> labels_of(std::vector<int> target, int max_target, int end) {
  if (int(target.size()) <= max_target) target.push_back(end);
  return target;
}

}  // namespace

TEST_CASE("scores: risks and entropies of two models by hand") {
  Toy toy;
  Experiment& e = *toy.experiment;
  Model writer = toy.model(1), scorer = toy.model(2);
  SampleScore score = score_samples(e, writer, scorer, "test");
  auto targets = drawn(e, writer, 0);
  size_t ended = 0;
  for (size_t i = 0; i < targets.size(); i++) {
    INFO(i);
    std::vector<int> labels = labels_of(targets[i], 8, e.specials().eos);
    const TokenPair& pair = e.pairs("test").pairs[i];
    auto p = log_probabilities(scorer, pair, labels, e.specials()),
         q = log_probabilities(writer, pair, labels, e.specials());
    double loss = 0, of_writer = 0, of_scorer = 0, count = double(labels.size());
    for (size_t t = 0; t < labels.size(); t++) {
      loss -= p[t][size_t(labels[t])];
      of_writer += entropy(q[t]), of_scorer += entropy(p[t]);
    }
    CHECK(score.risk.segments[i][0] == Approx(loss / count).epsilon(1e-9));
    CHECK(score.risk.segments[i][1] == 1);
    CHECK(score.writer_entropy.segments[i][0] == Approx(of_writer).epsilon(1e-9));
    CHECK(score.writer_entropy.segments[i][1] == count);
    CHECK(score.scorer_entropy.segments[i][0] == Approx(of_scorer).epsilon(1e-9));
    CHECK(score.scorer_entropy.segments[i][1] == count);
    ended += targets[i].size() <= 8;
  }
  CHECK(ended > 0);  // both kinds are here
  CHECK(ended < targets.size());
}

TEST_CASE("scores: loss, accuracy, agreement and calibration on gold text by hand") {
  Toy toy;
  Experiment& e = *toy.experiment;
  Model student = toy.model(1), teacher = toy.model(2);
  GoldScore score = score_gold(e, student, "test", &teacher);
  double loss = 0, right = 0, count = 0, agreed = 0;
  std::vector<double> confidence(15), hits(15);
  for (const TokenPair& pair : e.pairs("test").pairs) {
    std::vector<int> labels = labels_of(pair.target, 8, e.specials().eos);
    auto q = log_probabilities(student, pair, labels, e.specials()),
         p = log_probabilities(teacher, pair, labels, e.specials());
    for (size_t t = 0; t < labels.size(); t++) {
      int best = likeliest(q[t]);
      double top = std::exp(q[t][size_t(best)]);
      loss -= q[t][size_t(labels[t])];
      right += best == labels[t], agreed += best == likeliest(p[t]), count++;
      confidence[size_t(top * 15)] += top, hits[size_t(top * 15)] += best == labels[t];
    }
  }
  double apart = 0;
  for (size_t b = 0; b < 15; b++) apart += std::abs(confidence[b] - hits[b]);
  CHECK(score.tokens == size_t(count));
  CHECK(score.loss == Approx(loss / count).epsilon(1e-9));
  CHECK(score.accuracy == Approx(right / count).epsilon(1e-12));
  CHECK(right > 0);
  CHECK(agreed > 0);
  CHECK(score.agreement.score() == Approx(100 * agreed / count).epsilon(1e-9));
  CHECK(score.calibration.score() == Approx(100 * apart / count).epsilon(1e-7));
}

TEST_CASE("scores: TeacherDist is of five samples' bigrams, of tokens, by source") {
  Toy toy;
  Experiment& e = *toy.experiment;
  Model teacher = toy.model(2);
  Measurement m = teacher_diversity(e, teacher, "test");
  double sum = 0, sources = 0;
  std::vector<std::vector<std::vector<int>>> samples;
  for (uint32_t k = 1; k <= 5; k++) samples.push_back(drawn(e, teacher, k));
  CHECK(samples[0] != samples[1]);
  for (size_t i = 0; i < 24; i++) {
    std::vector<std::string> bigrams;
    for (const auto& sample : samples)
      for (size_t t = 0; t + 1 < sample[i].size(); t++)
        bigrams.push_back(fmt::format("{} {}", sample[i][t], sample[i][t + 1]));
    double all = double(bigrams.size());
    std::sort(bigrams.begin(), bigrams.end());
    bigrams.erase(std::unique(bigrams.begin(), bigrams.end()), bigrams.end());
    if (all > 0) sum += double(bigrams.size()) / all, sources++;
  }
  CHECK(m.score() == Approx(100 * sum / sources).epsilon(1e-12));
  CHECK(m.score() < 100);
}
