// Both are exact over the whole corpus and linear in its length: all n-grams are counted once.
#include "data/diversity.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <stdexcept>

#include "data/bleu.h"
#include "data/ngrams.h"

namespace retort {
namespace {

std::vector<std::u32string> numbered_segments(const Segments& segments) {
  std::unordered_map<std::string, char32_t> table;
  std::vector<std::u32string> numbers;
  for (const std::string& segment : segments)
    numbers.push_back(numbered(tokenize_13a(segment), table));
  return numbers;
}

// How often an n-gram occurs in the segment that has it most often, and in any other segment.
struct Most {
  long first = 0, second = 0;
  size_t segment = 0;

  void add(long count, size_t i) {
    if (count > first)
      second = first, first = count, segment = i;
    else
      second = std::max(second, count);
  }
};

// The length in `lengths` next to this one, the shorter of two.
long closest(const std::multiset<long>& lengths, long length) {
  auto above = lengths.lower_bound(length);
  if (above == lengths.begin()) return *above;
  long below = *std::prev(above);
  return above == lengths.end() || length - below <= *above - length ? below : *above;
}

}  // namespace

Measurement measure_distinct(int order, const Segments& hypotheses) {
  check_segments(fmt::format("distinct{}", order).c_str(), hypotheses, {hypotheses});
  std::vector<std::u32string> segments = numbered_segments(hypotheses);
  std::unordered_map<std::u32string_view, long> holders;  // segments that hold the n-gram
  double total = 0, n = segments.size();
  auto ngrams = [&](const std::u32string& s) {
    return std::max<long>(0, long(s.size()) - order + 1);
  };
  for (auto& segment : segments) {
    for (auto& [ngram, count] : ngrams_of(segment, order)) holders[ngram]++;
    total += ngrams(segment);
  }
  double distinct = holders.size(), score = total ? distinct / total : 0;

  // Jackknife pseudo-values: what the score gains by each segment, shifted to the score's mean.
  std::vector<double> values;
  double mean = 0;
  for (auto& segment : segments) {
    double own = 0, rest = total - ngrams(segment);
    for (auto& [ngram, count] : ngrams_of(segment, order)) own += holders[ngram] == 1;
    double without = rest ? (distinct - own) / rest : 0;
    values.push_back(n * score - (n - 1) * without);
    mean += values.back() / n;
  }
  for (double& value : values) value += score - mean;
  return mean_of(values, signature_of({}, fmt::format("case:mixed|tok:13a|n:{}", order)));
}

Measurement measure_self_bleu(const Segments& hypotheses) {
  if (hypotheses.size() < 2)
    throw std::invalid_argument(fmt::format(
        "self_bleu: {} segments: each is compared with the others, so give at least two",
        hypotheses.size()));
  std::vector<std::u32string> segments = numbered_segments(hypotheses);
  std::vector<std::vector<double>> counts(segments.size(), std::vector<double>(10));
  for (long n = 1; n <= 4; n++) {
    std::unordered_map<std::u32string_view, Most> most;
    for (size_t i = 0; i < segments.size(); i++)
      for (auto& [ngram, count] : ngrams_of(segments[i], n)) most[ngram].add(count, i);
    for (size_t i = 0; i < segments.size(); i++) {
      for (auto& [ngram, count] : ngrams_of(segments[i], n)) {
        const Most& m = most[ngram];
        counts[i][n - 1] += std::min(count, m.segment == i ? m.second : m.first);
      }
      counts[i][n + 3] = std::max(0L, long(segments[i].size()) - n + 1);
    }
  }
  std::multiset<long> lengths;
  for (auto& segment : segments) lengths.insert(segment.size());
  std::vector<double> values;
  for (size_t i = 0; i < segments.size(); i++) {
    long length = segments[i].size();
    lengths.erase(lengths.find(length));
    counts[i][8] = length;
    counts[i][9] = closest(lengths, length);
    lengths.insert(length);
    values.push_back(bleu_of(counts[i], true).score);
  }
  return mean_of(values,
                 signature_of({}, "case:mixed|eff:yes|tok:13a|smooth:exp|refs:other-segments"));
}

}  // namespace retort
