#include "distill/figures.h"

#include <fmt/core.h>

#include <cmath>
#include <stdexcept>

#include "data/text.h"

namespace retort {
namespace {

double percent_score(const std::vector<double>& sums) { return 100 * ratio_score(sums); }

}  // namespace

const std::vector<Figure>& figures() {
  static const std::vector<Figure> table = [] {
    std::vector<Figure> all;
    for (const Metric& m : metrics())
      all.push_back({m.name, m.title, m.decimals, m.lower_is_better, m.score_of, m.statistics});
    for (const Figure& figure : std::initializer_list<Figure>{
             {"likelihood_risk", "likelihood risk", 3, true, ratio_score},
             {"coverage_risk", "coverage risk", 3, true, ratio_score},
             {"teacher_dist", "TeacherDist", 2, false, percent_score},
             {"length_ratio", "length ratio", 3, false, ratio_score},
             {"end_rate", "ended %", 2, false, percent_score},
             {"student_entropy", "student entropy", 3, false, ratio_score},
             {"teacher_entropy", "teacher entropy", 3, false, ratio_score},
             {"agreement", "agreement %", 2, false, percent_score},
             {"ece", "ECE %", 2, true, ece_score, 3 * ece_bins}})
      all.push_back(figure);
    static const std::vector<std::pair<std::string, std::string>> second = [] {  // names stay
      std::vector<std::pair<std::string, std::string>> names;
      for (const Metric& m : metrics())
        names.push_back({std::string("second_") + m.name, m.title + std::string(", second test")});
      return names;
    }();
    for (size_t i = 0; i < second.size(); i++) {
      Figure figure = all[i];
      figure.name = second[i].first.c_str(), figure.title = second[i].second.c_str();
      all.push_back(figure);
    }
    return all;
  }();
  return table;
}

const Figure& find_figure(const std::string& name) {
  std::vector<std::string> names;
  for (const Figure& figure : figures()) {
    if (figure.name == name) return figure;
    names.push_back(figure.name);
  }
  throw std::invalid_argument(fmt::format("no figure \"{}\"; there are {}", name, join(names)));
}

Measurement measurement_of(const std::string& name, std::vector<std::vector<double>> segments,
                           std::string signature) {
  const Figure& figure = find_figure(name);
  if (segments.empty()) throw std::invalid_argument(name + ": no segments");
  size_t needed = figure.statistics;
  if (needed == 0 && (needed = segments[0].size()) % 3 != 0)
    throw std::invalid_argument(
        fmt::format("{}: segment 1 has {} statistics, 3 for each class are needed", name, needed));
  for (size_t i = 0; i < segments.size(); i++)
    if (segments[i].size() != needed)
      throw std::invalid_argument(fmt::format("{}: segment {} has {} statistics, {} are needed",
                                              name, i + 1, segments[i].size(), needed));
  return {std::move(segments), figure.score_of, std::move(signature)};
}

double ece_score(const std::vector<double>& sums) {
  double apart = 0, count = 0;
  for (size_t b = 0; b < ece_bins; b++) {
    count += sums[3 * b];
    apart += std::abs(sums[3 * b + 1] - sums[3 * b + 2]);
  }
  return count != 0 ? 100 * apart / count : 0;
}

}  // namespace retort
