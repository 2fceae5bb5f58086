// METEOR (Banerjee and Lavie 2005) as NLTK's meteor_score computes it: words are matched exactly,
// then by Porter's stem, then as WordNet's synonyms.
//   F = 10 P R / (R + 9 P),  METEOR = 100 F (1 - 1/2 (chunks / matches)^3)
#pragma once
#include "data/metrics.h"

namespace retort {

/// Where Debian's package wordnet-base puts WordNet.
constexpr const char* wordnet_folder = "/usr/share/wordnet";

/// Mean of the segments' scores, from 0 to 100; of several references of a segment the best counts.
/// Words are 13a tokens in lower case. Synonyms are matched where `wordnet` holds WordNet's files;
/// the signature says whether ("syn:wordnet-3.0" or "syn:no"). Throws std::invalid_argument when
/// there is no segment or reference, or the numbers of segments differ.
Measurement measure_meteor(const Segments& hypotheses, const std::vector<Segments>& references,
                           const std::string& wordnet = wordnet_folder);

}  // namespace retort
