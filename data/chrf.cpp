// Per segment three counts for each order; the corpus score is that of their sums.
#include "data/chrf.h"

#include "data/ngrams.h"
#include "data/text.h"

namespace retort {
namespace {

constexpr int orders = 6;
constexpr double beta2 = 2 * 2;

std::u32string without_space(const std::string& segment) {
  std::u32string text;
  for (std::string_view word : words_of(segment)) text += characters_of(word);
  return text;
}

std::vector<double> count(const std::u32string& hypothesis, const std::u32string& reference) {
  std::vector<double> counts;
  for (int n = 0; n < orders; n++) {
    double h = hypothesis.size() - std::min<size_t>(n, hypothesis.size());
    double r = reference.size() - std::min<size_t>(n, reference.size());
    // An order the reference is too short for does not count against the hypothesis.
    counts.push_back(r ? h : 0);
    counts.push_back(r);
    counts.push_back(clipped_matches(ngrams_of(hypothesis, n + 1), {ngrams_of(reference, n + 1)}));
  }
  return counts;
}

}  // namespace

double chrf_score(const std::vector<double>& counts) {
  double precision = 0, recall = 0;
  int used = 0;
  for (int n = 0; n < orders; n++) {
    double hypothesis = counts[3 * n], reference = counts[3 * n + 1], matches = counts[3 * n + 2];
    if (hypothesis == 0 || reference == 0) continue;
    precision += matches / hypothesis;
    recall += matches / reference;
    used++;
  }
  if (precision + recall == 0) return 0;
  precision /= used;
  recall /= used;
  return 100 * (1 + beta2) * precision * recall / (beta2 * precision + recall);
}

Measurement measure_chrf(const Segments& hypotheses, const std::vector<Segments>& references) {
  check_segments("chrf", hypotheses, references);
  Measurement m{{}, chrf_score, signature_of(references, "case:mixed|eff:yes|nc:6|nw:0|space:no")};
  for (size_t i = 0; i < hypotheses.size(); i++) {
    std::u32string hypothesis = without_space(hypotheses[i]);
    std::vector<double> best;
    double best_score = -1;
    for (auto& text : references_of(references, i)) {
      std::vector<double> counts = count(hypothesis, without_space(text));
      double score = chrf_score(counts);
      if (score > best_score) best = counts, best_score = score;
    }
    m.segments.push_back(best);
  }
  return m;
}

Chrf chrf(const Segments& hypotheses, const std::vector<Segments>& references) {
  Measurement m = measure_chrf(hypotheses, references);
  return {m.score(), m.signature};
}

}  // namespace retort
