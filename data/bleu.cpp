// Words become numbers (data/ngrams.h); the rest is counting.
#include "data/bleu.h"

#include <cmath>
#include <cstdlib>

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

}  // namespace

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

Measurement measure_bleu(const Segments& hypotheses, const std::vector<Segments>& references,
                         int order) {
  check_segments(order == 1 ? "bleu1" : order == 2 ? "bleu2" : "bleu", hypotheses, references);
  Measurement m{{},
                order == 1   ? bleu1_score
                : order == 2 ? bleu2_score
                             : bleu_score,
                signature_of(references, "case:mixed|eff:no|tok:13a|smooth:exp")};
  std::unordered_map<std::string, char32_t> table;
  for (size_t i = 0; i < hypotheses.size(); i++) {
    std::u32string hypothesis = numbered(tokenize_13a(hypotheses[i]), table);
    std::vector<std::u32string> refs;
    for (auto& text : references_of(references, i))
      refs.push_back(numbered(tokenize_13a(text), table));

    long length = hypothesis.size(), closest = refs[0].size();
    for (auto& ref : refs) {
      long one = ref.size(), distance = std::abs(one - length), best = std::abs(closest - length);
      if (distance < best || (distance == best && one < closest)) closest = one;
    }
    std::vector<double> counts(10);
    counts[8] = length;
    counts[9] = closest;
    for (long n = 1; n <= 4; n++) {
      std::vector<Ngrams> ref_ngrams;
      for (auto& ref : refs) ref_ngrams.push_back(ngrams_of(ref, n));
      counts[n - 1] = clipped_matches(ngrams_of(hypothesis, n), ref_ngrams);
      counts[n + 3] = std::max(0L, length - n + 1);
    }
    m.segments.push_back(counts);
  }
  return m;
}

Bleu bleu_of(const std::vector<double>& sums, bool effective_order, int order) {
  Bleu result;
  for (int n = 0; n < 4; n++) result.matches[n] = sums[n], result.totals[n] = sums[n + 4];
  result.hypothesis_length = sums[8];
  result.reference_length = sums[9];
  double c = result.hypothesis_length, r = result.reference_length;
  result.brevity_penalty = c >= r ? 1 : c > 0 ? std::exp(1 - r / c) : 0;
  if (result.matches[0] == 0) return result;  // then longer ones do not match either
  double log_sum = 0, smooth = 1;
  int orders = 0;
  for (; orders < order && result.totals[orders] > 0; orders++) {
    double total = result.totals[orders];
    result.precisions[orders] = result.matches[orders] == 0
                                    ? 100 / ((smooth *= 2) * total)
                                    : 100.0 * result.matches[orders] / total;
  }
  if (!effective_order) orders = order;
  for (int n = 0; n < orders; n++)
    log_sum += std::log(result.precisions[n]);  // log 0 = -inf: score 0
  result.score = result.brevity_penalty * std::exp(log_sum / orders);
  return result;
}

double bleu_score(const std::vector<double>& sums) { return bleu_of(sums).score; }
double bleu1_score(const std::vector<double>& sums) { return bleu_of(sums, false, 1).score; }
double bleu2_score(const std::vector<double>& sums) { return bleu_of(sums, false, 2).score; }

Bleu bleu(const Segments& hypotheses, const std::vector<Segments>& references) {
  Measurement m = measure_bleu(hypotheses, references);
  Bleu result = bleu_of(m.sums());
  result.signature = m.signature;
  return result;
}

}  // namespace retort
