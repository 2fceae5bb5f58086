#include "distill/page_stage.h"

#include <cmath>
#include <filesystem>

#include "data/diversity.h"
#include "data/text.h"
#include "distill/curves.h"
#include "distill/figures.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

constexpr size_t longest_text = 1000;  // bytes of a text that is shown

// The object a file holds; of another file null, and the problem is said.
Json object_in(const std::string& path, std::vector<std::string>& problems) {
  if (!fs::exists(path)) return Json();
  try {
    Json j = Json::parse(read_file(path), nullptr, false);
    if (j.is_object()) return j;
    problems.push_back(path + ": damaged, not a JSON object; what it tells is left out");
  } catch (const std::exception& e) {
    problems.push_back(e.what());
  }
  return Json();
}

// Texts cut to a length that a page can show, at the start of a character.
void shorten(Json& j) {
  if (j.is_string()) {
    std::string& text = j.get_ref<std::string&>();
    if (text.size() <= longest_text) return;
    size_t end = longest_text;
    while (end > 0 && (text[end] & 0xC0) == 0x80) end--;
    text = text.substr(0, end) + "…";
  } else if (j.is_structured()) {
    for (Json& part : j) shorten(part);
  }
}

// segments of a figure whose statistics are numbers, `count` each.
std::vector<std::vector<double>> segments_of(const Json& results, const char* figure,
                                             size_t count) {
  std::vector<std::vector<double>> rows;
  if (!results.contains(figure) || !results[figure].is_object()) return rows;
  for (const Json& row : results[figure].value("segments", Json::array())) {
    std::vector<double> numbers;
    if (row.is_array())
      for (const Json& x : row)
        if (x.is_number()) numbers.push_back(x.get<double>());
    if (numbers.size() == count) rows.push_back(std::move(numbers));
  }
  return rows;
}

Json calibration(const Json& results) {
  std::vector<double> sums(3 * ece_bins);
  for (const std::vector<double>& row : segments_of(results, "ece", sums.size()))
    for (size_t i = 0; i < sums.size(); i++) sums[i] += row[i];
  Json bins = Json::array();
  for (size_t b = 0; b < sums.size(); b += 3)
    if (double n = sums[b]; n > 0) bins.push_back({n, sums[b + 1] / n, sums[b + 2] / n});
  return bins;
}

Json lengths(const Json& results) {
  std::map<long, long> own, reference;
  for (const std::vector<double>& row : segments_of(results, "length_ratio", 2))
    own[std::lround(row[0])]++, reference[std::lround(row[1])]++;
  Json j = Json::object();
  for (const auto& [tokens, outputs] : own) j["own"].push_back({tokens, outputs});
  for (const auto& [tokens, outputs] : reference) j["reference"].push_back({tokens, outputs});
  return j;
}

void add_results(Json& stage, const Json& results) {
  for (const auto& [key, value] : results.items()) {
    if (value.is_primitive() && !value.is_null()) stage["facts"][key] = value;
    if (!value.is_object() || !value.contains("score")) continue;
    for (const char* part : {"score", "low", "high"})
      if (auto x = value.find(part); x != value.end() && x->is_number())
        stage["figures"][key][part] = *x;
  }
  if (results.contains("peak_bytes")) stage["peak_bytes"] = results["peak_bytes"];
  stage["calibration"] = calibration(results), stage["lengths"] = lengths(results);
}

Json manifest_of(const Json& m, Json& total) {
  Json j = Json::object();
  for (const char* key : {"version", "commit", "seed", "tokenizer", "checksums"})
    if (m.contains(key)) j[key] = m[key];
  try {
    total = m.at("fingerprint").at("train").at("steps");
  } catch (const Json::exception&) {
  }
  return j;
}

}  // namespace

bool is_stage(const std::string& folder) {
  std::error_code none;  // a folder that may not be read is no stage's
  for (const char* file : {"/results.json", "/metrics.jsonl", "/manifest.json"})
    if (fs::exists(folder + file, none)) return true;
  return false;
}

Json page_stage(const std::string& folder, size_t points, std::vector<std::string>& problems) {
  Json stage = {{"stage", fs::path(folder).filename().string()}};
  Json results = object_in(folder + "/results.json", problems);
  if (results.is_object()) add_results(stage, results);
  std::string metrics = folder + "/metrics.jsonl", outputs = folder + "/hypotheses.txt";
  stage["state"] = results.is_object() ? "done" : fs::exists(metrics) ? "training" : "waiting";
  try {
    if (fs::exists(metrics)) stage["curves"] = read_curves(metrics, points);
    if (fs::exists(outputs) && stage.value("lengths", Json::object()).contains("own")) {
      std::vector<std::string> lines = read_lines(outputs);
      for (int n : {1, 2})
        if (!lines.empty())
          stage["distinct"][std::to_string(n)] = measure_distinct(n, lines).score();
    }
  } catch (const std::exception& e) {
    problems.push_back(e.what());
  }
  if (Json m = object_in(folder + "/manifest.json", problems); m.is_object())
    stage["manifest"] = manifest_of(m, stage["total"]);
  if (Json i = object_in(folder + "/inspection.json", problems); i.is_object())
    stage["inspection"] = std::move(i);
  shorten(stage);
  return stage;
}

}  // namespace retort
