// Synonyms from WordNet (Fellbaum 1998), from the files of its database as wndb(5WN) describes
// them; Debian's package wordnet-base puts them into /usr/share/wordnet.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace retort {

/// WordNet's index and synonym sets in memory (about 30 MB).
class Wordnet {
 public:
  /// Reads index.*, data.* and *.exc of `folder`. Throws std::runtime_error for a file that cannot
  /// be read.
  explicit Wordnet(const std::string& folder);
  Wordnet(const Wordnet&) = delete;  // the maps look into the texts

  /// Whether `folder` holds WordNet's files.
  static bool is_in(const std::string& folder);

  /// Single words that share a sense with `word` (lower case, inflected or not), itself among them
  /// where WordNet knows it so; spelt as WordNet does. Throws std::runtime_error for damaged files.
  std::unordered_set<std::string> synonyms(const std::string& word) const;

  /// "3.0"
  const std::string& version() const { return version_; }

 private:
  struct Part {  // noun, verb, adjective, adverb
    std::string index_text, data, exceptions_text;
    std::unordered_map<std::string_view, std::string_view> index;  // lemma to the rest of its line
    std::unordered_map<std::string_view, std::string_view> exceptions;   // form to its base forms
    std::vector<std::pair<std::string_view, std::string_view>> endings;  // inflection and base
  };
  std::vector<std::string> base_forms(const Part& part, const std::string& word) const;
  std::vector<Part> parts_;
  std::string folder_, version_;
};

}  // namespace retort
