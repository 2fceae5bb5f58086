// The C library's table of letters, and the two characters whose lower case is no single letter or
// depends on the neighbours.
#include "data/lowercase.h"

#include <locale.h>
#include <wctype.h>

#include <stdexcept>

#include "data/text.h"

namespace retort {
namespace {

locale_t unicode() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (!locale) throw std::runtime_error("lower case: the system has no locale C.UTF-8");
  return locale;
}

bool is_cased(char32_t c) { return towlower_l(c, unicode()) != c || towupper_l(c, unicode()) != c; }

// Marks and punctuation that may stand within a word.
bool is_within_word(char32_t c) {
  return c == '\'' || c == '.' || c == ':' || c == '^' || c == '`' || c == 0xA8 || c == 0xAD ||
         c == 0xAF || c == 0xB4 || c == 0xB7 || c == 0xB8 || (c >= 0x300 && c <= 0x36F) ||
         c == 0x2018 || c == 0x2019 || c == 0x2024 || c == 0x2027;
}

// Whether the sigma at `at` ends a word: a letter before it and none behind it.
bool is_final(const std::u32string& text, size_t at) {
  size_t before = at, behind = at + 1;
  while (before > 0 && is_within_word(text[before - 1])) before--;
  while (behind < text.size() && is_within_word(text[behind])) behind++;
  return before > 0 && is_cased(text[before - 1]) &&
         !(behind < text.size() && is_cased(text[behind]));
}

}  // namespace

std::u32string lowercase(std::string_view text) {
  std::u32string characters = characters_of(text), lower;
  for (size_t i = 0; i < characters.size(); i++) {
    char32_t c = characters[i];
    if (c == U'Σ')
      lower += is_final(characters, i) ? U'ς' : U'σ';
    else if (c == U'İ')
      lower += U"i\u0307";
    else
      lower += c < 0x80 ? c + (c >= 'A' && c <= 'Z' ? 32 : 0) : towlower_l(c, unicode());
  }
  return lower;
}

}  // namespace retort
