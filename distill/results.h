// What an evaluated stage left in RUN/STAGE/results.json, read back and checked.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/metrics.h"

namespace retort {

/// One stage's results.json. Its figures (distill/figures.h) are measured anew from their segments.
struct StageResults {
  std::string path, recipe, stage, method, split, commit, machine;
  std::string recipe_fingerprint;  ///< of recipe, data and vocabulary, whatever the seed
  uint64_t seed = 0;
  size_t place = SIZE_MAX;           ///< among the recipe's stages, from 0; SIZE_MAX: not told
  double minutes = 0;                ///< of training
  std::vector<std::string> metrics;  ///< the recipe's; the first is the task's
  std::map<std::string, Measurement> figures;
  /// Of each split: how many examples were left out or cut, and why (Experiment::left_out()); none
  /// of results that do not say.
  std::map<std::string, std::map<std::string, size_t>> left_out;
};

/// Throws std::runtime_error, one line with the file and what to do, where it is missing, damaged,
/// lacks what a comparison needs, or where a stored score is not that of the stored segments.
StageResults read_results(const std::string& path);

/// An experiment's folder: its stages' results, of one recipe and seed.
struct RunResults {
  std::string folder, recipe;
  uint64_t seed = 0;
  std::map<std::string, StageResults> stages;
  std::vector<std::string> unfinished;  ///< folders of stages that have no results.json
};

/// Without stages where none has results. Throws std::runtime_error, as read_results, where the
/// folder is missing or holds results of several recipes or seeds. With `problems`, stages whose
/// results cannot be read are unfinished, and why is said there.
RunResults read_run(const std::string& folder, std::vector<std::string>* problems = nullptr);

}  // namespace retort
