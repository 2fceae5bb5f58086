// Intervals of classifiers under several seeds, against corpora drawn anew label by label.
#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>

#include "distill/compare.h"
#include "tests/distill/made_runs.h"

using namespace retort;

// Five seeds of two students on a small task whose metric is no mean over examples, resampled from
// the labels themselves.
TEST_CASE("compare: corpus metrics of five seeds have the intervals of relabelled corpora") {
  Runs runs;
  const size_t count = 277, seeds = 5, times = 600;
  std::mt19937 engine(3);
  Segments gold;
  for (size_t i = 0; i < count; i++) gold.push_back(engine() % 3 ? "1" : "0");
  std::map<std::string, std::vector<Segments>> given;
  for (size_t seed = 0; seed < seeds; seed++)
    for (const char* stage : {"kl", "js"}) {
      unsigned wrong = (stage[0] == 'k' ? 30 : 20) + 3 * seed;  // per cent
      Segments labels = gold;
      for (std::string& label : labels)
        if (engine() % 100 < wrong) label = label == "1" ? "0" : "1";
      Json j = results(stage, seed, {1});
      j.erase("rougeL"), j.erase("length_ratio"), j["metrics"] = {"matthews", "f1", "accuracy"};
      for (const char* name : {"matthews", "f1", "accuracy"}) {
        Measurement m = find_metric(name).measure(labels, {gold});
        j[name] = {{"score", m.score()}, {"segments", m.segments}, {"signature", m.signature}};
      }
      runs.write(std::to_string(seed), j);
      given[stage].push_back(labels);
    }
  std::vector<std::string> folders;
  for (size_t seed = 0; seed < seeds; seed++) folders.push_back(runs(std::to_string(seed)));
  Study s = study(folders, {int(times), 1}).at(0);
  CHECK(s.columns == std::vector<std::string>{"matthews", "f1", "accuracy"});

  for (const std::string& name : s.columns) {
    INFO(name);
    const Metric& metric = find_metric(name);
    auto score = [&](const std::string& stage, size_t seed, const std::vector<size_t>& drawn) {
      Segments labels, right;
      for (size_t i : drawn) labels.push_back(given[stage][seed][i]), right.push_back(gold[i]);
      return metric.measure(labels, {right}).score() / double(seeds);
    };
    std::vector<size_t> all(count);
    std::iota(all.begin(), all.end(), 0);
    double mean = 0, difference = 0;
    for (size_t seed = 0; seed < seeds; seed++) {
      mean += score("kl", seed, all);
      difference += score("js", seed, all) - score("kl", seed, all);
    }
    CHECK(s.find("kl", name)->score == Approx(mean).epsilon(1e-12));
    std::vector<double> scores, differences;
    for (size_t b = 0; b < times; b++) {
      std::vector<size_t> drawn(count);
      for (size_t& i : drawn) i = engine() % count;
      double x = 0, y = 0;
      for (size_t k = 0; k < seeds; k++) {
        size_t seed = engine() % seeds;
        x += score("kl", seed, drawn), y += score("js", seed, drawn);
      }
      scores.push_back(x), differences.push_back(y - x);
    }
    auto agrees = [&](std::vector<double> theirs, Interval ours) {
      std::sort(theirs.begin(), theirs.end());
      double low = theirs[times / 40], high = theirs[times - 1 - times / 40];
      CHECK(ours.low == Approx(low).margin(0.15 * (high - low)));
      CHECK(ours.high == Approx(high).margin(0.15 * (high - low)));
    };
    agrees(scores, interval_of(*s.find("kl", name)));
    Comparison c = *s.compared("js", "kl", name);
    CHECK(c.difference == Approx(difference).epsilon(1e-12));
    agrees(differences, c.interval);
  }
}
