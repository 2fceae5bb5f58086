#include "distill/curves.h"

#include <fmt/core.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>
#include <stdexcept>

namespace retort {
namespace {

// Six digits, as a chart needs them.
double rounded(double x) { return std::stod(fmt::format("{:.6g}", x)); }

// Means of consecutive rows. When there are twice as many as wanted, neighbours become one.
class Thinned {
 public:
  Thinned(std::vector<std::string> keys, size_t points) : keys_(std::move(keys)), most_(points) {}

  void add(long step, const std::vector<std::optional<double>>& values) {
    if (buckets_.empty() || buckets_.back().rows == width_)
      buckets_.push_back({0, step, Sums(keys_.size()), Sums(keys_.size())});
    Bucket& b = buckets_.back();
    b.rows++, b.step = step;
    for (size_t k = 0; k < keys_.size(); k++)
      if (values[k]) b.sums[k] += *values[k], b.counts[k]++;
    if (buckets_.size() == 2 * most_ && b.rows == width_) halve();
  }

  Json json() {
    while (buckets_.size() > most_) halve();
    Json j = {{"rows_each", width_}, {"step", Json::array()}};
    for (const std::string& key : keys_) j[key] = Json::array();
    for (const Bucket& b : buckets_) {
      j["step"].push_back(b.step);
      for (size_t k = 0; k < keys_.size(); k++) {
        Json& to = j[keys_[k]];
        b.counts[k] > 0 ? to.push_back(rounded(b.sums[k] / b.counts[k])) : to.push_back(nullptr);
      }
    }
    for (const std::string& key : keys_) {
      bool none = true;
      for (const Json& value : j[key]) none = none && value.is_null();
      if (none) j.erase(key);  // a key that these rows do not have
    }
    return j;
  }

 private:
  using Sums = std::vector<double>;
  struct Bucket {
    size_t rows;
    long step;
    Sums sums, counts;
  };
  void halve() {
    for (size_t i = 0; i < buckets_.size(); i += 2) {
      Bucket b = buckets_[i];
      if (i + 1 < buckets_.size()) {
        const Bucket& next = buckets_[i + 1];
        b.rows += next.rows, b.step = next.step;
        for (size_t k = 0; k < keys_.size(); k++)
          b.sums[k] += next.sums[k], b.counts[k] += next.counts[k];
      }
      buckets_[i / 2] = std::move(b);
    }
    buckets_.resize((buckets_.size() + 1) / 2);
    width_ *= 2;
  }
  std::vector<std::string> keys_;
  size_t most_, width_ = 1;
  std::vector<Bucket> buckets_;
};

}  // namespace

Json read_curves(const std::string& path, size_t points) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read: " + std::strerror(errno));
  Thinned training({"loss", "grad_norm", "learning_rate", "tokens_per_second"}, points),
      validation({"loss", "accuracy"}, points),
      solver({"row_error", "column_error", "gap", "iterations"}, points);
  size_t rows = 0, unreadable = 0, not_finite = 0;
  long last = 0;
  double seconds = 0, sampling = 0, validating = 0;
  auto number = [&](const Json& j, const char* key) -> std::optional<double> {
    auto found = j.find(key);
    if (found == j.end()) return {};
    if (found->is_number() && std::isfinite(found->get<double>())) return found->get<double>();
    not_finite++;
    return {};
  };
  for (std::string line; std::getline(file, line);) {
    Json j = Json::parse(line, nullptr, false);
    if (!j.is_object() || !j.contains("step") || !j["step"].is_number_integer()) {
      unreadable++;
      continue;
    }
    rows++, last = j["step"].get<long>();
    std::optional<double> took = number(j, "seconds"), tokens = number(j, "tokens"), speed;
    if (took && tokens && *took > 0) speed = *tokens / *took;
    training.add(last,
                 {number(j, "loss"), number(j, "grad_norm"), number(j, "learning_rate"), speed});
    if (j.contains("valid_loss"))
      validation.add(last, {number(j, "valid_loss"), number(j, "valid_accuracy")});
    if (auto t = j.find("transport"); t != j.end() && t->is_object())
      solver.add(last, {number(*t, "row_error"), number(*t, "column_error"), number(*t, "gap"),
                        number(*t, "iterations")});
    seconds += took.value_or(0);
    sampling += number(j, "sample_seconds").value_or(0);
    validating += number(j, "valid_seconds").value_or(0);
  }
  return {{"rows", rows},
          {"unreadable", unreadable},
          {"not_finite", not_finite},
          {"last_step", last},
          {"seconds", seconds},
          {"sample_seconds", sampling},
          {"valid_seconds", validating},
          {"training", training.json()},
          {"validation", validation.json()},
          {"transport", solver.json()}};
}

}  // namespace retort
