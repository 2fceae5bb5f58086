#include "data/squad.h"

#include <algorithm>
#include <map>

#include "data/lowercase.h"
#include "data/text.h"

namespace retort {
namespace {

using Words = std::vector<std::u32string>;

double f1(const Words& answer, const Words& right) {
  std::map<std::u32string, int> left;
  for (const std::u32string& word : right) left[word]++;
  double same = 0;
  for (const std::u32string& word : answer)
    if (left[word]-- > 0) same++;
  return same > 0 ? 2 * same / double(answer.size() + right.size()) : 0;
}

// The mean over segments of the best score of any reference.
template <class Score>
Measurement best_of(const char* metric, const Segments& hypotheses,
                    const std::vector<Segments>& references, Score score) {
  check_segments(metric, hypotheses, references);
  std::vector<double> values;
  for (size_t i = 0; i < hypotheses.size(); i++) {
    double best = 0;
    for (const std::string& reference : references_of(references, i))
      best = std::max(best, score(answer_words(hypotheses[i]), answer_words(reference)));
    values.push_back(best);
  }
  return mean_of(values, signature_of(references, "norm:squad"));
}

}  // namespace

std::vector<std::u32string> answer_words(const std::string& text) {
  std::string bare;
  for (char c : text)
    if (std::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~").find(c) == std::string::npos)
      bare += c;
  Words words;
  for (std::string_view word : words_of(bare))
    if (std::u32string lower = lowercase(word); lower != U"a" && lower != U"an" && lower != U"the")
      words.push_back(lower);
  return words;
}

Measurement measure_exact_match(const Segments& h, const std::vector<Segments>& r) {
  return best_of("exact_match", h, r,
                 [](const Words& answer, const Words& right) { return double(answer == right); });
}

Measurement measure_token_f1(const Segments& h, const std::vector<Segments>& r) {
  return best_of("token_f1", h, r, f1);
}

}  // namespace retort
