// ROUGE-N and ROUGE-L (Lin 2004) as rouge-score 0.1.2 computes them with stemming: lower case,
// words of a-z and 0-9, those of more than 3 characters stemmed (data/porter.h).
//   F1 = 2 P R / (P + R) of the n-grams, or of the longest common subsequence, in both
#pragma once
#include "data/metrics.h"

namespace retort {

/// Mean F1 of the segments, from 0 to 100, of n-grams of this order, or ROUGE-L for order 0; of
/// several references of a segment the best counts. Throws std::invalid_argument when there is no
/// segment or reference, or the numbers of segments differ.
Measurement measure_rouge(int order, const Segments& hypotheses,
                          const std::vector<Segments>& references);

/// The words rouge-score makes of a segment (UTF-8), stemmed.
std::vector<std::u32string> tokenize_rouge(const std::string& segment);

}  // namespace retort
