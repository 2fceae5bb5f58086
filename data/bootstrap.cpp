// The generator is a function of seed and draw (splitmix64's mixing), so the same segments are
// drawn whichever metric or system is asked for.
#include "data/bootstrap.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>

namespace retort {
namespace {

uint64_t mixed(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// The score of each resampled corpus.
std::vector<double> resampled(const Measurement& measured, const Resampling& resampling) {
  const auto& segments = measured.segments;
  std::vector<double> scores;
  for (int b = 0; b < resampling.times; b++) {
    std::vector<double> sums(segments.at(0).size());
    uint64_t key = mixed(mixed(resampling.seed) + b);
    for (size_t i = 0; i < segments.size(); i++) {
      const auto& drawn = segments[(mixed(key + i) >> 32) * segments.size() >> 32];
      for (size_t k = 0; k < sums.size(); k++) sums[k] += drawn[k];
    }
    scores.push_back(measured.score_of(sums));
  }
  return scores;
}

Interval middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t cut = values.size() / 40;
  return {values.at(cut), values.at(values.size() - 1 - cut)};
}

}  // namespace

Interval bootstrap(const Measurement& measured, const Resampling& resampling) {
  return middle(resampled(measured, resampling));
}

Comparison compare(const Measurement& first, const Measurement& second,
                   const Resampling& resampling) {
  if (first.segments.size() != second.segments.size())
    throw std::invalid_argument(fmt::format("paired bootstrap: {} segments against {}",
                                            first.segments.size(), second.segments.size()));
  Comparison result;
  result.difference = first.score() - second.score();
  std::vector<double> differences = resampled(first, resampling);
  std::vector<double> others = resampled(second, resampling);
  double mean = 0;
  for (size_t b = 0; b < differences.size(); b++) {
    differences[b] -= others[b];
    mean += differences[b] / differences.size();
  }
  result.interval = middle(differences);
  // Shifted to a mean of 0, the resampled differences are those of two equal systems.
  auto as_large = [&](double d) { return std::abs(d - mean) >= std::abs(result.difference); };
  double larger = std::count_if(differences.begin(), differences.end(), as_large);
  result.p = (larger + 1) / (differences.size() + 1);
  return result;
}

}  // namespace retort
