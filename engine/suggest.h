// Which known name somebody meant.
#pragma once
#include <string>
#include <vector>

namespace retort {

/// The name nearest to `name` by edit distance, or "" when none is near (more than a third of its
/// letters off).
std::string nearest(const std::string& name, const std::vector<std::string>& names);

}  // namespace retort
