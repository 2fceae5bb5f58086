// Folders of runs made up for tests: results.json of stages whose figures are given by hand.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "distill/figures.h"
#include "distill/toml.h"
#include "tests/data/temporary.h"

namespace retort {

using Rows = std::vector<std::vector<double>>;  ///< statistics of each example

/// A figure as results.json has it.
inline Json stored(const std::string& name, const Rows& segments) {
  return {{"score", measurement_of(name, segments).score()}, {"segments", segments}};
}

/// The mean of `values` as a figure.
inline Json stored(const std::string& name, const std::vector<double>& values) {
  Rows segments;
  for (double value : values) segments.push_back({value, 1});
  return stored(name, segments);
}

/// A stage's results.json, of text it wrote: rougeL and a length ratio of 1.
inline Json results(const std::string& stage, unsigned seed, const std::vector<double>& values) {
  return {{"recipe", "toy"},
          {"seed", seed},
          {"stage", stage},
          {"method", stage},
          {"split", "test"},
          {"commit", "abc1234"},
          {"machine", "a computer"},
          {"minutes", 1.5},
          {"recipe_fingerprint", "f1"},
          {"metrics", {"rougeL"}},
          {"rougeL", stored("rougeL", values)},
          {"length_ratio", stored("length_ratio", std::vector<double>(values.size(), 1))}};
}

/// A folder of runs, removed at the end.
struct Runs : Temporary {
  /// Writes RUN/STAGE/results.json and returns its path.
  std::string write(const std::string& run, const Json& j) const {
    std::string stage = run + "/" + j["stage"].get<std::string>();
    std::filesystem::create_directories(folder + stage);
    return file(stage + "/results.json", j.dump());
  }
  /// The folder of a run.
  std::string operator()(const std::string& run) const { return folder + run; }
};

}  // namespace retort
