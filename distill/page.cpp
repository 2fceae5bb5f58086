#include "distill/page.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "build_commit.h"
#include "data/text.h"
#include "distill/figures.h"
#include "distill/page_limit.h"
#include "distill/page_stage.h"
#include "distill/report.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

using Problems = std::vector<std::string>;

// Of the page, its scripts, and the list of what is left out, which comes on top.
constexpr size_t most_bytes = 3000000, list_bytes = 50000;

// "a.b.c" and the value there, of every value that is no table.
void flatten(const Json& j, const std::string& path, std::map<std::string, Json>& flat) {
  for (const auto& [key, value] : j.items()) {
    std::string at = path.empty() ? key : path + "." + key;
    if (value.is_object() && !value.empty())
      flatten(value, at, flat);
    else
      flat[at] = value;
  }
}

using Settings = std::map<std::string, Json>;

// The keys that are not the same everywhere, with each one's value, null where it has none.
Json differences(const std::vector<Settings>& all) {
  std::set<std::string> keys;
  for (const Settings& s : all)
    for (const auto& [key, value] : s) keys.insert(key);
  Json rows = Json::array();
  for (const std::string& key : keys) {
    Json values = Json::array();
    for (const Settings& s : all) values.push_back(s.contains(key) ? s.at(key) : Json());
    if (std::any_of(values.begin(), values.end(), [&](const Json& v) { return v != values[0]; }))
      rows.push_back({key, values});
  }
  return rows;
}

// The students' names in the recipe's order.
std::vector<std::string> order_of(const Settings& settings) {
  std::vector<std::string> names;
  if (auto order = settings.find("order"); order != settings.end() && order->second.is_array())
    for (const Json& name : order->second)
      if (name.is_string()) names.push_back(name);
  return names;
}

// Stages in the recipe's order, the teacher first; then, by name, those without a place in it.
void sort_stages(Json& stages, const Settings& settings) {
  std::vector<std::string> order = order_of(settings);
  order.insert(order.begin(), "teacher");
  auto place = [&](const Json& stage) -> size_t {
    if (stage.contains("facts") && stage["facts"].contains("place"))
      if (const Json& p = stage["facts"]["place"]; p.is_number_unsigned()) return p;
    return size_t(std::find(order.begin(), order.end(), stage["stage"]) - order.begin());
  };
  std::stable_sort(stages.begin(), stages.end(),
                   [&](const Json& a, const Json& b) { return place(a) < place(b); });
}

// What differs between the students of one recipe.
Json between_students(const Settings& settings) {
  std::map<std::string, Settings> students;
  const std::string prefix = "students.";
  for (const auto& [key, value] : settings) {
    size_t dot = key.find('.', prefix.size());
    if (key.rfind(prefix, 0) == 0 && dot != std::string::npos)
      students[key.substr(prefix.size(), dot - prefix.size())][key.substr(dot + 1)] = value;
  }
  std::vector<std::string> names = order_of(settings);
  std::vector<Settings> all;
  for (const std::string& name : names) all.push_back(students[name]);
  return {{"names", names}, {"rows", differences(all)}};
}

Settings settings_of(const std::string& folder, const std::set<std::string>& stages,
                     Problems& problems) {
  Settings settings;
  for (const std::string& stage : stages) {
    std::string path = folder + "/" + stage + "/recipe.toml";
    if (!fs::exists(path)) continue;
    try {
      flatten(load_toml(path, {}).root, "", settings);
      return settings;
    } catch (const std::exception& e) {
      problems.push_back(e.what());
    }
  }
  return settings;
}

std::set<std::string> stages_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && is_stage(entry.path().string()))
      names.insert(entry.path().filename().string());
  return names;
}

// The last folder of a path; the whole where another run has the same.
std::vector<std::string> labels_of(const std::vector<std::string>& folders) {
  std::vector<std::string> labels;
  auto last = [](const std::string& f) {
    fs::path p = fs::path(f).lexically_normal();
    return (p.has_filename() ? p : p.parent_path()).filename().string();
  };
  for (const std::string& folder : folders)
    labels.push_back(
        std::count_if(folders.begin(), folders.end(),
                      [&](const std::string& other) { return last(other) == last(folder); }) > 1
            ? folder
            : last(folder));
  return labels;
}

