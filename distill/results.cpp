#include "distill/results.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "data/text.h"
#include "distill/figures.h"
#include "distill/toml.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw std::runtime_error(path + ": " + what + "; remove the file and `retort run` its recipe");
}

template <class T>
T get(const std::string& path, const Json& from, const char* key, const std::string& under = "") {
  try {
    return from.at(key).get<T>();
  } catch (const Json::exception&) {
    refuse(path, fmt::format("{}{} is missing or of the wrong kind", under, key));
  }
}

Measurement read_figure(const std::string& path, const Json& all, const char* name) {
  std::string under = std::string(name) + ".";
  Json j = get<Json>(path, all, name);
  Measurement measured;
  try {
    using Rows = std::vector<std::vector<double>>;
    Rows rows = get<Rows>(path, j, "segments", under);
    for (const std::vector<double>& row : rows)
      for (double x : row)
        if (!(std::abs(x) < 1e15)) refuse(path, under + "segments: no count or sum is that large");
    std::string signature = j.contains("signature") ? get<std::string>(path, j, "signature") : "";
    measured = measurement_of(name, std::move(rows), signature);
  } catch (const std::invalid_argument& e) {
    refuse(path, e.what());
  }
  double stored = get<double>(path, j, "score", under), score = measured.score();
  if (!(std::abs(score - stored) <= 1e-6 * std::max(1.0, std::abs(stored))))
    refuse(path, fmt::format("{}score is {}, its segments make {}", under, stored, score));
  return measured;
}

// Of text that is written, "accuracy" is a number: the share of gold tokens that are likeliest.
bool is_token_accuracy(const Json& j, const std::string& name) {
  return name == "accuracy" && j[name].is_number();
}

}  // namespace

StageResults read_results(const std::string& path) {
  Json j = Json::parse(read_file(path), nullptr, false);
  if (!j.is_object()) refuse(path, "damaged, not a JSON object");
  auto text = [&](const char* key) { return get<std::string>(path, j, key); };
  StageResults r;
  r.path = path;
  r.recipe = text("recipe"), r.stage = text("stage"), r.method = text("method");
  r.split = text("split"), r.commit = text("commit"), r.machine = text("machine");
  r.recipe_fingerprint = text("recipe_fingerprint");
  r.seed = get<uint64_t>(path, j, "seed"), r.minutes = get<double>(path, j, "minutes");
  if (j.contains("place")) r.place = get<size_t>(path, j, "place");
  if (!j.contains("metrics") || j["metrics"].empty())
    throw std::runtime_error(
        path + ": no metrics; name evaluate.metrics and `retort run` its recipe again");
  if (j.contains("left_out")) r.left_out = get<decltype(r.left_out)>(path, j, "left_out");
  r.metrics = get<std::vector<std::string>>(path, j, "metrics");
  for (const Figure& figure : figures())
    if (j.contains(figure.name) && !is_token_accuracy(j, figure.name))
      r.figures[figure.name] = read_figure(path, j, figure.name);
  if (!r.figures.contains(r.metrics[0])) refuse(path, r.metrics[0] + " is missing");
  std::string folder = fs::path(path).parent_path().filename().string();
  if (folder != r.stage)
    throw std::runtime_error(
        fmt::format("{}: results of \"{}\"; put them into a folder of that "
                    "name, or remove them",
                    path, r.stage));
  return r;
}

RunResults read_run(const std::string& folder, std::vector<std::string>* problems) {
  if (!fs::is_directory(folder))
    throw std::runtime_error(folder + ": no such folder; give the output of a `retort run`");
  RunResults run;
  run.folder = folder;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    std::string path = (entry.path() / "results.json").string();
    std::string name = entry.path().filename().string();
    try {
      if (fs::exists(path))
        run.stages[name] = read_results(path);
      else
        run.unfinished.push_back(name);
    } catch (const std::exception& e) {
      if (!problems) throw;
      problems->push_back(e.what()), run.unfinished.push_back(name);
    }
  }
  if (run.stages.empty()) return run;
  const StageResults& first = run.stages.begin()->second;
  run.recipe = first.recipe, run.seed = first.seed;
  for (const auto& [name, stage] : run.stages)
    if (stage.recipe != run.recipe || stage.seed != run.seed)
      throw std::runtime_error(fmt::format(
          "{}: of recipe {}, seed {}, but {}: of {}, seed {}; keep each run in its own folder",
          stage.path, stage.recipe, stage.seed, first.path, run.recipe, run.seed));
  return run;
}

}  // namespace retort
