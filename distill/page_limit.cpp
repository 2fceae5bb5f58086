#include "distill/page_limit.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "data/text.h"
#include "distill/page.h"

namespace retort {
namespace {

// Of a stage, and what it shows.
struct Part {
  Json::json_pointer at;
  const char* shows;
};
const Part parts[] = {{"/inspection/transport"_json_pointer, "transport plans"},
                      {"/inspection"_json_pointer, "entropy, token by token and samples"},
                      {"/curves"_json_pointer, "curves"},
                      {"/lengths"_json_pointer, "lengths"},
                      {"/calibration"_json_pointer, "calibration"}};

std::string recipe_of(const Json& run) {
  for (const Json& stage : run["stages"])
    if (auto facts = stage.find("facts"); facts != stage.end() && facts->contains("recipe"))
      return (*facts)["recipe"].dump();
  return "";
}

// The runs, those that are to be spared longest first: each recipe's first, then each one's second.
std::vector<Json*> by_worth(Json& runs) {
  std::map<std::string, size_t> seen;
  std::vector<std::pair<size_t, Json*>> ranked;
  for (Json& run : runs) ranked.push_back({seen[recipe_of(run)]++, &run});
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Json*> sorted;
  for (const auto& [rank, run] : ranked) sorted.push_back(run);
  return sorted;
}

}  // namespace

Json limit_page(Json& page, size_t most) {
  Json left_out = Json::array();
  std::vector<Json*> runs = by_worth(page["runs"]);
  size_t size = script_safe(page).size();
  for (const Part& part : parts) {
    std::vector<const Json*> without;
    for (auto run = runs.rbegin(); run != runs.rend() && size > most; ++run) {
      size_t before = size;
      for (Json& stage : (**run)["stages"])
        if (stage.contains(part.at)) {
          size -= script_safe(stage.at(part.at)).size();
          stage.at(part.at.parent_pointer()).erase(part.at.back());
        }
      if (size < before) without.push_back(*run);
    }
    std::sort(without.begin(), without.end());  // as they stand on the page
    std::vector<std::string> labels;
    for (const Json* run : without) labels.push_back((*run)["label"]);
    if (!labels.empty())
      left_out.push_back(fmt::format(
          "To keep the page small, {} of {} of the {} runs are left out: {}. Reports of fewer runs "
          "show them.",
          part.shows, labels.size(), runs.size(), join(labels)));
  }
  return left_out;
}

}  // namespace retort