// Runs that do not belong together are studied one by one.
std::vector<Study> studies_of(const std::vector<RunResults>& runs,
                              const std::vector<std::string>& labels, const Resampling& resampling,
                              Problems& problems) {
  try {
    return study(runs, resampling);
  } catch (const std::exception& e) {
    problems.push_back(std::string(e.what()) +
                       (runs.size() > 1 ? "; each is shown by itself" : ""));
  }
  std::vector<Study> studies;
  for (size_t i = 0; i < runs.size() && runs.size() > 1; i++) try {
      studies.push_back(study({runs[i]}, resampling).at(0));
      studies.back().recipe += " (" + labels[i] + ")";
    } catch (const std::exception& e) {
      problems.push_back(e.what());
    }
  return studies;
}

// Which results there are, and when they were written.
std::string state_of(const std::vector<std::string>& folders) {
  std::string state;
  for (const std::string& folder : folders)
    for (const std::string& stage : stages_in(folder)) {
      std::string path = folder + "/" + stage + "/results.json";
      std::error_code none;
      if (auto time = fs::last_write_time(path, none); !none)
        state += fmt::format("{} {} {}\n", path, time.time_since_epoch().count(),
                             fs::file_size(path, none));
    }
  return state;
}

void compare_runs(const std::vector<std::string>& folders, const std::vector<std::string>& labels,
                  const Resampling& resampling, PageCache& cache) {
  std::string state = state_of(folders);
  if (!cache.made_of.empty() && cache.made_of == state) return;
  Problems problems;
  std::vector<RunResults> runs;
  std::vector<std::string> names;
  for (size_t i = 0; i < folders.size(); i++) try {
      RunResults run = read_run(folders[i], &problems);
      if (run.stages.empty()) continue;
      runs.push_back(std::move(run)), names.push_back(labels[i]);
    } catch (const std::exception& e) {
      problems.push_back(e.what());
    }
  cache.comparison = Json();
  if (!runs.empty()) {
    std::vector<Study> studies = studies_of(runs, names, resampling, problems);
    cache.comparison = json_of(studies, claims_of(studies), resampling.times);
    for (size_t i = 0; i < studies.size(); i++) {
      Json& recipe = cache.comparison["recipes"][i];
      recipe["facts"] = facts_of(studies[i]);
      recipe["columns"] = studies[i].columns, recipe["further"] = studies[i].further;
    }
  }
  cache.problems = problems, cache.made_of = state;
}

}  // namespace

Json page_of(const std::vector<std::string>& folders, const Resampling& resampling,
             PageCache* cache) {
  for (const std::string& folder : folders)
    if (!fs::is_directory(folder))
      throw std::runtime_error(folder + ": no such folder; give the output of a `retort run`");
  std::vector<std::string> labels = labels_of(folders);
  size_t stages = 0;
  for (const std::string& folder : folders) stages += stages_in(folder).size();
  size_t points = std::clamp<size_t>(20000 / std::max<size_t>(1, stages), 20, 300);
  PageCache once;
  if (!cache) cache = &once;
  compare_runs(folders, labels, resampling, *cache);
  Problems problems = cache->problems;
  Json page = {{"version", RETORT_VERSION},
               {"commit", RETORT_COMMIT},
               {"comparison", cache->comparison},
               {"runs", Json::array()}};
  std::vector<Settings> settings;
  for (size_t i = 0; i < folders.size(); i++) {
    std::set<std::string> names = stages_in(folders[i]);
    Json run = {{"folder", folders[i]}, {"label", labels[i]}, {"stages", Json::array()}};
    for (const std::string& name : names)
      run["stages"].push_back(page_stage(folders[i] + "/" + name, points, problems));
    settings.push_back(settings_of(folders[i], names, problems));
    sort_stages(run["stages"], settings.back());
    page["runs"].push_back(std::move(run));
    if (page["settings"].empty()) page["settings"] = settings.back();
  }
  std::erase_if(settings, [](const Settings& s) { return s.empty(); });
  if (settings.size() == folders.size()) page["differences"]["runs"] = differences(settings);
  if (!settings.empty()) page["differences"]["students"] = between_students(settings[0]);
  for (const Figure& f : figures())
    page["figures"][f.name] = {
        {"title", f.title}, {"decimals", f.decimals}, {"lower_is_better", f.lower_is_better}};
  std::sort(problems.begin(), problems.end());
  problems.erase(std::unique(problems.begin(), problems.end()), problems.end());
  page["problems"] = problems;
  page["left_out"] = limit_page(page, most_bytes - list_bytes - html_of(Json()).size());
  return page;
}

}  // namespace retort
