// Counts of n-grams of symbols (characters, or words given numbers), which BLEU and chrF compare.
#pragma once
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace retort {

/// How often each n-gram occurs; views into the text counted.
using Ngrams = std::unordered_map<std::u32string_view, long>;

/// The n-grams of order n of a text.
inline Ngrams ngrams_of(std::u32string_view text, size_t n) {
  Ngrams ngrams;
  for (size_t i = 0; i + n <= text.size(); i++) ngrams[text.substr(i, n)]++;
  return ngrams;
}

/// Occurrences of the hypothesis' n-grams that some reference holds too: each counts at most as
/// often as in the reference that has it most often.
inline long clipped_matches(const Ngrams& hypothesis, const std::vector<Ngrams>& references) {
  long matches = 0;
  for (const auto& [ngram, count] : hypothesis) {
    long most = 0;
    for (const Ngrams& reference : references)
      if (auto found = reference.find(ngram); found != reference.end())
        most = std::max(most, found->second);
    matches += std::min(count, most);
  }
  return matches;
}

/// Throws std::invalid_argument unless there are segments and every reference set has as many.
void check_segments(const char* metric, const std::vector<std::string>& hypotheses,
                    const std::vector<std::vector<std::string>>& references);

/// The references of segment i: of several sets those that are not empty there, as sacreBLEU takes
/// None; the first if all are.
std::vector<std::string> references_of(const std::vector<std::vector<std::string>>& references,
                                       size_t i);

/// The "nrefs" of a signature: the number of references, or "var" where segments differ in it.
std::string reference_count(const std::vector<std::vector<std::string>>& references);

}  // namespace retort
