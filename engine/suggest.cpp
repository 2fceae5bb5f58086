#include "engine/suggest.h"

#include <algorithm>
#include <numeric>

namespace retort {
namespace {
// Of letters changed, left out, put in, or exchanged with their neighbour.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> before, last, row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 1; i <= a.size(); i++) {
    before = std::move(last), last = row, row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row.back();
}
}  // namespace

std::string nearest(const std::string& name, const std::vector<std::string>& names) {
  std::string best;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& n : names)
    if (size_t d = distance(name, n); d < std::min(least, std::max(name.size(), n.size())))
      least = d, best = n;
  return best;
}

std::string did_you_mean(const std::string& name, const std::vector<std::string>& names) {
  std::string near = nearest(name, names);
  return near.empty() ? "" : "; did you mean \"" + near + "\"?";
}

}  // namespace retort
