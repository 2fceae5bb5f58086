// Translation edit rate (Snover et al. 2006) as sacreBLEU's default computes it, after Tercom:
//   TER = 100 (insertions + deletions + substitutions + shifts of word blocks) / reference words
// Lower is better. Lower case, words as whitespace parts them.
#pragma once
#include "data/metrics.h"

namespace retort {

/// Per segment the edits to the nearest reference and the mean length of its references. Throws
/// std::invalid_argument when there is no segment or reference, or the numbers of segments differ.
Measurement measure_ter(const Segments& hypotheses, const std::vector<Segments>& references);

/// The score of such statistics.
double ter_score(const std::vector<double>& sums);

}  // namespace retort
