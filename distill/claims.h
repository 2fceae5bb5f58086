// What f-DISTILL (Wen et al. 2023, arXiv 2307.15190, sections 4.2 and 4.3) claims, held against
// runs. Each comparison says that one model is better than another in a figure. It holds where the
// whole 95 per cent interval of the difference lies on the claimed side of 0, does not hold where
// it lies on the other, and is not decided else, nor where a model is missing.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "distill/compare.h"

namespace retort {

enum class Verdict { holds, does_not_hold, not_decided };
/// "holds", "does not hold" or "not decided".
const char* name_of(Verdict verdict);

/// "`first` is better than `second` in `figure`", in the runs of one recipe.
struct Finding {
  std::string recipe, first, second, figure;
  double first_score = 0, second_score = 0;
  std::optional<Comparison> compared;  ///< none where one of the two is missing
  Verdict verdict = Verdict::not_decided;
};

/// A claim holds where all its comparisons do, and does not hold where one does not.
struct Claim {
  std::string text, note;  ///< note: what was looked at, or why it is not decided
  std::vector<Finding> findings;
  bool whole = true;  ///< whether the findings are of all that is claimed
  Verdict verdict() const;
};

/// All five claims over all recipes.
std::vector<Claim> claims_of(const std::vector<Study>& studies);

/// The pairs of stages that the claims compare, each once.
std::vector<std::pair<std::string, std::string>> claimed_pairs();

}  // namespace retort
