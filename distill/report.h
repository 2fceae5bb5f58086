// What `retort compare` says: Markdown of a recipe's runs and of the claims, or all of it as JSON.
// The same runs give the same bytes.
#pragma once
#include <string>
#include <vector>

#include "distill/claims.h"
#include "distill/toml.h"

namespace retort {

/// Seeds, examples, TeacherDist, minutes, commits and machines of a recipe's runs, as one line.
std::string facts_of(const Study& study);

/// A recipe's tables, every figure with its interval, and paired tests of pairs_of() in the task's
/// metric and both risks. `times`: the resamples they were made with.
std::string report_of(const Study& study, int times);

/// Paper by paper, each claim with its verdict, over all and in each recipe, and the comparisons
/// that decide it.
std::string report_of(const std::vector<Claim>& claims);

/// All of it: {"resamples", "recipes": [...], "claims": [...]}.
Json json_of(const std::vector<Study>& studies, const std::vector<Claim>& claims, int times);

}  // namespace retort
