// What papers claim, held against runs. Each comparison says that one model is better than another
// in a figure. It holds where the whole 95 per cent interval of the difference lies on the claimed
// side of 0, does not hold where it lies on the other, and is not decided else.
//   f-DISTILL  Wen et al. 2023, arXiv 2307.15190, sections 4.2 and 4.3: of text that models write
//   SinKD      Cui et al. 2024, arXiv 2402.17110: of labels and answers to choose from
// A study is held against the papers on its kind of output. Its students' names would not tell:
// both papers have a kl, one a divergence of sequences, the other one of classes.
#pragma once
#include <optional>
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
  Comparison compared;
  Verdict verdict = Verdict::not_decided;
};

/// A claim holds where all its comparisons do, and does not hold where one does not.
struct Claim {
  std::string paper, text;
  std::string note;               ///< what was looked at, and what is claimed but compared nowhere
  std::vector<Finding> findings;  ///< in every recipe that has both models
  bool whole = true;              ///< whether all that is claimed is compared somewhere
  Verdict verdict() const;
  /// Of the comparisons in this recipe alone; none where it has none.
  std::optional<Verdict> verdict_in(const std::string& recipe) const;
};

/// All claims of the papers of which something is compared in these studies, paper by paper.
std::vector<Claim> claims_of(const std::vector<Study>& studies);

/// The pairs of models to test in a study: those it has of the claims'; where it has none, each
/// other student and the first one.
std::vector<std::pair<std::string, std::string>> pairs_of(const Study& study);

}  // namespace retort
