#include "data/label_metrics.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <set>
#include <stdexcept>

#include "data/records.h"
#include "data/text.h"

namespace retort {
namespace {

using LabelRows = std::vector<std::vector<std::string>>;

// Labels given and right, line by line.
struct Labels {
  LabelRows given, right;
  Labels(const char* metric, const Segments& hypotheses, const std::vector<Segments>& references) {
    check_segments(metric, hypotheses, references);
    if (references.size() > 1)
      throw std::invalid_argument(
          fmt::format("{}: {} reference sets, one label is right", metric, references.size()));
    for (size_t i = 0; i < hypotheses.size(); i++) {
      given.push_back(split_tabs(hypotheses[i])), right.push_back(split_tabs(references[0][i]));
      if (given[i].size() != right[i].size())
        throw std::invalid_argument(fmt::format("{}: segment {} has {} labels, its reference {}",
                                                metric, i + 1, given[i].size(), right[i].size()));
    }
  }
  // The statistics of each line, as add(statistics, given, right) adds a label's to them.
  template <class Add>
  std::vector<std::vector<double>> count(size_t statistics, Add add) const {
    std::vector<std::vector<double>> segments(given.size(), std::vector<double>(statistics));
    for (size_t i = 0; i < given.size(); i++)
      for (size_t k = 0; k < given[i].size(); k++) add(segments[i], given[i][k], right[i][k]);
    return segments;
  }
};

bool is_one(const char* metric, const std::string& label) {
  if (label != "0" && label != "1")
    throw std::invalid_argument(
        fmt::format("{}: label \"{}\"; it is for the labels 0 and 1", metric, label));
  return label == "1";
}

// tp, fp, fn, tn of label 1.
std::vector<std::vector<double>> confusion(const char* metric, const Labels& labels) {
  auto add = [&](std::vector<double>& sums, const std::string& given, const std::string& right) {
    bool g = is_one(metric, given), r = is_one(metric, right);
    sums[g && r ? 0 : g ? 1 : r ? 2 : 3]++;
  };
  return labels.count(4, add);
}

std::vector<double> numbers(const char* metric, const Segments& lines) {
  std::vector<double> values;
  for (const std::string& line : lines) {
    double value = 0;
    auto [at, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc() || at != line.data() + line.size() || !std::isfinite(value))
      throw std::invalid_argument(fmt::format("{}: segment {} is \"{}\", a number was expected",
                                              metric, values.size() + 1, line));
    values.push_back(value);
  }
  return values;
}

// From 1; equal values share the mean of their ranks.
std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0, end; begin < order.size(); begin = end) {
    for (end = begin; end < order.size() && values[order[end]] == values[order[begin]];) end++;
    for (size_t i = begin; i < end; i++) ranks[order[i]] = double(begin + 1 + end) / 2;
  }
  return ranks;
}

// With mean 0 and variance 1, which no correlation minds: sums of squares then keep their digits,
// in results.json too. What is left of equal numbers by rounding is no variance: all 0.
std::vector<double> standardised(std::vector<double> values) {
  double mean = 0, variance = 0, n = double(values.size());
  for (double x : values) mean += x / n;
  for (double x : values) variance += (x - mean) * (x - mean) / n;
  double deviation = std::sqrt(variance);
  if (deviation <= 1e-12 * std::abs(mean)) deviation = INFINITY;
  for (double& x : values) x = (x - mean) / deviation;
  return values;
}

Measurement correlation(std::vector<double> x, std::vector<double> y, std::string signature) {
  x = standardised(std::move(x)), y = standardised(std::move(y));
  Measurement m{{}, pearson_score, signature};
  for (size_t i = 0; i < x.size(); i++)
    m.segments.push_back({1, x[i], y[i], x[i] * x[i], y[i] * y[i], x[i] * y[i]});
  return m;
}

void check_numbers(const char* metric, const Segments& hypotheses,
                   const std::vector<Segments>& references) {
  check_segments(metric, hypotheses, references);
  if (references.size() > 1)
    throw std::invalid_argument(
        fmt::format("{}: {} reference sets, one number is right", metric, references.size()));
}

}  // namespace

double f1_score(const std::vector<double>& s) {
  double all = 2 * s[0] + s[1] + s[2];
  return all > 0 ? 2 * s[0] / all : 0;
}

double macro_f1_score(const std::vector<double>& s) {
  double total = 0, classes = 0;
  for (size_t k = 0; k + 2 < s.size(); k += 3)
    if (s[k] + s[k + 1] + s[k + 2] > 0) total += f1_score({s[k], s[k + 1], s[k + 2]}), classes++;
  return classes > 0 ? total / classes : 0;
}

double matthews_score(const std::vector<double>& s) {
  double tp = s[0], fp = s[1], fn = s[2], tn = s[3];
  double product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn);
  return product > 0 ? (tp * tn - fp * fn) / std::sqrt(product) : 0;
}

double pearson_score(const std::vector<double>& s) {
  double n = s[0], xx = n * s[3] - s[1] * s[1], yy = n * s[4] - s[2] * s[2];
  if (xx <= 1e-9 * n * s[3] || yy <= 1e-9 * n * s[4]) return 0;  // rounding, no variance
  return (n * s[5] - s[1] * s[2]) / std::sqrt(xx * yy);
}

Measurement measure_accuracy(const Segments& h, const std::vector<Segments>& r) {
  auto add = [](std::vector<double>& sums, const std::string& given, const std::string& right) {
    sums[0] += given == right, sums[1]++;
  };
  return {Labels("accuracy", h, r).count(2, add), ratio_score, signature_of(r, "labels")};
}

Measurement measure_f1(const Segments& h, const std::vector<Segments>& r) {
  Measurement m{confusion("f1", {"f1", h, r}), f1_score, signature_of(r, "positive:1")};
  for (std::vector<double>& segment : m.segments) segment.pop_back();
  return m;
}

Measurement measure_macro_f1(const Segments& h, const std::vector<Segments>& r) {
  Labels labels("macro_f1", h, r);
  std::set<std::string> classes;
  for (const auto& line : labels.right) classes.insert(line.begin(), line.end());
  auto add = [&](std::vector<double>& sums, const std::string& given, const std::string& right) {
    auto at = [&](const std::string& label) -> double* {
      auto found = classes.find(label);
      return found == classes.end() ? nullptr : &sums[3 * std::distance(classes.begin(), found)];
    };
    if (given == right) return void(at(right)[0]++);
    if (double* wrong = at(given)) wrong[1]++;
    at(right)[2]++;
  };
  return {labels.count(3 * classes.size(), add), macro_f1_score,
          signature_of(r, "classes:" + join({classes.begin(), classes.end()}))};
}

Measurement measure_matthews(const Segments& h, const std::vector<Segments>& r) {
  return {confusion("matthews", {"matthews", h, r}), matthews_score, signature_of(r, "labels:0,1")};
}

Measurement measure_pearson(const Segments& h, const std::vector<Segments>& r) {
  check_numbers("pearson", h, r);
  return correlation(numbers("pearson", h), numbers("pearson", r[0]), signature_of(r, "numbers"));
}

Measurement measure_spearman(const Segments& h, const std::vector<Segments>& r) {
  check_numbers("spearman", h, r);
  return correlation(ranks(numbers("spearman", h)), ranks(numbers("spearman", r[0])),
                     signature_of(r, "ranks:all"));
}

}  // namespace retort
