// The exact oracle of trained models: sequence-level divergences of a teacher and a student after
// one source. A sequence is a target's tokens over the whole vocabulary (V), up to the end token or
// cut after L tokens. Where V^L allows, all are enumerated (distill/exact.h); else they are drawn
// from both models, and every number is an unbiased estimate with its standard error.
#pragma once
#include "distill/estimators.h"
#include "distill/experiment.h"

namespace retort {

/// Both models' logits at every prefix of fewer than `length` target tokens, as float64. After the
/// end token only itself follows, in both: P/Q of what has ended stays, and with it divergences and
/// gradients.
SequenceTables model_tables(const Model& teacher, const Model& student, const TokenPair& example,
                            Layout layout, int length);

/// Sequence divergences and estimators of them (distill/estimators.h).
struct Divergences {
  std::map<std::string, ExactDivergence> all;
  std::vector<Estimator> estimators;
};

/// Estimates of kl, rkl, js and tvd, without gradients, from `samples` sequences of each model, a
/// function of key's seed and step. The losses of the whole rows are summed over positions;
/// `exact` is of kl and rkl the same as `stepwise`, of js `stepwise_exact_mixture`, of tvd
/// E_P max(0, 1 - Q/P). Estimators: k1, k2, k3 and full vocabulary, as they came out.
Divergences sampled_divergences(const Model& teacher, const Model& student,
                                const TokenPair& example, Layout layout, int length, int samples,
                                RandomKey key);

struct OracleOptions {
  int length = 0;  ///< L; 0: the largest that is enumerated, at least 1
  int examples = 1;
  int samples = 10'000;        ///< of each model and example, where they are drawn
  int estimators = 0;          ///< where all are enumerated: as compare_estimators(); 0: none
  uint64_t seed = 1;           ///< of the draws
  long most = kMostSequences;  ///< V^L up to which all are enumerated
};

/// What was computed, and what came out.
struct Oracle : Divergences {
  int vocab = 0, length = 0;
  bool enumerated = true;
};

/// Means over the first examples of the evaluation split, of a student and the recipe's teacher; of
/// the cosines and ratios too, the estimators' standard deviations as root mean squares. Throws
/// where a model, the examples or the length is not to be had.
Oracle oracle(Experiment& experiment, const std::string& student, const OracleOptions& options);

// What oracle.cpp and oracle_sampled.cpp share.

/// f64 logits (B, T, V) of a batch, on the CPU.
Tensor logits_of(const Model& model, const Batch& batch, Layout layout);
/// How many targets of this length go through the models at a time, in little memory.
int rows_at_a_time(const TokenPair& example, int length, int vocab);

}  // namespace retort
