// Classifiers and answers to choose from: what a model says of each example of a split, as lines
// that data/metrics.h compares. A generative model answers with the likeliest of the choices: the
// one with the largest sum of its tokens' log-probabilities given the prompt, its end token
// included (so that a choice which begins another is not the likelier for being shorter), without
// normalisation by length; of equal ones the first.
#pragma once
#include "distill/evaluate.h"

namespace retort {

/// log p(choice, end | prompt) of the choices of each example of a split, in its pairs' order.
/// Throws where a choice has more tokens than data.max_target (cut with data.truncate).
std::vector<std::vector<double>> choice_scores(Experiment& experiment, const Model& model,
                                               const std::string& split);

/// What the model answers, as published labels, numbers or (ReCoRD) texts, and what is right; the
/// answers of one question (Example::group) on one line, parted by tabs.
Generation answer_split(Experiment& experiment, const Model& model, const std::string& split);

/// Compares what is right with itself, so that a metric or a choice that does not suit the data is
/// found before any training. Throws as these do.
void check_answers(Experiment& experiment, const std::string& split);

}  // namespace retort
