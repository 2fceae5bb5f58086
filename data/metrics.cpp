// The table of metrics, and what they share.
#include "data/metrics.h"

#include <fmt/core.h>

#include <stdexcept>

#include "data/bleu.h"
#include "data/chrf.h"
#include "data/diversity.h"
#include "data/label_metrics.h"
#include "data/meteor.h"
#include "data/rouge.h"
#include "data/squad.h"
#include "data/ter.h"
#include "data/text.h"

namespace retort {

std::vector<double> Measurement::sums() const {
  std::vector<double> sums(segments.at(0).size());
  for (const auto& segment : segments)
    for (size_t k = 0; k < sums.size(); k++) sums[k] += segment[k];
  return sums;
}

double ratio_score(const std::vector<double>& sums) { return sums[1] != 0 ? sums[0] / sums[1] : 0; }

Measurement mean_of(const std::vector<double>& values, std::string signature) {
  Measurement m{{}, ratio_score, signature};
  for (double value : values) m.segments.push_back({value, 1});
  return m;
}

Segments references_of(const std::vector<Segments>& references, size_t i) {
  Segments present;
  for (const Segments& set : references)
    if (!set[i].empty()) present.push_back(set[i]);
  return present.empty() ? Segments{references[0][i]} : present;
}

std::string signature_of(const std::vector<Segments>& references, const std::string& details) {
  std::string count = std::to_string(references.size());
  for (size_t i = 0; !references.empty() && i < references[0].size(); i++) {
    std::string here = std::to_string(references_of(references, i).size());
    if (i > 0 && here != count) {
      count = "var";
      break;
    }
    count = here;
  }
  return fmt::format("nrefs:{}|{}|version:retort-{}", count, details, RETORT_VERSION);
}

void check_segments(const char* metric, const Segments& hypotheses,
                    const std::vector<Segments>& references) {
  if (hypotheses.empty() || references.empty())
    throw std::invalid_argument(fmt::format("{}: no {} to score", metric,
                                            hypotheses.empty() ? "hypotheses" : "references"));
  for (size_t r = 0; r < references.size(); r++)
    if (references[r].size() != hypotheses.size())
      throw std::invalid_argument(
          fmt::format("{}: {} hypotheses but {} segments in reference set {}", metric,
                      hypotheses.size(), references[r].size(), r + 1));
}

const std::vector<Metric>& metrics() {
  using Sets = std::vector<Segments>;
  static const std::vector<Metric> table{
      {"bleu", "BLEU", true, false, 2, 10, bleu_score,
       [](const Segments& h, const Sets& r) { return measure_bleu(h, r); }},
      {"bleu1", "BLEU-1", true, false, 2, 10, bleu1_score,
       [](const Segments& h, const Sets& r) { return measure_bleu(h, r, 1); }},
      {"bleu2", "BLEU-2", true, false, 2, 10, bleu2_score,
       [](const Segments& h, const Sets& r) { return measure_bleu(h, r, 2); }},
      {"chrf", "chrF", true, false, 2, 18, chrf_score, measure_chrf},
      {"ter", "TER", true, true, 2, 2, ter_score, measure_ter},
      {"rouge1", "ROUGE-1", true, false, 2, 2, ratio_score,
       [](const Segments& h, const Sets& r) { return measure_rouge(1, h, r); }},
      {"rouge2", "ROUGE-2", true, false, 2, 2, ratio_score,
       [](const Segments& h, const Sets& r) { return measure_rouge(2, h, r); }},
      {"rougeL", "ROUGE-L", true, false, 2, 2, ratio_score,
       [](const Segments& h, const Sets& r) { return measure_rouge(0, h, r); }},
      {"meteor", "METEOR", true, false, 2, 2, ratio_score,
       [](const Segments& h, const Sets& r) { return measure_meteor(h, r); }},
      {"distinct1", "distinct-1", false, false, 4, 2, ratio_score,
       [](const Segments& h, const Sets&) { return measure_distinct(1, h); }},
      {"distinct2", "distinct-2", false, false, 4, 2, ratio_score,
       [](const Segments& h, const Sets&) { return measure_distinct(2, h); }},
      {"self_bleu", "self-BLEU", false, true, 2, 2, ratio_score,
       [](const Segments& h, const Sets&) { return measure_self_bleu(h); }},
      {"exact_match", "exact match", true, false, 4, 2, ratio_score, measure_exact_match},
      {"token_f1", "token F1", true, false, 4, 2, ratio_score, measure_token_f1},
      {"accuracy", "accuracy", true, false, 4, 2, ratio_score, measure_accuracy, Lines::labels},
      {"f1", "F1", true, false, 4, 3, f1_score, measure_f1, Lines::labels},
      {"macro_f1", "macro-F1", true, false, 4, 0, macro_f1_score, measure_macro_f1, Lines::labels},
      {"matthews", "Matthews", true, false, 4, 4, matthews_score, measure_matthews, Lines::labels},
      {"pearson", "Pearson", true, false, 4, 6, pearson_score, measure_pearson, Lines::numbers},
      {"spearman", "Spearman", true, false, 4, 6, pearson_score, measure_spearman, Lines::numbers},
  };
  return table;
}

const Metric& find_metric(const std::string& name) {
  std::vector<std::string> names;
  for (const Metric& metric : metrics()) {
    if (metric.name == name) return metric;
    names.push_back(metric.name);
  }
  std::string lower;
  for (char c : name) lower += c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
  for (const char* known : {"bertscore", "moverscore", "bleurt"})
    if (lower == known)
      throw std::invalid_argument(
          fmt::format("{} is not computed: it needs a pretrained network, which retort does not "
                      "have; metrics: {}",
                      name, join(names)));
  throw std::invalid_argument(fmt::format("no metric \"{}\"; there are {}", name, join(names)));
}

}  // namespace retort
