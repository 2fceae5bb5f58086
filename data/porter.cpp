// The steps and rules carry the numbers of the paper; "NLTK:" marks what that library adds.
#include "data/porter.h"

#include <initializer_list>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace retort {
namespace {

using Word = std::u32string;
using View = std::u32string_view;

// Which letters are consonants: y is one at the start and after a vowel.
std::vector<bool> consonants(View word) {
  std::vector<bool> is;
  for (size_t i = 0; i < word.size(); i++) {
    char32_t c = word[i];
    bool vowel = c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
    is.push_back(c == 'y' ? i == 0 || !is[i - 1] : !vowel);
  }
  return is;
}

// m of [C](VC)^m[V].
int measure(View stem) {
  std::vector<bool> is = consonants(stem);
  int m = 0;
  for (size_t i = 1; i < is.size(); i++) m += is[i] && !is[i - 1];
  return m;
}
bool above_0(View stem) { return measure(stem) > 0; }
bool above_1(View stem) { return measure(stem) > 1; }

bool has_vowel(View stem) {
  for (bool consonant : consonants(stem))
    if (!consonant) return true;
  return false;
}

// *d
bool ends_double_consonant(View word) {
  size_t n = word.size();
  return n > 1 && word[n - 1] == word[n - 2] && consonants(word)[n - 1];
}

// *o: consonant, vowel, consonant other than w, x, y. NLTK: also vowel, consonant alone.
bool ends_cvc(View word) {
  std::vector<bool> is = consonants(word);
  size_t n = word.size();
  if (n == 2) return !is[0] && is[1];
  char32_t last = n ? word[n - 1] : 0;
  return n > 2 && is[n - 3] && !is[n - 2] && is[n - 1] && last != 'w' && last != 'x' && last != 'y';
}

struct Rule {
  View suffix, replacement;
  bool (*holds)(View stem) = nullptr;
};

// Applies the first rule whose suffix the word has, if its condition holds.
Word apply(const Word& word, std::initializer_list<Rule> rules) {
  for (const Rule& rule : rules) {
    if (!word.ends_with(rule.suffix)) continue;
    Word stem = word.substr(0, word.size() - rule.suffix.size());
    return !rule.holds || rule.holds(stem) ? stem.append(rule.replacement) : word;
  }
  return word;
}

Word step_1a(const Word& word) {
  if (word.size() == 4 && word.ends_with(U"ies")) return word.substr(0, 3);  // NLTK: dies, die
  return apply(word, {{U"sses", U"ss"}, {U"ies", U"i"}, {U"ss", U"ss"}, {U"s", U""}});
}

Word step_1b(const Word& word) {
  size_t n = word.size();
  if (word.ends_with(U"ied")) return word.substr(0, n == 4 ? 3 : n - 2);  // NLTK: died, die
  if (word.ends_with(U"eed")) return apply(word, {{U"eed", U"ee", above_0}});
  size_t suffix = word.ends_with(U"ed") ? 2 : word.ends_with(U"ing") ? 3 : 0;
  Word stem = word.substr(0, n - suffix);
  if (suffix == 0 || !has_vowel(stem)) return word;
  if (stem.ends_with(U"at") || stem.ends_with(U"bl") || stem.ends_with(U"iz")) return stem + U'e';
  char32_t last = stem.back();
  if (ends_double_consonant(stem))
    return last == 'l' || last == 's' || last == 'z' ? stem : stem.substr(0, stem.size() - 1);
  return measure(stem) == 1 && ends_cvc(stem) ? stem + U'e' : stem;
}

// NLTK: y after a consonant that does not stand alone (enjoy stays, fly becomes fli).
Word step_1c(const Word& word) {
  return apply(word, {{U"y", U"i", [](View stem) {
                         return stem.size() > 1 && consonants(stem)[stem.size() - 1];
                       }}});
}

Word step_2(const Word& word) {
  Word without_alli = apply(word, {{U"alli", U"al", above_0}});  // NLTK: first, and then again
  if (without_alli != word) return step_2(without_alli);
  return apply(word,
               {{U"ational", U"ate", above_0},
                {U"tional", U"tion", above_0},
                {U"enci", U"ence", above_0},
                {U"anci", U"ance", above_0},
                {U"izer", U"ize", above_0},
                {U"bli", U"ble", above_0},
                {U"alli", U"al", above_0},
                {U"entli", U"ent", above_0},
                {U"eli", U"e", above_0},
                {U"ousli", U"ous", above_0},
                {U"ization", U"ize", above_0},
                {U"ation", U"ate", above_0},
                {U"ator", U"ate", above_0},
                {U"alism", U"al", above_0},
                {U"iveness", U"ive", above_0},
                {U"fulness", U"ful", above_0},
                {U"ousness", U"ous", above_0},
                {U"aliti", U"al", above_0},
                {U"iviti", U"ive", above_0},
                {U"biliti", U"ble", above_0},
                {U"fulli", U"ful", above_0},
                // NLTK: the l belongs to the stem, so that geologi has one that is long enough.
                {U"logi", U"log", [](View stem) { return above_0(Word(stem) + U'l'); }}});
}

Word step_3(const Word& word) {
  return apply(word, {{U"icate", U"ic", above_0},
                      {U"ative", U"", above_0},
                      {U"alize", U"al", above_0},
                      {U"iciti", U"ic", above_0},
                      {U"ical", U"ic", above_0},
                      {U"ful", U"", above_0},
                      {U"ness", U"", above_0}});
}

Word step_4(const Word& word) {
  auto ion = [](View stem) { return above_1(stem) && (stem.back() == 's' || stem.back() == 't'); };
  return apply(word, {{U"al", U"", above_1},
                      {U"ance", U"", above_1},
                      {U"ence", U"", above_1},
                      {U"er", U"", above_1},
                      {U"ic", U"", above_1},
                      {U"able", U"", above_1},
                      {U"ible", U"", above_1},
                      {U"ant", U"", above_1},
                      {U"ement", U"", above_1},
                      {U"ment", U"", above_1},
                      {U"ent", U"", above_1},
                      {U"ion", U"", ion},
                      {U"ou", U"", above_1},
                      {U"ism", U"", above_1},
                      {U"ate", U"", above_1},
                      {U"iti", U"", above_1},
                      {U"ous", U"", above_1},
                      {U"ive", U"", above_1},
                      {U"ize", U"", above_1}});
}

Word step_5(Word word) {
  View stem = View(word).substr(0, word.size() - 1);
  if (word.ends_with(U'e') && (above_1(stem) || (measure(stem) == 1 && !ends_cvc(stem))))
    word.pop_back();
  if (word.ends_with(U"ll") && above_1(View(word).substr(0, word.size() - 1))) word.pop_back();
  return word;
}

}  // namespace

std::u32string porter_stem(const std::u32string& word) {
  static const std::unordered_map<Word, Word> irregular{
      // NLTK
      {U"sky", U"sky"},        {U"skies", U"sky"},        {U"dying", U"die"},
      {U"lying", U"lie"},      {U"tying", U"tie"},        {U"news", U"news"},
      {U"innings", U"inning"}, {U"inning", U"inning"},    {U"outings", U"outing"},
      {U"outing", U"outing"},  {U"cannings", U"canning"}, {U"canning", U"canning"},
      {U"howe", U"howe"},      {U"proceed", U"proceed"},  {U"exceed", U"exceed"},
      {U"succeed", U"succeed"}};
  if (auto found = irregular.find(word); found != irregular.end()) return found->second;
  if (word.size() <= 2) return word;
  return step_5(step_4(step_3(step_2(step_1c(step_1b(step_1a(word)))))));
}

}  // namespace retort
