// What a trained model is worth: on gold text (perplexity, token accuracy), by its translations
// (BLEU, chrF), and against its teacher (f-DISTILL's likelihood and coverage risk).
#pragma once
#include "distill/experiment.h"

namespace retort {

struct Generation {
  std::vector<std::string> hypotheses, sources;
  /// references[r][i] of example i, "" where it has fewer than r + 1 (data/bleu.h).
  std::vector<std::vector<std::string>> references;
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

/// Mean over sequences of the mean negative log-probability per token (end token included) that
/// `scorer` gives to sequences sampled from `writer`, one per source of the split. Likelihood risk:
/// student writes, teacher scores; coverage risk: teacher writes, student scores (f-DISTILL,
/// section 4; per token as its published code).
double risk(Experiment& experiment, const Model& writer, const Model& scorer,
            const std::string& split);

/// results.json of a stage: every figure on the test split (or valid where there is no test).
/// `teacher` may be null: no risks then.
Json evaluate_stage(Experiment& experiment, const std::string& stage, const Model& model,
                    const Model* teacher, Generation* generation);

}  // namespace retort
