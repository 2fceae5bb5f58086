// An objective: terms of losses on sequences. Each update has micro-batches; the sequences of each
// term (gold, or sampled from teacher or student) are made first, so that the reduction counts over
// all of them and accumulation equals the large batch.
#pragma once
#include <deque>
#include <map>

#include "distill/teacher_rows.h"
#include "losses/transport.h"

namespace retort {

/// Sites of random numbers (kernels/random.h), far from the models' own.
enum Site : uint32_t {
  kStudentSamples = 1u << 20,
  kTeacherSamples = 1u << 21,
  kMix = 1u << 22,
  kReplay = 1u << 23
};

/// One update: its sequences, made first, then the losses on them.
struct Update {
  /// A target that the student drew, and the pair it is for.
  struct Drawn {
    int id;
    std::vector<int> target;
  };
  std::vector<Drawn> drawn;
  long step = 0;
  long tokens = 0;   ///< valid label positions of the gold batches
  long sampled = 0;  ///< tokens sampled for the update
  double sample_seconds = 0;
  std::map<std::string, std::vector<Batch>> batches;  ///< by who wrote the targets
  std::map<std::string, double> rows, source_rows;    ///< positions that count of each
  double sequences = 0;                               ///< of each
  double progress = 0;                                ///< of training, 0 to 1
  std::vector<Tensor> losses;                         ///< of each forward pass, on the device
  std::vector<Sinkhorn> solved;                       ///< what transport terms found
  /// Weighted sum of the terms: one f64 number on the device.
  Tensor loss() const;
};

class Objective {
 public:
  /// `teacher` may be null where no term needs it (checked here). `teacher_sequences` holds the
  /// teacher's targets of all training pairs, or none: then they are drawn for each batch. `rows`
  /// stand for the teacher in terms on these targets; null: it is run. `answers` are the tokens of
  /// terms with vocabulary "answers".
  Objective(const Stage& stage, Layout layout, Specials specials, uint64_t seed,
            const Model* teacher, int max_target,
            std::vector<std::vector<int>> teacher_sequences = {}, const TeacherRows* rows = nullptr,
            std::vector<int> answers = {});

  /// The sequences of update `step`, `progress` (0 to 1) of training. `batches` come with the pairs
  /// they were collated from, by id. Keeps the student's for later updates (StudentSequences).
  Update prepare(const Model& student, const std::vector<Batch>& batches,
                 const std::vector<TokenPair>& pairs, long step, double progress = 0);
  /// Adds the gradients of an update to student.parameters(), and fills its losses. Nothing waits
  /// for the device, except transport terms, top-k rows, and with `check`: then a divergence that
  /// is not finite is an error which says why.
  void accumulate(Model& student, Update& update, bool check = false) const;

  /// The student's sequences that are kept, as text for a checkpoint; restore() takes it back and
  /// throws where it is damaged or names an example that is not one of `examples`.
  std::string kept() const;
  void restore(const std::string& text, size_t examples, int vocabulary);

 private:
  Batch sequences_of(const std::string& writer, const Batch& gold,
                     const std::vector<TokenPair>& pairs, const Model& student, bool replays,
                     Update& update) const;
  std::shared_ptr<const ClassCosts> costs_of(const Term& term) const;
  std::string writer_of(const std::string& on, long step, double progress) const;
  Tensor hidden_loss_of(const Term& term, const Model& student, const Outputs& of_student,
                        const Outputs& of_teacher, const Batch& batch, const Update& update) const;
  Tensor loss_of(const Term& term, const Tensor& student, TeacherSide teacher, const Batch& batch,
                 Update& update, bool check) const;
  std::vector<Term> terms_;
  Decoding of_teacher_;
  StudentSequences of_student_;
  Mix mix_, mix_end_;
  std::deque<Update::Drawn> kept_;  // the latest last
  std::vector<std::vector<int>> teacher_sequences_;
  const TeacherRows* teacher_rows_;
  std::vector<int> answers_;
  Layout layout_;
  Specials specials_;
  uint64_t seed_;
  const Model* teacher_;
  std::vector<std::shared_ptr<const ClassCosts>> costs_;  // of each term, or null
  int max_target_;
  double smoothing_;
  Reduction reduction_;
};

/// `batch` with sampled targets in the place of its own; `pairs` as for Objective::prepare. A
/// sample that did not end within max_target tokens keeps its last token where the end would stand,
/// so that no position is scored that was not sampled.
Batch with_targets(const Batch& batch, const std::vector<TokenPair>& pairs,
                   const std::vector<std::vector<int>>& targets, Layout layout, Specials specials,
                   int max_target);

/// Whole numbers from 0 to limit - 1 of a JSON list; throws, saying what is wrong.
std::vector<int> ids_in(const Json& list, int limit);

/// What a recipe says of decoding; lengths and key are the caller's.
DecodeOptions decode_options(const Decoding& decoding);

/// Target sequences of each row of `batch`, decoded by `model` from its sources or prompts.
std::vector<std::vector<int>> decode_batch(const Model& model, const Batch& batch, Layout layout,
                                           DecodeOptions options);

}  // namespace retort
