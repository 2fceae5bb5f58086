// Which hidden states of a student are matched to which of its teacher, for terms of loss "hidden":
// sum over matches of losses/hidden.h on the positions that count.
#pragma once
#include "distill/recipe.h"
#include "models/model.h"

namespace retort {

/// A student's state and the teacher's it is to resemble: 0 is the embeddings' output, i that of
/// block i.
struct HiddenMatch {
  bool encoder = false;  ///< of the encoder's states; else of the decoder's
  int student = 0, teacher = 0;
  /// The parameter that maps the student's width to the teacher's.
  std::string projection() const;
};

/// The matches that `layers` lists, "0,6,11" or "0,6,11/0" (encoder / decoder): the teacher's
/// states for the student's 0, 1, ...; where it is empty, the teacher's round(i L / l) for each
/// state i of the student's l blocks. Throws where they do not fit.
std::vector<HiddenMatch> hidden_matches(const std::string& layers, const ModelConfig& student,
                                        const ModelConfig& teacher);

/// Declares the projections of the matches, (teacher's width, student's width), where the widths
/// differ. They are trained with the student and not saved with its weights.
void add_projections(Parameters& parameters, const std::vector<HiddenMatch>& matches, int student,
                     int teacher);
/// Whether a parameter is one of them.
bool is_projection(const std::string& name);

/// Which positions of a batch count, row by row, and with which weight.
struct Counted {
  std::vector<int> valid;
  Tensor weights;
};

/// The sum over the matches on one batch, without the term's weight; `of_source` counts the
/// encoder's positions, `of_target` the decoder's.
Tensor hidden_term(const std::vector<HiddenMatch>& matches, bool normalize, const Model& student,
                   const Outputs& of_student, const Outputs& of_teacher, const Counted& of_source,
                   const Counted& of_target);

}  // namespace retort
