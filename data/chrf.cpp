// Per segment three counts for each order; the corpus score is that of their sums.
#include "data/chrf.h"

#include <fmt/core.h>

#include <array>

#include "data/ngrams.h"
#include "data/text.h"

namespace retort {
namespace {

constexpr int orders = 6;
constexpr double beta2 = 2 * 2;

// n-grams of hypothesis and reference and their matches, by order.
struct Counts {
  std::array<long, orders> hypothesis{}, reference{}, matches{};
};

double f_score(const Counts& counts) {
  double precision = 0, recall = 0;
  int used = 0;
  for (int n = 0; n < orders; n++) {
    if (counts.hypothesis[n] == 0 || counts.reference[n] == 0) continue;
    precision += double(counts.matches[n]) / counts.hypothesis[n];
    recall += double(counts.matches[n]) / counts.reference[n];
    used++;
  }
  if (precision + recall == 0) return 0;
  precision /= used;
  recall /= used;
  return 100 * (1 + beta2) * precision * recall / (beta2 * precision + recall);
}

std::u32string without_space(const std::string& segment) {
  std::u32string text;
  for (std::string_view word : words_of(segment)) text += characters_of(word);
  return text;
}

Counts count(const std::u32string& hypothesis, const std::u32string& reference) {
  Counts counts;
  for (int n = 0; n < orders; n++) {
    long h = hypothesis.size() - std::min<long>(n, hypothesis.size());
    long r = reference.size() - std::min<long>(n, reference.size());
    // An order the reference is too short for does not count against the hypothesis.
    counts.hypothesis[n] = r ? h : 0;
    counts.reference[n] = r;
    counts.matches[n] =
        clipped_matches(ngrams_of(hypothesis, n + 1), {ngrams_of(reference, n + 1)});
  }
  return counts;
}

}  // namespace

Chrf chrf(const std::vector<std::string>& hypotheses,
          const std::vector<std::vector<std::string>>& references) {
  check_segments("chrf", hypotheses, references);
  Counts total;
  for (size_t i = 0; i < hypotheses.size(); i++) {
    std::u32string hypothesis = without_space(hypotheses[i]);
    Counts best;
    double best_score = -1;
    for (auto& text : references_of(references, i)) {
      Counts counts = count(hypothesis, without_space(text));
      double score = f_score(counts);
      if (score > best_score) best = counts, best_score = score;
    }
    for (int n = 0; n < orders; n++) {
      total.hypothesis[n] += best.hypothesis[n];
      total.reference[n] += best.reference[n];
      total.matches[n] += best.matches[n];
    }
  }
  return {f_score(total),
          fmt::format("nrefs:{}|case:mixed|eff:yes|nc:6|nw:0|space:no|version:retort-{}",
                      reference_count(references), RETORT_VERSION)};
}

}  // namespace retort
