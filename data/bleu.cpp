// Words become numbers, so that an n-gram is a substring; the rest is counting.
#include "data/bleu.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <stdexcept>

#include "data/ngrams.h"
#include "data/text.h"

namespace retort {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_stop(char c) { return c == '.' || c == ','; }

// ASCII punctuation that always stands alone: all but ' - . ,
bool is_symbol(char c) {
  return (c >= '!' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
         (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// One left-to-right pass over neighbouring bytes: where `found` holds for two of them they are
// replaced by `before` the first, `between` them, `after` the second, and the pass goes on behind
// both. Bytes suffice: digits and punctuation are ASCII, and a split character is joined again in
// the output.
template <class Found>
std::string space_out(const std::string& text, Found found, const char* before, const char* between,
                      const char* after) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++)
    if (i + 1 < text.size() && found(text[i], text[i + 1])) {
      out += before;
      out += text[i];
      out += between;
      out += text[++i];
      out += after;
    } else {
      out += text[i];
    }
  return out;
}

// Gives each distinct word a number; words of all segments share the table.
std::u32string numbered(const std::string& segment,
                        std::unordered_map<std::string, char32_t>& table) {
  std::u32string numbers;
  for (const std::string& word : tokenize_13a(segment))
    numbers.push_back(table.emplace(word, table.size()).first->second);
  return numbers;
}

}  // namespace

void check_segments(const char* metric, const std::vector<std::string>& hypotheses,
                    const std::vector<std::vector<std::string>>& references) {
  if (hypotheses.empty() || references.empty())
    throw std::invalid_argument(fmt::format("{}: no {} to score", metric,
                                            hypotheses.empty() ? "hypotheses" : "references"));
  for (size_t r = 0; r < references.size(); r++)
    if (references[r].size() != hypotheses.size())
      throw std::invalid_argument(
          fmt::format("{}: {} hypotheses but {} segments in reference set {}", metric,
                      hypotheses.size(), references[r].size(), r + 1));
}

std::vector<std::string> references_of(const std::vector<std::vector<std::string>>& references,
                                       size_t i) {
  std::vector<std::string> present;
  for (auto& set : references)
    if (!set[i].empty()) present.push_back(set[i]);
  return present.empty() ? std::vector{references[0][i]} : present;
}

std::string reference_count(const std::vector<std::vector<std::string>>& references) {
  size_t count = references_of(references, 0).size();
  for (size_t i = 1; i < references[0].size(); i++)
    if (references_of(references, i).size() != count) return "var";
  return std::to_string(count);
}

std::vector<std::string> tokenize_13a(const std::string& segment) {
  std::string text = " " + segment + " ";
  replace_all(text, "<skipped>", "");
  replace_all(text, "-\n", "");
  replace_all(text, "&quot;", "\"");
  replace_all(text, "&amp;", "&");
  replace_all(text, "&lt;", "<");
  replace_all(text, "&gt;", ">");
  std::string spaced;
  for (char c : text) spaced += is_symbol(c) ? std::string{' ', c, ' '} : std::string{c};
  spaced = space_out(
      spaced, [](char a, char b) { return !is_digit(a) && is_stop(b); }, "", " ", " ");
  spaced = space_out(
      spaced, [](char a, char b) { return is_stop(a) && !is_digit(b); }, " ", " ", "");
  spaced = space_out(
      spaced, [](char a, char b) { return is_digit(a) && b == '-'; }, "", " ", " ");
  std::vector<std::string_view> words = words_of(spaced);
  return {words.begin(), words.end()};
}

Bleu bleu(const std::vector<std::string>& hypotheses,
          const std::vector<std::vector<std::string>>& references) {
  check_segments("bleu", hypotheses, references);
  Bleu result;
  std::unordered_map<std::string, char32_t> table;
  for (size_t i = 0; i < hypotheses.size(); i++) {
    std::u32string hypothesis = numbered(hypotheses[i], table);
    std::vector<std::u32string> refs;
    for (auto& text : references_of(references, i)) refs.push_back(numbered(text, table));

    long length = hypothesis.size(), closest = refs[0].size();
    for (auto& ref : refs) {
      long one = ref.size(), distance = std::abs(one - length), best = std::abs(closest - length);
      if (distance < best || (distance == best && one < closest)) closest = one;
    }
    result.hypothesis_length += length;
    result.reference_length += closest;
    for (long n = 1; n <= 4; n++) {
      std::vector<Ngrams> ref_ngrams;
      for (auto& ref : refs) ref_ngrams.push_back(ngrams_of(ref, n));
      result.matches[n - 1] += clipped_matches(ngrams_of(hypothesis, n), ref_ngrams);
      result.totals[n - 1] += std::max(0L, length - n + 1);
    }
  }

  double c = result.hypothesis_length, r = result.reference_length;
  result.brevity_penalty = c >= r ? 1 : c > 0 ? std::exp(1 - r / c) : 0;
  result.signature = fmt::format("nrefs:{}|case:mixed|eff:no|tok:13a|smooth:exp|version:retort-{}",
                                 reference_count(references), RETORT_VERSION);
  if (result.matches == std::array<long, 4>{}) return result;
  double log_sum = 0, smooth = 1;
  for (int n = 0; n < 4 && result.totals[n] > 0; n++) {
    if (result.matches[n] == 0)
      result.precisions[n] = 100 / ((smooth *= 2) * result.totals[n]);
    else
      result.precisions[n] = 100.0 * result.matches[n] / result.totals[n];
  }
  for (double precision : result.precisions)
    log_sum += std::log(precision);  // log 0 = -inf: score 0
  result.score = result.brevity_penalty * std::exp(log_sum / 4);
  return result;
}

}  // namespace retort
