// Metrics on text, and on labels and numbers written as text: each measures a corpus segment by
// segment, as statistics that add up, and makes its score of their sums; so a resampled corpus is
// scored without looking at the text again. docs/metrics.md says what each is and what it is
// compared with.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace retort {

using Segments = std::vector<std::string>;  ///< UTF-8, one segment each

/// What a metric finds in a corpus.
struct Measurement {
  std::vector<std::vector<double>> segments;  ///< statistics of each, all of one size
  double (*score_of)(const std::vector<double>& sums);
  std::string signature;  ///< "nrefs:1|...|version:retort-0.1.0", all that the score depends on

  std::vector<double> sums() const;
  double score() const { return score_of(sums()); }
};

/// Sums of two statistics as a score: the first over the second, 0 where the second is 0.
double ratio_score(const std::vector<double>& sums);

/// The measurement of a metric that is the mean of the segments' values.
Measurement mean_of(const std::vector<double>& values, std::string signature);

/// The references of segment i: of several sets those that are not empty there (an empty one is
/// missing, sacreBLEU's None); the first if all are.
Segments references_of(const std::vector<Segments>& references, size_t i);

/// "nrefs:1|details|version:retort-0.1.0", as sacreBLEU writes a signature; "nrefs:var" where
/// segments differ in the number of references.
std::string signature_of(const std::vector<Segments>& references, const std::string& details);

/// What a line is to a metric: text, labels (data/label_metrics.h), a number.
enum class Lines { text, labels, numbers };

/// A metric by its name. `measure` takes hypotheses and sets of references, `references[r][i]` for
/// hypothesis i (none where the metric does not need them), and throws std::invalid_argument where
/// there are no segments or their numbers differ.
struct Metric {
  const char *name, *title;  ///< title: as tables print it
  bool needs_references, lower_is_better;
  int decimals;       ///< to print
  size_t statistics;  ///< of each segment; 0: three for each class, as many as there are
  double (*score_of)(const std::vector<double>& sums);
  std::function<Measurement(const Segments&, const std::vector<Segments>&)> measure;
  Lines lines = Lines::text;
};

/// All metrics: bleu bleu1 bleu2 chrf ter rouge1 rouge2 rougeL meteor distinct1 distinct2
/// self_bleu; of short answers exact_match token_f1 (data/squad.h); of labels accuracy f1 macro_f1
/// matthews; of numbers pearson spearman.
const std::vector<Metric>& metrics();

/// The metric of this name. Throws std::invalid_argument that lists the names, or says why one that
/// people know is not computed here.
const Metric& find_metric(const std::string& name);

/// Throws std::invalid_argument unless there are segments and every reference set has as many.
void check_segments(const char* metric, const Segments& hypotheses,
                    const std::vector<Segments>& references);

}  // namespace retort
