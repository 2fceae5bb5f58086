// Corpus chrF2 (Popović 2015) as sacreBLEU defines its default: character n-grams of orders 1 to 6
// without whitespace, precision and recall averaged over the orders that occur on both sides, F
// with beta = 2.
//   chrF = 100 (1 + beta^2) P R / (beta^2 P + R)
#pragma once
#include <string>
#include <vector>

#include "data/metrics.h"

namespace retort {

/// A corpus score from 0 to 100.
struct Chrf {
  double score = 0;
  std::string signature;  ///< "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:retort-0.1.0"
};

/// chrF2 of hypotheses against one or more sets of references, `references[r][i]` for hypothesis i;
/// an empty one is left out where the segment has others (sacreBLEU's None);
/// of several references of a segment the one of the highest segment score counts. Throws
/// std::invalid_argument when there is no segment or reference, or the numbers of segments differ.
Chrf chrf(const Segments& hypotheses, const std::vector<Segments>& references);

/// The same, segment by segment: for each order the n-grams of the hypothesis, of the reference,
/// and those in both.
Measurement measure_chrf(const Segments& hypotheses, const std::vector<Segments>& references);

/// The score of such counts.
double chrf_score(const std::vector<double>& sums);

}  // namespace retort
