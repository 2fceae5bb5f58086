// The generator is a function of seed and draw (splitmix64's mixing), so the same segments are
// drawn whichever metric or system is asked for.
#include "data/bootstrap.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>

#include "data/t_distribution.h"

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

// Mean square about the mean.
double variance(const std::vector<double>& values) {
  double mean = 0, sum = 0;
  for (double v : values) mean += v / double(values.size());
  for (double v : values) sum += (v - mean) * (v - mean);
  return sum / double(values.size());
}

// How far the mean over n seeds is from that of all segments and seeds: its variance, and how many
// degrees of freedom the estimate of it has.
struct Spread {
  double variance, degrees;
};

// score of seed s = mean + seed + segments + interaction, the last being what a seed makes of just
// these segments, and the noise of single predictions. Drawing segments shows the variance that
// their part and the interaction's share give the mean, `drawn`, and the interaction's share alone,
// `inter`; the scores' variance between seeds over n, `between`, is that of the seeds' part and the
// interaction's share again. So drawn + between - inter counts each part once.
//
// Degrees (Satterthwaite 1946): an estimate of v with k degrees has the variance 2 v^2 / k; those
// of a sum's parts add up, so V^2 / degrees = between^2 / (n - 1) + drawn^2 / draws. `inter`, of
// (n - 1) (segments - 1) degrees, adds next to nothing. Taking its value off `between` makes V
// smaller, but not surer: `between` counts whole. Where nothing is left of the seeds' part, V is
// `drawn` alone, with its degrees. A sum of positive parts has no fewer degrees than the least of
// theirs.
Spread spread_of(const Resampled& r) {
  double n = double(r.seeds.size()), draws = double(r.scores.size());
  std::vector<double> scores, apart(r.scores.size());
  double drawn = variance(r.scores), inter = 0;
  for (const Resampled& seed : r.seeds) {
    scores.push_back(seed.score);
    for (size_t b = 0; b < apart.size(); b++) apart[b] = seed.scores[b] - r.scores[b];
    inter += variance(apart) / (n * (n - 1));
  }
  double between = variance(scores) / (n - 1);
  if (between <= inter) return {drawn, draws};
  double v = drawn + between - inter;
  double degrees = v * v / (between * between / (n - 1) + drawn * drawn / draws);
  return {v, std::max(degrees, n - 1)};
}

// The first less the second, draw by draw and seed by seed.
Resampled difference(const Resampled& first, const Resampled& second) {
  Resampled d = first;
  d.score -= second.score;
  for (size_t b = 0; b < d.scores.size(); b++) d.scores[b] -= second.scores[b];
  for (size_t s = 0; s < d.seeds.size(); s++)
    d.seeds[s] = difference(first.seeds[s], second.seeds[s]);
  return d;
}

// Two-sided: how often a difference would be at least as large if there were none.
double p_of(const Resampled& d) {
  if (!d.seeds.empty()) {
    Spread spread = spread_of(d);
    if (spread.variance == 0) return d.score == 0;
    double below = t_cdf(-std::abs(d.score) / std::sqrt(spread.variance), spread.degrees);
    return std::max(0., 2 * below);  // the integral is not exact to the last digit
  }
  // Shifted to a mean of 0, the resampled differences are those of two equal systems.
  double mean = 0;
  for (double x : d.scores) mean += x / double(d.scores.size());
  auto as_large = [&](double x) { return std::abs(x - mean) >= std::abs(d.score); };
  double larger = std::count_if(d.scores.begin(), d.scores.end(), as_large);
  return (larger + 1) / (d.scores.size() + 1);
}

}  // namespace

Resampled resample(const std::vector<Measurement>& seeds, const Resampling& resampling) {
  if (seeds.empty() || seeds[0].segments.empty())
    throw std::invalid_argument("bootstrap: there is nothing to draw from");
  Resampled result{0, std::vector<double>(resampling.times)};
  result.seeds.assign(seeds.size(), result);
  size_t count = seeds[0].segments.size(), width = seeds[0].segments[0].size();
  for (size_t s = 0; s < seeds.size(); s++) {
    const Measurement& m = seeds[s];
    if (m.segments.size() != count)
      throw std::invalid_argument(
          fmt::format("bootstrap: one seed has {} segments, another {}", count, m.segments.size()));
    if (m.segments[0].size() != width)
      throw std::invalid_argument(
          fmt::format("bootstrap: one seed has {} statistics a segment, another {}", width,
                      m.segments[0].size()));
    result.seeds[s].score = m.score();
    result.score += result.seeds[s].score / double(seeds.size());
  }
#pragma omp parallel for
  for (int b = 0; b < resampling.times; b++) {
    uint64_t key = mixed(mixed(resampling.seed) + b);
    std::vector<std::vector<double>> sums(seeds.size(), std::vector<double>(width));
    for (size_t i = 0; i < count; i++) {
      size_t segment = drawn(key, i, count);
      for (size_t s = 0; s < seeds.size(); s++)
        for (size_t k = 0; k < width; k++) sums[s][k] += seeds[s].segments[segment][k];
    }
    for (size_t s = 0; s < seeds.size(); s++) {
      result.seeds[s].scores[b] = seeds[s].score_of(sums[s]);
      result.scores[b] += result.seeds[s].scores[b] / double(seeds.size());
    }
  }
  if (seeds.size() == 1) result.seeds.clear();
  return result;
}

Interval interval_of(const Resampled& resampled) {
  if (resampled.seeds.empty()) return middle(resampled.scores);
  Spread spread = spread_of(resampled);
  double reach = t_quantile(0.975, spread.degrees) * std::sqrt(spread.variance);
  return {resampled.score - reach, resampled.score + reach};
}

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
  if (first.seeds.size() != second.seeds.size())
    throw std::invalid_argument(fmt::format("paired bootstrap: {} seeds against {}",
                                            std::max<size_t>(first.seeds.size(), 1),
                                            std::max<size_t>(second.seeds.size(), 1)));
  Resampled d = difference(first, second);
  return {d.score, interval_of(d), p_of(d)};
}

}  // namespace retort
