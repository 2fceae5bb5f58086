// What a report shows of a trained model beyond its figures (distill/page.h): inspection.json of a
// stage, made of a bounded number of test examples, on the gold text; `retort run` adds the
// checksums of the weights it is of.
//   samples    ten examples, evenly spread: {source, reference, output}
//   positions  by position of the target, from 1: {count, student_entropy, teacher_entropy}, nats
//   sentences  the first of the samples, by token: {token, student, teacher, kl, rkl, js, tvd}: the
//              models' likeliest tokens as [piece, probability], divergences in nats
//   transport  a Sinkhorn plan between rows of student and teacher: {loss, rows, plan, row_error,
//              column_error, gap, iterations}
// Without a teacher, or of the teacher itself, what compares the two is left out; of labels and
// masked tokens so are positions and sentences, and samples where no text is written.
#pragma once
#include "distill/experiment.h"

namespace retort {

/// How much is looked at.
struct InspectOptions {
  size_t samples = 10, examples = 256, sentences = 3;
  size_t positions = 64;  ///< of the target, for entropies
  size_t tokens = 40;     ///< of a sentence
  int likeliest = 3;      ///< tokens of each model
  size_t plan_rows = 24;  ///< of the transport plan
};

/// The examples that stand for a split of `size`, `count` at most: evenly spread, from the first.
std::vector<size_t> evenly(size_t size, size_t count);

/// `outputs` are the model's for the evaluation split, in its order (Generation::hypotheses); none
/// where it writes no text. The same model and data give the same bytes.
Json inspect_stage(Experiment& experiment, const Stage& stage, const Model& model,
                   const Model* teacher, const std::vector<std::string>& outputs,
                   const InspectOptions& options = {});

}  // namespace retort
