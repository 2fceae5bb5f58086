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

// The i-th number drawn under a key, from 0 to count - 1.
size_t drawn(uint64_t key, size_t i, size_t count) { return (mixed(key + i) >> 32) * count >> 32; }

Interval middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t cut = values.size() / 40;
  return {values.at(cut), values.at(values.size() - 1 - cut)};
}

}  // namespace

Resampled resample(const std::vector<Measurement>& seeds, const Resampling& resampling) {
  if (seeds.empty() || seeds[0].segments.empty())
    throw std::invalid_argument("bootstrap: there is nothing to draw from");
  Resampled result{0, std::vector<double>(resampling.times)};
  size_t count = seeds[0].segments.size(), width = seeds[0].segments[0].size();
  for (const Measurement& m : seeds) {
    if (m.segments.size() != count)
      throw std::invalid_argument(
          fmt::format("bootstrap: one seed has {} segments, another {}", count, m.segments.size()));
    if (m.segments[0].size() != width)
      throw std::invalid_argument(
          fmt::format("bootstrap: one seed has {} statistics a segment, another {}", width,
                      m.segments[0].size()));
    result.score += m.score();
  }
  result.score /= double(seeds.size());
#pragma omp parallel for
  for (int b = 0; b < resampling.times; b++) {
    uint64_t key = mixed(mixed(resampling.seed) + b);
    double total = 0;
    for (size_t s = 0; s < seeds.size(); s++) {
      const Measurement& m = seeds[drawn(~key, s, seeds.size())];
      std::vector<double> sums(width);
      for (size_t i = 0; i < count; i++) {
        const auto& segment = m.segments[drawn(key, i, count)];
        for (size_t k = 0; k < width; k++) sums[k] += segment[k];
      }
      total += m.score_of(sums);
    }
    result.scores[b] = total / double(seeds.size());
  }
  return result;
}

Interval interval_of(const Resampled& resampled) { return middle(resampled.scores); }

Interval bootstrap(const Measurement& measured, const Resampling& resampling) {
  return interval_of(resample({measured}, resampling));
}

Comparison compare(const Measurement& first, const Measurement& second,
                   const Resampling& resampling) {
  if (first.segments.size() != second.segments.size())
    throw std::invalid_argument(fmt::format("paired bootstrap: {} segments against {}",
                                            first.segments.size(), second.segments.size()));
  return compare(resample({first}, resampling), resample({second}, resampling));
}

Comparison compare(const Resampled& first, const Resampled& second) {
  if (first.scores.size() != second.scores.size())
    throw std::invalid_argument(fmt::format("paired bootstrap: {} resamples against {}",
                                            first.scores.size(), second.scores.size()));
  Comparison result;
  result.difference = first.score - second.score;
  std::vector<double> differences = first.scores;
  double mean = 0;
  for (size_t b = 0; b < differences.size(); b++) {
    differences[b] -= second.scores[b];
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
