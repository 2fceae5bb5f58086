// An objective: terms of losses on sequences. Each update has micro-batches; the sequences of each
// term (gold, or sampled from teacher or student) are made first, so that the reduction counts over
// all of them and accumulation equals the large batch.
#pragma once
#include "distill/experiment.h"

namespace retort {

/// What one update did.
struct UpdateResult {
  std::vector<Tensor> losses;  ///< of each forward pass, one number on the device
  long tokens = 0;             ///< valid label positions of the gold batches
  long sampled = 0;            ///< tokens sampled for the update
  double sample_seconds = 0;
  /// Weighted sum of the terms. Waits for the device.
  double loss() const;
  /// 0 where the loss is finite, else NaN: one f64 number on the device, nothing waits.
  Tensor watch() const;
};

class Objective {
 public:
  /// `teacher` may be null where no term needs it (checked here).
  Objective(const Stage& stage, Layout layout, Specials specials, uint64_t seed,
            const Model* teacher, int max_target);

  /// Adds the gradients of update `step` over these batches to student.parameters(). `batches` come
  /// with the pairs they were collated from, by id. With `check` a divergence that is not finite is
  /// an error which says why; that waits for the device.
  UpdateResult accumulate(Model& student, const std::vector<Batch>& batches,
                          const std::vector<TokenPair>& pairs, long step, bool check = false) const;

 private:
  Batch sequences_of(const std::string& writer, const Batch& gold,
                     const std::vector<TokenPair>& pairs, const Model& student, long step) const;
  Tensor loss_of(const Term& term, const Tensor& student, const Tensor& teacher, const Batch& batch,
                 double rows, double sequences, bool check) const;
  std::vector<Term> terms_;
  Layout layout_;
  Specials specials_;
  uint64_t seed_;
  const Model* teacher_;
  int max_target_;
  double smoothing_;
  Reduction reduction_;
};

/// `batch` with sampled targets in the place of its own; `pairs` as for Objective::accumulate. A
/// sample that did not end within max_target tokens keeps its last token where the end would stand,
/// so that no position is scored that was not sampled.
Batch with_targets(const Batch& batch, const std::vector<TokenPair>& pairs,
                   const std::vector<std::vector<int>>& targets, Layout layout, Specials specials,
                   int max_target);

/// Target sequences of each row of `batch`, decoded by `model` from its sources or prompts.
std::vector<std::vector<int>> decode_batch(const Model& model, const Batch& batch, Layout layout,
                                           DecodeOptions options);

}  // namespace retort
