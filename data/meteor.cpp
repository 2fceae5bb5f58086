// Each stage matches what the stages before left, greedily from the last word to the first, as NLTK
// does; the paper asks for the alignment with the fewest crossings.
#include "data/meteor.h"

#include <algorithm>
#include <optional>

#include "data/bleu.h"
#include "data/lowercase.h"
#include "data/porter.h"
#include "data/wordnet.h"

namespace retort {
namespace {

struct Token {
  std::u32string word, stem;
  std::string utf8;  // of a word in a-z, which alone may have synonyms
};

std::vector<Token> tokens_of(const std::string& segment) {
  std::vector<Token> tokens;
  for (const std::string& token : tokenize_13a(segment)) {
    Token t{lowercase(token), {}, {}};
    t.stem = porter_stem(t.word);
    if (std::all_of(t.word.begin(), t.word.end(), [](char32_t c) { return c < 0x80; }))
      t.utf8.assign(t.word.begin(), t.word.end());
    tokens.push_back(t);
  }
  return tokens;
}

// For each word of a hypothesis its word of the reference, or -1.
struct Alignment {
  const std::vector<Token>&hypothesis, &reference;
  std::vector<int> to_reference = std::vector<int>(hypothesis.size(), -1);
  std::vector<bool> taken = std::vector<bool>(reference.size());

  template <class Same>
  void match(Same same) {
    for (int i = int(hypothesis.size()) - 1; i >= 0; i--)
      for (int j = int(reference.size()) - 1; j >= 0 && to_reference[i] < 0; j--)
        if (!taken[j] && same(hypothesis[i], reference[j])) to_reference[i] = j, taken[j] = true;
  }
};

class Meteor {
 public:
  explicit Meteor(const std::string& folder) {
    if (Wordnet::is_in(folder)) wordnet_.emplace(folder);
  }
  std::string synonyms() const { return wordnet_ ? "wordnet-" + wordnet_->version() : "no"; }

  double operator()(const std::vector<Token>& hypothesis, const std::vector<Token>& reference) {
    Alignment a{hypothesis, reference};
    a.match([](const Token& h, const Token& r) { return h.word == r.word; });
    a.match([](const Token& h, const Token& r) { return h.stem == r.stem; });
    if (wordnet_)
      a.match([&](const Token& h, const Token& r) {
        return !h.utf8.empty() && !r.utf8.empty() && synonyms_of(h.utf8).contains(r.utf8);
      });
    double matches = 0, chunks = 0;
    int previous = -2;  // the next word of a chunk follows on both sides
    for (int at : a.to_reference) {
      matches += at >= 0;
      chunks += at >= 0 && at != previous + 1;
      previous = at >= 0 ? at : -2;
    }
    if (matches == 0) return 0;
    double precision = matches / hypothesis.size(), recall = matches / reference.size();
    double f = 10 * precision * recall / (recall + 9 * precision), broken = chunks / matches;
    return 100 * f * (1 - 0.5 * broken * broken * broken);
  }

 private:
  const std::unordered_set<std::string>& synonyms_of(const std::string& word) {
    auto found = known_.find(word);
    if (found == known_.end()) found = known_.emplace(word, wordnet_->synonyms(word)).first;
    return found->second;
  }
  std::optional<Wordnet> wordnet_;
  std::unordered_map<std::string, std::unordered_set<std::string>> known_;
};

}  // namespace

Measurement measure_meteor(const Segments& hypotheses, const std::vector<Segments>& references,
                           const std::string& wordnet) {
  check_segments("meteor", hypotheses, references);
  Meteor meteor(wordnet);
  std::vector<double> values;
  for (size_t i = 0; i < hypotheses.size(); i++) {
    std::vector<Token> hypothesis = tokens_of(hypotheses[i]);
    double best = 0;
    for (auto& text : references_of(references, i))
      best = std::max(best, meteor(hypothesis, tokens_of(text)));
    values.push_back(best);
  }
  return mean_of(values, signature_of(references, "case:lc|tok:13a|stem:porter-nltk|syn:" +
                                                      meteor.synonyms() + "|a:0.9|b:3|g:0.5"));
}

}  // namespace retort
