// What a model's probabilities show, example by example, so that each figure has an interval
// (data/bootstrap.h): on gold text, on sequences that it or its teacher draws.
#pragma once
#include <functional>

#include "data/metrics.h"
#include "distill/experiment.h"

namespace retort {

/// Each batch of the pairs, shortest first; a row's id is its index among the pairs.
void each_batch(Experiment& experiment, const std::vector<TokenPair>& pairs,
                const std::function<void(const Batch&)>& use);
/// (N, V) logits of a batch.
Tensor row_logits(const Model& model, const Batch& batch, Layout layout);

/// Entropy in nats of softmax of each row of logits (N, V).
std::vector<double> entropies(const Tensor& logits);

/// On gold targets of a split, teacher-forced.
struct GoldScore {
  double loss = 0;      ///< mean per token (natural log); regression: mean squared error
  double accuracy = 0;  ///< share of tokens (or classes) that are the likeliest
  size_t tokens = 0;
  /// Per cent of tokens on which the teacher's likeliest token is the model's; where one is given.
  Measurement agreement;
  /// Expected calibration error in per cent (Guo et al. 2017): 15 bins of the likeliest token's
  /// probability, each its |mean probability - share right|, weighted by their tokens.
  Measurement calibration;
};
GoldScore score_gold(Experiment& experiment, const Model& model, const std::string& split,
                     const Model* teacher = nullptr);

/// One sequence is drawn from `writer` for each source of the split, plainly: temperature 1, all
/// tokens.
struct SampleScore {
  /// Mean over sequences of the mean negative log-probability per token (end token included) that
  /// `scorer` gives. Likelihood risk: the student writes, the teacher scores; coverage risk: the
  /// teacher writes, the student scores (f-DISTILL, section 4; per token as its published code).
  Measurement risk;
  /// Mean entropy in nats per token of both models' next-token distributions on these sequences.
  Measurement writer_entropy, scorer_entropy;
};
SampleScore score_samples(Experiment& experiment, const Model& writer, const Model& scorer,
                          const std::string& split);

/// Distinct bigrams of tokens among five sequences that the teacher draws for each source, in per
/// cent of all, averaged over sources (f-DISTILL, section 4.3: TeacherDist). Sources without any
/// bigram do not count.
Measurement teacher_diversity(Experiment& experiment, const Model& teacher,
                              const std::string& split);

}  // namespace retort
