// What a recipe says in full, and how far a run has come.
#include <filesystem>
#include <fstream>

#include "data/text.h"
#include "distill/contents.h"
#include "distill/experiment.h"
#include "distill/page_stage.h"
#include "distill/results.h"
#include "engine/safetensors.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

std::string state_of(const std::string& folder) {
  if (fs::exists(folder + "/results.json")) return "done";
  if (fs::exists(weights_path(folder))) return "trained";
  return fs::exists(folder + "/metrics.jsonl") ? "training" : "waiting";
}

// Where a key's value is from: its place, that of a key beside the model's table, which goes over
// it, or of the model's preset; else the default.
std::string origin(const std::string& key, const std::map<std::string, std::string>& places) {
  const std::string model = ".model.";
  std::vector<std::string> tried{key};
  if (size_t at = key.find(model); at != std::string::npos) {
    std::string stage = key.substr(0, at);
    tried.insert(tried.begin(), stage + "." + key.substr(at + model.size()));
    tried.push_back(stage + model + "preset");
  }
  for (const std::string& k : tried)
    if (auto found = places.find(k); found != places.end())
      return found->second + (k == key ? "" : " (" + k + ")");
  return "default";
}

void add_keys(const Json& table, const std::string& above,
              const std::map<std::string, std::string>& places, Contents& list) {
  for (const auto& [key, value] : table.items())
    if (value.is_object())
      add_keys(value, above + key + ".", places, list);
    else
      list.push_back(
          {{"key", above + key}, {"value", value.dump()}, {"from", origin(above + key, places)}});
}

// Checksums of what decides a stage's training and results. They are of data and vocabulary too:
// where these are not there yet, why.
void add_fingerprints(const Recipe& recipe, Contents& stages) {
  try {
    Experiment e(recipe, Access::read);
    for (Contents& s : stages) {
      const Stage& stage = e.stage(s["stage"].get<std::string>());
      s["fingerprint"] = checksum_of(e.fingerprint(stage));
      if (e.has("test") || e.has("valid")) s["results"] = e.results_fingerprint(stage);
    }
  } catch (const std::exception& e) {
    for (Contents& s : stages) s["fingerprint"] = std::string("none yet: ") + e.what();
  }
}

Contents stage_row(const std::string& folder, std::vector<std::string>& problems) {
  Json page = page_stage(folder, 2, problems), facts = page.value("facts", Json::object());
  Contents c = {{"stage", page["stage"].get<std::string>()}, {"state", state_of(folder)}};
  size_t lines = 0;
  long last = 0;
  if (std::string metrics = folder + "/metrics.jsonl"; fs::exists(metrics))
    for (const std::string& line : read_lines(metrics)) {
      Json j = Json::parse(line, nullptr, false);
      if (j.is_object() && j.value("step", Json()).is_number_integer()) last = j["step"], lines++;
    }
  c["updates"] = last;
  if (page.value("total", Json()).is_number_integer()) c["of"] = page["total"].get<long>();
  Json manifest = page.value("manifest", Json::object());
  for (const char* key : {"seed", "commit", "version"})
    if (manifest.contains(key)) c[key] = manifest[key];
  if (facts.contains("method")) c["method"] = facts["method"];
  if (facts.contains("minutes")) c["minutes"] = facts["minutes"];
  return c;
}

Contents scores_of(const StageResults& results) {
  Contents scores = Contents::object();
  for (const auto& [name, m] : results.figures) scores[name] = m.score();
  return scores;
}

}  // namespace

Contents recipe_contents(const std::string& path, const std::vector<std::string>& overrides) {
  std::map<std::string, std::string> places;
  Recipe recipe = load_recipe(path, overrides, &places);
  Contents c = {{"kind", "recipe"}, {"name", recipe.name}};
  if (!recipe.preset.empty()) c["preset"] = recipe.preset;
  std::vector<const Stage*> all;
  if (recipe.has_teacher) all.push_back(&recipe.teacher);
  for (const Stage& s : recipe.students) all.push_back(&s);
  c["stages"] = Contents::array();
  for (const Stage* s : all)
    c["stages"].push_back({{"stage", s->name},
                           {"method", s->method},
                           {"state", state_of(recipe.output + "/" + s->name)}});
  add_fingerprints(recipe, c["stages"]);
  c["keys"] = Contents::array();
  add_keys(recipe_table(recipe), "", places, c["keys"]);
  return c;
}

Contents run_contents(const std::string& folder) {
  std::vector<std::string> problems;
  Contents c = {{"kind", "run"}}, stages = Contents::array();
  std::vector<std::string> folders;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_directory() && is_stage(entry.path().string()))
      folders.push_back(entry.path().string());
  std::sort(folders.begin(), folders.end());
  for (const std::string& stage : folders) stages.push_back(stage_row(stage, problems));
  RunResults run = read_run(folder, &problems);
  if (!run.recipe.empty()) c["recipe"] = run.recipe, c["seed"] = run.seed;
  for (Contents& s : stages) {
    auto found = run.stages.find(s["stage"].get<std::string>());
    if (found == run.stages.end()) continue;
    const std::string& metric = found->second.metrics[0];
    s[metric] = found->second.figures.at(metric).score();
  }
  c["stages"] = stages;
  if (!problems.empty()) c["problems"] = problems;
  return c;
}

Contents stage_contents(const std::string& folder) {
  std::vector<std::string> problems;
  Contents c = {{"kind", "stage"}};
  c.update(stage_row(fs::path(folder + "/").parent_path().string(), problems));
  if (std::string path = folder + "/results.json"; fs::exists(path))
    c["figures"] = scores_of(read_results(path));
  if (std::string path = checkpoint_path(folder); fs::exists(path)) {
    TensorReader checkpoint(path);
    for (const auto& [key, value] : checkpoint.metadata())
      if (key == "step" || key == "fingerprint") c["checkpoint"][key] = value;
  }
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path().filename().string());
  std::sort(files.begin(), files.end());
  for (const std::string& name : files)
    c["files"].push_back({{"name", name},
                          {"bytes", fs::file_size(folder + "/" + name)},
                          {"checksum", checksum(folder + "/" + name)}});
  if (!problems.empty()) c["problems"] = problems;
  return c;
}

// TFRecords: length, checksum of it, the message, checksum of that.
Contents events_contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  size_t whole = 0, size = fs::file_size(path), at = 0;
  for (uint64_t length; in.seekg(long(at)) && in.read(reinterpret_cast<char*>(&length), 8);) {
    if (size < 16 || length > size - 16 || at > size - 16 - length) break;
    whole++, at += length + 16;
  }
  Contents c = {{"kind", "TensorBoard events"}, {"records", whole}};
  if (at < size) c["torn"] = size - at;
  c["numbers"] = "those of metrics.jsonl";
  return c;
}

}  // namespace retort
