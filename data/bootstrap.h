// Confidence by resampling segments with replacement (Koehn 2004; Riezler and Maxwell 2005): the
// statistics of a measurement are summed anew, the text is not looked at. Of several seeds, two-way
// random effects: segments and seeds, which are crossed. docs/compare.md.
#pragma once
#include "data/metrics.h"

namespace retort {

/// How often segments are drawn anew, and which draws; both systems of a comparison and all metrics
/// share them.
struct Resampling {
  int times = 1000;
  unsigned long seed = 1;
};

/// A system's score, and its scores when segments are drawn anew; under several seeds both are the
/// mean over them.
struct Resampled {
  double score = 0;
  std::vector<double> scores;
  std::vector<Resampled> seeds = {};  ///< each seed's, on the same draws; none where there is one
};

/// One system trained under several seeds and measured on the same segments each time. Throws
/// std::invalid_argument when there are no seeds or segments, or their numbers differ.
Resampled resample(const std::vector<Measurement>& seeds, const Resampling& resampling = {});

/// 95 per cent: of one seed the middle of the resampled scores, of other segments; of several
/// score +- t sqrt(V), of other segments and other seeds.
struct Interval {
  double low = 0, high = 0;
};
Interval bootstrap(const Measurement& measured, const Resampling& resampling = {});
Interval interval_of(const Resampled& resampled);

/// One system against another on the same segments and seeds.
struct Comparison {
  double difference = 0;  ///< score of the first less that of the second
  Interval interval;      ///< of the difference, as interval_of
  double p = 1;           ///< two-sided, of a difference at least as large if there were none
};

/// Paired comparison. Throws std::invalid_argument when the numbers of segments, of seeds or of
/// resamples differ.
Comparison compare(const Measurement& first, const Measurement& second,
                   const Resampling& resampling = {});
Comparison compare(const Resampled& first, const Resampled& second);

}  // namespace retort
