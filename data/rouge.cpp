// Stems become numbers; then n-grams are counted, or the longest common subsequence measured.
#include "data/rouge.h"

#include <fmt/core.h>

#include <algorithm>

#include "data/lowercase.h"
#include "data/ngrams.h"
#include "data/porter.h"

namespace retort {
namespace {

size_t common_subsequence(const std::u32string& a, const std::u32string& b) {
  std::vector<size_t> above(b.size() + 1), row(b.size() + 1);
  for (char32_t word : a) {
    for (size_t j = 0; j < b.size(); j++)
      row[j + 1] = word == b[j] ? above[j] + 1 : std::max(above[j + 1], row[j]);
    std::swap(above, row);
  }
  return above.back();
}

double f1(int order, const std::u32string& hypothesis, const std::u32string& reference) {
  auto grams = [&](const std::u32string& text) {
    return order == 0 ? text.size() : std::max<long>(0, long(text.size()) - order + 1);
  };
  double h = grams(hypothesis), r = grams(reference), matches;
  if (h == 0 || r == 0) return 0;
  if (order == 0)
    matches = common_subsequence(hypothesis, reference);
  else
    matches = clipped_matches(ngrams_of(hypothesis, order), {ngrams_of(reference, order)});
  return 2 * matches / (h + r);
}

}  // namespace

std::vector<std::u32string> tokenize_rouge(const std::string& segment) {
  std::vector<std::u32string> words;
  std::u32string word;
  for (char32_t c : lowercase(segment) + U' ') {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word += c;
    } else if (!word.empty()) {
      words.push_back(word.size() > 3 ? porter_stem(word) : word);
      word.clear();
    }
  }
  return words;
}

Measurement measure_rouge(int order, const Segments& hypotheses,
                          const std::vector<Segments>& references) {
  std::string name = order == 0 ? "rougeL" : fmt::format("rouge{}", order);
  check_segments(name.c_str(), hypotheses, references);
  std::unordered_map<std::u32string, char32_t> table;
  std::vector<double> values;
  for (size_t i = 0; i < hypotheses.size(); i++) {
    std::u32string hypothesis = numbered(tokenize_rouge(hypotheses[i]), table);
    double best = 0;
    for (auto& text : references_of(references, i))
      best = std::max(best, f1(order, hypothesis, numbered(tokenize_rouge(text), table)));
    values.push_back(100 * best);
  }
  return mean_of(values, signature_of(references, "case:lc|tok:rouge|stem:porter-nltk|score:f1"));
}

}  // namespace retort
