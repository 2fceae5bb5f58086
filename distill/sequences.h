// The teacher's targets for the training text, drawn once before training and kept (f-DISTILL,
// section 2.3: teacher samples are fixed, the student's are drawn anew in every step).
//   OUTPUT/teacher/sequences-METHOD-HASH.jsonl   the first line says what made them: checksums of
//   teacher, vocabulary and training text, how and with which seed they were decoded, and of the
//   other lines; then the token ids of one example a line, with their text.
#pragma once
#include <functional>

#include "distill/experiment.h"

namespace retort {

/// The teacher, loaded when it is first asked for.
using LoadTeacher = std::function<const Model&()>;

/// Where what is kept of the teacher's sequences lies, up to the ending (".jsonl" is theirs), and
/// what makes it what it is.
struct TeacherFile {
  std::string stem;
  Json made;
};
TeacherFile teacher_file(Experiment& experiment, const Decoding& decoding);
/// Throws, naming the file, the difference and what to do, where what made it is not `made`.
void check_made(const std::string& path, const Json& of_file, const Json& made);

/// A target (token ids, the end token not included) for each of experiment.pairs("train"); where
/// the end did not come within data.max_target + 1 tokens, so many. Reads the file or, where there
/// is none, decodes and writes it. Throws, with the file and what to do, where it was made by
/// another teacher, vocabulary, text or seed, or is damaged.
std::vector<std::vector<int>> teacher_sequences(Experiment& experiment, const Decoding& decoding,
                                                const LoadTeacher& teacher);

/// Removes all that is kept of them: they were the teacher's that is trained anew.
void remove_teacher_sequences(const Experiment& experiment);

}  // namespace retort
