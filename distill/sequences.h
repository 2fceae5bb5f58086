// The teacher's targets for the training text, drawn once before training and kept (f-DISTILL,
// section 2.3: teacher samples are fixed, the student's are drawn anew in every step).
//   OUTPUT/teacher/sequences-METHOD-HASH.jsonl   the first line says what made them: checksums of
//   teacher, vocabulary and training text, how and with which seed they were decoded; then the
//   token ids of one example a line, with their text.
#pragma once
#include "distill/experiment.h"

namespace retort {

/// A target (token ids, the end token not included) for each of experiment.pairs("train"); where
/// the end did not come within data.max_target + 1 tokens, so many. Reads the file or, where there
/// is none, decodes and writes it. Throws, with the file and what to do, where it was made by
/// another teacher, vocabulary, text or seed, or is damaged.
std::vector<std::vector<int>> teacher_sequences(Experiment& experiment, const Decoding& decoding,
                                                const Model& teacher);

/// Removes them all: they were the teacher's that is trained anew.
void remove_teacher_sequences(const Experiment& experiment);

}  // namespace retort
