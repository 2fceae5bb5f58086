// The teacher's distributions on its sequences (distill/sequences.h), computed once before training
// and kept beside them, so that a term on teacher sequences need not run the teacher:
//   OUTPUT/teacher/sequences-METHOD-HASH.full.safetensors    logits (positions, V), as it gave them
//   OUTPUT/teacher/sequences-METHOD-HASH.top-K.safetensors   the K likeliest tokens (positions, K)
//   and their log-probabilities, those of all others together as the last (positions, K + 1)
// The positions of all examples follow each other. The header says what made the file, as the
// sequences' does; a checksum of each example's numbers is compared whenever they are read.
#pragma once
#include <memory>

#include "distill/sequences.h"
#include "engine/safetensors.h"

namespace retort {

/// What a term compares a student with, of each position of a batch, padding included: logits
/// (B T, V); or log-probabilities (B T, K + 1) of K tokens `ids` i32 (B T, K) and of all others
/// (losses/coarsen.h).
struct TeacherSide {
  Tensor logits, ids;
};

class TeacherRows {
 public:
  /// Opens the file of a stage's teacher_sequences or, where there is none, computes and writes it;
  /// `sequences` are the teacher's (teacher_sequences()). Throws, with the file and what to do,
  /// where the disk lacks room, or the file is damaged or was made by another teacher, vocabulary,
  /// text or other sequences.
  TeacherRows(Experiment& experiment, const TeacherSequences& how,
              const std::vector<std::vector<int>>& sequences, const LoadTeacher& teacher);

  /// Those of a batch of teacher sequences. Throws where what is read is damaged.
  TeacherSide of(const Batch& batch, Device device) const;

 private:
  void compute(Experiment& experiment, const std::vector<TokenPair>& written,
               const LoadTeacher& teacher, const std::map<std::string, TensorSpec>& layout,
               const std::string& made) const;
  std::string path_;
  int keep_k_;                  // 0: all
  std::vector<size_t> begins_;  // of each example's positions, then their number
  std::vector<int> checksums_;  // of each example's numbers
  std::unique_ptr<TensorReader> file_;
};

/// Throws where a file of so many bytes does not fit on the disk of `folder`.
void check_room(const std::string& folder, double bytes);

}  // namespace retort
