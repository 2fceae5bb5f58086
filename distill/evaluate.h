// What a trained model is worth: on gold text (perplexity, token accuracy), by its outputs (BLEU,
// chrF; of classes and choices accuracy, F1), and against its teacher (f-DISTILL's likelihood and
// coverage risk).
#pragma once
#include "data/metrics.h"
#include "distill/experiment.h"

namespace retort {

struct Generation {
  std::vector<std::string> hypotheses, sources;
  /// references[r][i] of example i, "" where it has fewer than r + 1 (data/bleu.h).
  std::vector<std::vector<std::string>> references;
  Measurement length_ratio;  ///< tokens written to tokens of the (first) reference, cut if it was
  Measurement end_rate;      ///< per cent that ended before max_length
};
/// The model's output for each example of a split, in the corpus' order.
Generation generate_split(Experiment& experiment, const Model& model, const std::string& split,
                          const DecodeOptions& options);
/// One output for each source text (lines), for `retort generate`.
std::vector<std::string> generate_texts(Experiment& experiment, const Model& model,
                                        const std::vector<std::string>& sources,
                                        const DecodeOptions& options);
DecodeOptions decode_options(const Recipe& recipe);
/// Token ids of the model's output for the source of each pair, `evaluate.rows` at a time; under a
/// title progress is shown.
std::vector<std::vector<int>> decode_pairs(Experiment& experiment, const Model& model,
                                           const std::vector<TokenPair>& pairs,
                                           DecodeOptions options, const std::string& title = "");

/// {"score", "low", "high", "segments", "signature"}: a figure, its 95 % interval, and the
/// statistics (to 6 decimals) it can be made from again.
Json to_json(Measurement measurement);
/// results.json of a stage: every figure on the test split (or valid where there is no test).
/// `teacher` may be null: nothing that needs it then; the model itself: it is the teacher.
Json evaluate_stage(Experiment& experiment, const std::string& stage, const Model& model,
                    const Model* teacher, Generation* generation);

}  // namespace retort
