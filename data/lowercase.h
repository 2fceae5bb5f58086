// Lower case of all scripts, as Python's str.lower (Unicode 3.13 with SpecialCasing's "İ" and final
// sigma, which no other language-independent rule joins).
#pragma once
#include <string>
#include <string_view>

namespace retort {

/// The characters of a UTF-8 text in lower case. The letters are those the system's C.UTF-8 locale
/// knows; throws std::runtime_error where there is no such locale.
std::u32string lowercase(std::string_view text);

}  // namespace retort
