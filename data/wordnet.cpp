// index.POS: lemma pos senses pointers [pointer...] senses tagged offset...; data.POS, at such an
// offset: offset file type words(hex) [word id]...; POS.exc: form base...
#include "data/wordnet.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <stdexcept>

#include "data/text.h"

namespace retort {
namespace {

using Map = std::unordered_map<std::string_view, std::string_view>;

// The lines of a file by their first word; those of the licence start with a space.
Map by_first_word(std::string_view text) {
  Map lines;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty() || line[0] == ' ') continue;
    std::string_view first = line.substr(0, line.find(' '));
    lines[first] = line.substr(first.size());
  }
  return lines;
}

size_t number(std::string_view digits, int base = 10) {
  size_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  return value;
}

}  // namespace

bool Wordnet::is_in(const std::string& folder) {
  return !folder.empty() && std::filesystem::exists(folder + "/data.noun");
}

Wordnet::Wordnet(const std::string& folder) : folder_(folder) {
  using Endings = std::vector<std::pair<std::string_view, std::string_view>>;
  const std::vector<std::pair<std::string, Endings>> names{
      // the rules of morphy(7WN)
      {"noun",
       {{"s", ""},
        {"ses", "s"},
        {"ves", "f"},
        {"xes", "x"},
        {"zes", "z"},
        {"ches", "ch"},
        {"shes", "sh"},
        {"men", "man"},
        {"ies", "y"}}},
      {"verb",
       {{"s", ""},
        {"ies", "y"},
        {"es", "e"},
        {"es", ""},
        {"ed", "e"},
        {"ed", ""},
        {"ing", "e"},
        {"ing", ""}}},
      {"adj", {{"er", ""}, {"est", ""}, {"er", "e"}, {"est", "e"}}},
      {"adv", {}}};
  parts_.resize(names.size());
  for (size_t i = 0; i < names.size(); i++) {
    auto& [name, endings] = names[i];
    Part& part = parts_[i];
    part.index_text = read_file(folder + "/index." + name);
    part.data = read_file(folder + "/data." + name);
    part.exceptions_text = read_file(folder + "/" + name + ".exc");
    part.index = by_first_word(part.index_text);
    part.exceptions = by_first_word(part.exceptions_text);
    part.endings = endings;
  }
  std::string_view licence = std::string_view(parts_[0].data).substr(0, 2000);
  size_t end = licence.find(" Copyright"), begin = licence.rfind(' ', end - 1);
  version_ = end == licence.npos ? "unknown" : licence.substr(begin + 1, end - begin - 1);
}

std::vector<std::string> Wordnet::base_forms(const Part& part, const std::string& word) const {
  std::vector<std::string> forms{word};
  if (auto found = part.exceptions.find(word); found != part.exceptions.end()) {
    for (std::string_view base : words_of(found->second)) forms.emplace_back(base);
  } else {
    for (auto [ending, base] : part.endings)
      if (word.ends_with(ending))
        forms.push_back(word.substr(0, word.size() - ending.size()).append(base));
  }
  return forms;
}

std::unordered_set<std::string> Wordnet::synonyms(const std::string& word) const try {
  std::unordered_set<std::string> found;
  for (const Part& part : parts_)
    for (const std::string& form : base_forms(part, word)) {
      auto entry = part.index.find(form);
      if (entry == part.index.end()) continue;
      std::vector<std::string_view> fields = words_of(entry->second);
      for (size_t f = 5 + number(fields.at(2)); f < fields.size(); f++) {
        std::string_view rest = std::string_view(part.data).substr(number(fields[f]));
        std::vector<std::string_view> set = words_of(rest.substr(0, rest.find('|')));
        for (size_t w = 0; w < number(set.at(3), 16); w++) {
          std::string_view name = set.at(4 + 2 * w);
          name = name.substr(0, name.find('('));  // "(p)": where an adjective may stand
          if (name.find('_') == name.npos) found.emplace(name);
        }
      }
    }
  return found;
} catch (const std::out_of_range&) {
  throw std::runtime_error(folder_ + ": damaged: install the package wordnet-base again");
}

}  // namespace retort
