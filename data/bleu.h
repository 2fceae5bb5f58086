// Corpus BLEU (Papineni et al. 2002) as sacreBLEU defines its default (Post 2018): 13a tokens,
// mixed case, orders 1 to 4, exponential smoothing of zero counts, closest reference length.
//   BLEU = 100 min(1, exp(1 - r/c)) exp(1/4 sum_n log p_n)
#pragma once
#include <array>
#include <string>
#include <vector>

#include "data/metrics.h"

namespace retort {

/// A corpus score from 0 to 100 and the counts it is made of.
struct Bleu {
  double score = 0, brevity_penalty = 1;
  std::array<double, 4> precisions{};  ///< percent, smoothed; all 0 where nothing matches
  std::array<long, 4> matches{}, totals{};
  long hypothesis_length = 0, reference_length = 0;  ///< tokens
  std::string signature;  ///< "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:retort-0.1.0"
};

/// BLEU of hypotheses against one or more sets of references, `references[r][i]` for hypothesis i;
/// an empty one is left out where the segment has others (sacreBLEU's None).
/// Throws std::invalid_argument when there is no segment or reference, or the numbers of segments
/// differ.
Bleu bleu(const Segments& hypotheses, const std::vector<Segments>& references);

/// The same, segment by segment: 4 matches, 4 totals, hypothesis length, reference length; scored
/// up to `order` 1, 2 or 4.
Measurement measure_bleu(const Segments& hypotheses, const std::vector<Segments>& references,
                         int order = 4);

/// BLEU of such statistics, without a signature. `effective_order` leaves out the orders that the
/// hypothesis is too short for, as sacreBLEU does for single sentences. Orders above `order` are
/// not looked at (sacreBLEU's max_ngram_order).
Bleu bleu_of(const std::vector<double>& sums, bool effective_order = false, int order = 4);

/// Its score alone, of orders up to 4, 1 and 2.
double bleu_score(const std::vector<double>& sums);
double bleu1_score(const std::vector<double>& sums);
double bleu2_score(const std::vector<double>& sums);

/// The tokens mteval-v13a makes of a segment (UTF-8).
std::vector<std::string> tokenize_13a(const std::string& segment);

}  // namespace retort
