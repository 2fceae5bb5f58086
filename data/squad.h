// SQuAD's metrics of short answers (Rajpurkar et al. 2016), as ReCoRD and SuperGLUE score them:
// lower case, without punctuation (ASCII), articles and extra white space. Of several right answers
// the best counts.
#pragma once
#include "data/metrics.h"

namespace retort {

/// The words of an answer as they are compared.
std::vector<std::u32string> answer_words(const std::string& text);

/// Mean over segments of whether the answer is a right one.
Measurement measure_exact_match(const Segments& hypotheses,
                                const std::vector<Segments>& references);
/// Mean over segments of the F1 of the answer's words.
Measurement measure_token_f1(const Segments& hypotheses, const std::vector<Segments>& references);

}  // namespace retort
