// What results.json says of a model example by example: the metrics on text (data/metrics.h) and
// what is measured on probabilities. Each is a few statistics an example that add up, and a score
// made of their sums, so that examples can be drawn anew (data/bootstrap.h).
#pragma once
#include "data/metrics.h"

namespace retort {

/// A figure by its key in results.json.
struct Figure {
  const char *name, *title;  ///< title: as tables print it
  int decimals;              ///< to print
  bool lower_is_better;
  double (*score_of)(const std::vector<double>& sums);
  size_t statistics = 2;  ///< of each example; 0: as Metric has it
};

/// All figures: those of metrics(), then likelihood_risk coverage_risk teacher_dist length_ratio
/// end_rate student_entropy teacher_entropy agreement ece. All but ece are sums of the first
/// statistic over sums of the second, teacher_dist, end_rate and agreement in per cent. Last, as
/// second_NAME, the metrics on data.second_test.
const std::vector<Figure>& figures();

/// The figure of this name. Throws std::invalid_argument that lists the names.
const Figure& find_figure(const std::string& name);

/// What was measured of a figure, from its stored statistics. Throws std::invalid_argument where
/// there are none or some have not as many as the figure needs.
Measurement measurement_of(const std::string& figure, std::vector<std::vector<double>> segments,
                           std::string signature = "");

/// Expected calibration error in per cent, sum_b |sum of confidence - number right| / N, from
/// count, sum of confidence and number right of each bin b.
constexpr size_t ece_bins = 15;
double ece_score(const std::vector<double>& sums);

}  // namespace retort
