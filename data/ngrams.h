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

/// Words as numbers, so that an n-gram is a substring; `table` gives each distinct word its number
/// and is shared by the segments that are compared.
template <class Words, class Word>
std::u32string numbered(const Words& words, std::unordered_map<Word, char32_t>& table) {
  std::u32string numbers;
  for (const auto& word : words) numbers.push_back(table.emplace(word, table.size()).first->second);
  return numbers;
}

}  // namespace retort
