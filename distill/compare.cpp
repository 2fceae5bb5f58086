#include "distill/compare.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "data/text.h"
#include "distill/figures.h"

namespace retort {
namespace {

// All stages of some run in the recipe's order; then, by name, those without a place in it: of old
// results, and unfinished ones.
std::vector<std::string> stage_names(const std::vector<RunResults>& runs) {
  std::map<std::string, size_t> places;
  for (const RunResults& run : runs)
    for (const auto& [name, results] : run.stages) places.emplace(name, results.place);
  for (const RunResults& run : runs)
    for (const std::string& name : run.unfinished) places.emplace(name, SIZE_MAX);
  std::vector<std::string> names;
  for (const auto& [name, place] : places) names.push_back(name);
  std::stable_sort(names.begin(), names.end(),
                   [&](auto& a, auto& b) { return places[a] < places[b]; });
  return names;
}

// Throws unless a value is the same in both files.
template <class T>
void same(const char* what, const T& a, const T& b, const StageResults& in_a,
          const StageResults& in_b) {
  if (a != b)
    throw std::runtime_error(fmt::format("{}: {} is {}, in {} it is {}; evaluate both alike",
                                         in_b.path, what, b, in_a.path, a));
}

void check_alike(const std::vector<RunResults>& runs) {
  std::map<std::string, const StageResults*> stages, figures;  // the first that has it
  const StageResults& first = runs[0].stages.begin()->second;
  for (const RunResults& run : runs)
    for (const auto& [name, r] : run.stages) {
      same("the first metric", first.metrics[0], r.metrics[0], first, r);
      same("split", first.split, r.split, first, r);
      const StageResults& stage = *stages.emplace(name, &r).first->second;
      same("method", stage.method, r.method, stage, r);
      if (stage.recipe_fingerprint != r.recipe_fingerprint)
        throw std::runtime_error(
            fmt::format("{}: was made by another recipe, data or vocabulary than {}; run both by "
                        "one recipe, or give that another `name`",
                        r.path, stage.path));
      for (const auto& [figure, m] : r.figures) {
        const StageResults& other = *figures.emplace(figure, &r).first->second;
        const Measurement& its = other.figures.at(figure);
        same(fmt::format("the number of {}'s examples", figure).c_str(), its.segments.size(),
             m.segments.size(), other, r);
        same(fmt::format("the signature of {}", figure).c_str(), its.signature, m.signature, other,
             r);
      }
    }
}

// The seeds of the runs that do not have something, noted where others have it.
template <class Has>
bool all_have(const std::vector<RunResults>& runs, const std::string& stage,
              const std::string& what, Has has, std::vector<std::string>& left_out) {
  std::vector<std::string> without;
  for (const RunResults& run : runs)
    if (!has(run)) without.push_back(std::to_string(run.seed));
  if (!without.empty())
    left_out.push_back(fmt::format("{}: no {} with seed{} {}", stage, what,
                                   without.size() > 1 ? "s" : "", join(without)));
  return without.empty();
}

StageStudy study_stage(const std::string& name, const std::vector<RunResults>& runs,
                       const Resampling& resampling, std::vector<std::string>& left_out) {
  StageStudy stage{name, runs[0].stages.at(name).method, {}};
  for (const Figure& figure : figures()) {
    std::vector<Measurement> seeds;
    auto has = [&](const RunResults& run) {
      return run.stages.at(name).figures.contains(figure.name);
    };
    if (std::none_of(runs.begin(), runs.end(), has) ||
        !all_have(runs, name, figure.name, has, left_out))
      continue;
    for (const RunResults& run : runs) seeds.push_back(run.stages.at(name).figures.at(figure.name));
    stage.figures[figure.name] = resample(seeds, resampling);
  }
  return stage;
}

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

Study study_recipe(std::vector<RunResults> runs, const Resampling& resampling) {
  std::sort(runs.begin(), runs.end(), [](auto& a, auto& b) { return a.seed < b.seed; });
  for (size_t i = 1; i < runs.size(); i++)
    if (runs[i].seed == runs[i - 1].seed)
      throw std::runtime_error(
          fmt::format("{} and {}: both are seed {} of recipe {}; give each seed once",
                      runs[i - 1].folder, runs[i].folder, runs[i].seed, runs[i].recipe));
  check_alike(runs);
  const StageResults& first = runs[0].stages.begin()->second;
  Study s;
  s.recipe = first.recipe, s.split = first.split, s.metric = first.metrics[0];
  s.writes_text = first.figures.contains("length_ratio");  // of nothing else
  s.examples = first.figures.at(s.metric).segments.size();
  for (const RunResults& run : runs) {
    s.seeds.push_back(run.seed), s.minutes.push_back(0);
    for (const auto& [name, r] : run.stages)
      if (r.left_out.contains(s.split))
        for (const auto& [why, n] : r.left_out.at(s.split))
          add_once(s.missing, fmt::format("{} {}", n, why));
    for (const auto& [name, r] : run.stages)
      s.minutes.back() += r.minutes, add_once(s.commits, r.commit), add_once(s.machines, r.machine);
  }
  for (const std::string& name : stage_names(runs)) {
    auto has = [&](const RunResults& run) { return run.stages.contains(name); };
    if (all_have(runs, name, "results", has, s.left_out))
      s.stages.push_back(study_stage(name, runs, resampling, s.left_out));
  }
  std::set<std::string> measured;
  for (const StageStudy& stage : s.stages)
    for (const auto& [figure, resampled] : stage.figures) measured.insert(figure);
  std::vector<std::string> main = first.metrics;
  main.insert(main.end(), {"likelihood_risk", "coverage_risk"});
  for (const std::string& name : main)
    if (measured.erase(name)) s.columns.push_back(name);
  measured.erase("teacher_dist");
  for (const Figure& figure : figures())
    if (measured.contains(figure.name)) s.further.push_back(figure.name);
  return s;
}

}  // namespace

const Resampled* Study::find(const std::string& stage, const std::string& figure) const {
  for (const StageStudy& s : stages)
    if (s.name == stage && s.figures.contains(figure)) return &s.figures.at(figure);
  return nullptr;
}

std::optional<Comparison> Study::compared(const std::string& first, const std::string& second,
                                          const std::string& figure) const {
  const Resampled *a = find(first, figure), *b = find(second, figure);
  if (!a || !b) return {};
  return compare(*a, *b);
}

std::vector<Study> study(const std::vector<std::string>& folders, const Resampling& resampling) {
  std::vector<RunResults> runs;
  for (const std::string& folder : folders) {
    runs.push_back(read_run(folder));
    if (!runs.back().stages.empty()) continue;
    fmt::print(stderr, "{}: no STAGE/results.json in it yet; left out\n", folder);
    runs.pop_back();
  }
  if (runs.empty())
    throw std::runtime_error(folders.at(0) +
                             ": no STAGE/results.json in it; `retort run` its recipe");
  return study(runs, resampling);
}

std::vector<Study> study(const std::vector<RunResults>& runs, const Resampling& resampling) {
  std::map<std::string, std::vector<RunResults>> recipes;
  for (const RunResults& run : runs) recipes[run.recipe].push_back(run);
  std::vector<Study> studies;
  for (auto& [recipe, of] : recipes) studies.push_back(study_recipe(std::move(of), resampling));
  return studies;
}

}  // namespace retort
