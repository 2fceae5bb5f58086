// Which known name somebody meant.
#pragma once
#include <string>
#include <vector>

namespace retort {

/// The name nearest to `name` by edit distance (two neighbours exchanged are one edit), or "" when
/// none is near (more than a third of its letters off, and two; or all of them).
std::string nearest(const std::string& name, const std::vector<std::string>& names);
/// `; did you mean "NEAREST"?`, to end a message with, or "".
std::string did_you_mean(const std::string& name, const std::vector<std::string>& names);

}  // namespace retort
