// Metrics of classification and regression: what they make of each line adds up, so that they are
// resampled as all others (data/bootstrap.h). A line holds a label, or several parted by tabs where
// they belong together (MultiRC: the answers of one question); of regression, a number.
#pragma once
#include "data/metrics.h"

namespace retort {

/// Share of labels that are right.
Measurement measure_accuracy(const Segments& hypotheses, const std::vector<Segments>& references);
/// 2 tp / (2 tp + fp + fn) of label 1; the labels are 0 and 1. Nothing to find and nothing found:
/// 0.
Measurement measure_f1(const Segments& hypotheses, const std::vector<Segments>& references);
/// The mean over the references' classes of each class' F1. In a resample, over those that occur.
Measurement measure_macro_f1(const Segments& hypotheses, const std::vector<Segments>& references);
/// (tp tn - fp fn) / sqrt((tp+fp)(tp+fn)(tn+fp)(tn+fn)) of labels 0 and 1; 0 where that is 0/0.
Measurement measure_matthews(const Segments& hypotheses, const std::vector<Segments>& references);
/// Correlation of numbers; 0 where one side does not vary.
Measurement measure_pearson(const Segments& hypotheses, const std::vector<Segments>& references);
/// Pearson's of the numbers' ranks (equal ones share their mean rank) in the whole set: a resample
/// draws ranks, it does not rank anew.
Measurement measure_spearman(const Segments& hypotheses, const std::vector<Segments>& references);

/// Scores of summed statistics: tp fp fn; the same for each class; tp fp fn tn; and
/// n, x, y, xx, yy, xy of numbers brought to mean 0 and variance 1 in the whole set.
double f1_score(const std::vector<double>& sums);
double macro_f1_score(const std::vector<double>& sums);
double matthews_score(const std::vector<double>& sums);
double pearson_score(const std::vector<double>& sums);

}  // namespace retort
