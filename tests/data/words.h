// A made-up text: sentences of words drawn from a few syllables, the same on every machine.
#pragma once
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/tokenizer.h"
#include "tests/data/temporary.h"

namespace retort {

/// `count` sentences of 1 to 11 words.
inline std::vector<std::string> word_lines(int count) {
  const char* syllables[] = {"ma", "re", "ți", "lo", "șu", "nă",
                             "be", "cu", "di", "po", "fâ", "gri"};
  std::vector<std::string> lines(count);
  uint64_t draws = 0;
  auto draw = [&](int n) { return int(mix(7, 0, draws++) % n); };
  for (std::string& line : lines)
    for (int words = 1 + draw(11); words--; line += words ? " " : "")
      for (int parts = 1 + draw(4); parts--;) line += syllables[draw(12)];
  return lines;
}

/// A vocabulary of that text, written to words.model.
inline Tokenizer trained(const Temporary& temporary, int vocabulary) {
  Tokenizer::train(word_lines(500), temporary.folder + "words.model", {.vocabulary = vocabulary});
  return Tokenizer::load(temporary.folder + "words.model");
}

}  // namespace retort
