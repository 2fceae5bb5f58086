// Porter's stemmer (M. F. Porter, An algorithm for suffix stripping, Program 14(3), 1980) with the
// departures of NLTK's PorterStemmer, its default mode, which rouge-score uses.
#pragma once
#include <string>

namespace retort {

/// The stem of an English word in lower case; other characters count as consonants.
std::u32string porter_stem(const std::u32string& word);

}  // namespace retort
