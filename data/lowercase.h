// Lower case of all scripts, as Python's str.lower: Unicode's default conversion (The Unicode
// Standard, 3.13), which makes two characters of "İ" and knows the sigma that ends a word.
#pragma once
#include <string>
#include <string_view>

namespace retort {

/// The characters of a UTF-8 text in lower case. The letters are those the system's C.UTF-8 locale
/// knows; throws std::runtime_error where there is no such locale.
std::u32string lowercase(std::string_view text);

}  // namespace retort
