// How varied a corpus of outputs is, without references: distinct-n (Li et al. 2016) and self-BLEU
// (Zhu et al. 2018).
#pragma once
#include "data/metrics.h"

namespace retort {

/// distinct-n: different n-grams / all n-grams of the whole corpus, from 0 to 1; words are 13a
/// tokens, and no n-gram crosses segments. The measurement is the mean of each segment's influence,
/// so that it can be resampled: a corpus with repeated segments would only look less varied. Throws
/// std::invalid_argument when there is no segment.
Measurement measure_distinct(int order, const Segments& hypotheses);

/// Self-BLEU: the mean over segments of their sentence BLEU with all other segments as references,
/// from 0 (nothing in common) to 100. Throws std::invalid_argument when there are fewer than two
/// segments.
Measurement measure_self_bleu(const Segments& hypotheses);

}  // namespace retort
