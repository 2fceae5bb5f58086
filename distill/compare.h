// Runs of one recipe under several seeds: every figure's mean over the seeds with its interval, and
// paired tests of one model against another. docs/compare.md.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/bootstrap.h"
#include "distill/results.h"

namespace retort {

/// A stage in all runs of a recipe.
struct StageStudy {
  std::string name, method;
  /// By name, those that all seeds have: the score is the mean over the seeds.
  std::map<std::string, Resampled> figures;
};

/// The runs of one recipe, which differ in their seed.
struct Study {
  std::string recipe, split;
  std::string metric;        ///< the task's: the recipe's first
  bool writes_text = false;  ///< no labels, no numbers, no answers to choose from
  /// The columns of the tables: the recipe's metrics and the risks; all other figures but
  /// teacher_dist, which only the teacher has.
  std::vector<std::string> columns, further;
  size_t examples = 0;
  std::vector<uint64_t> seeds;                 ///< in order
  std::vector<double> minutes;                 ///< of training, each seed's stages together
  std::vector<std::string> commits, machines;  ///< different ones
  std::vector<StageStudy> stages;              ///< in the recipe's order
  std::vector<std::string> left_out;           ///< "kl: no coverage_risk with seed 2"
  std::vector<std::string> missing;  ///< of the split: "3 source left out, over 128 tokens"

  /// The stage's figure, or null where it has none.
  const Resampled* find(const std::string& stage, const std::string& figure) const;
  /// The first stage less the second in a figure; none where either lacks it.
  std::optional<Comparison> compared(const std::string& first, const std::string& second,
                                     const std::string& figure) const;
};

/// The runs in these folders by recipe, sorted by its name. Throws std::runtime_error, one line
/// with the files and what to do, where runs of a recipe share a seed, or do not belong together:
/// another first metric, split, method, signature or number of examples.
std::vector<Study> study(const std::vector<std::string>& folders,
                         const Resampling& resampling = {});
/// The same of runs that are read already, each with a stage.
std::vector<Study> study(const std::vector<RunResults>& runs, const Resampling& resampling = {});

}  // namespace retort
