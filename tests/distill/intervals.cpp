// Intervals of classifiers under several seeds: how often they have the value of all corpora and
// seeds, where the metric is no mean over examples.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "distill/compare.h"
#include "tests/distill/made_runs.h"

using namespace retort;

namespace {

const size_t examples = 277;

// How labels go wrong: at a student's rate, to which each seed adds a normal part; of a share of
// the examples those that are wrong are so under every seed, of the others each seed has its own.
struct World {
  const char* name;
  double seed;   // standard deviation of its part
  double share;  // of the examples
};

double matthews(double wrong) {  // of all texts; 2 of 3 have label 1
  double tp = 2 / 3.0 * (1 - wrong), fn = 2 / 3.0 * wrong, fp = wrong / 3, tn = (1 - wrong) / 3;
  return (tp * tn - fp * fn) / std::sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn));
}

}  // namespace

TEST_CASE("compare: coverage of a corpus metric's differences under several seeds") {
  const std::map<std::string, double> rates{{"kl", 0.35}, {"js", 0.3}};
  const int corpora = 600;
  std::normal_distribution<double> draw;
  auto uniform = [](std::mt19937& engine) { return engine() / 4294967296.0; };
  for (const World& world : {World{"seeds", 0.08, 0}, {"noise", 0, 0}, {"mixed", 0.03, 0.3}}) {
    std::mt19937 engine(5);
    double truth = 0;
    for (int k = 0; k < 100000; k++)
      truth += (matthews(rates.at("js") + world.seed * draw(engine)) -
                matthews(rates.at("kl") + world.seed * draw(engine))) /
               100000;
    for (size_t n : {3, 5}) {
      int within = 0;
      for (int k = 0; k < corpora; k++) {
        Segments gold;
        for (size_t i = 0; i < examples; i++) gold.push_back(uniform(engine) < 2 / 3.0 ? "1" : "0");
        Study study;
        for (auto [stage, rate] : rates) {
          std::vector<double> luck(examples);
          for (double& u : luck) u = uniform(engine);
          std::vector<Measurement> seeds;
          for (size_t s = 0; s < n; s++) {
            double wrong = rate + world.seed * draw(engine);
            Segments labels = gold;
            for (size_t i = 0; i < examples; i++) {
              double u = i < world.share * examples ? luck[i] : uniform(engine);
              if (u < wrong) labels[i] = gold[i] == "1" ? "0" : "1";
            }
            seeds.push_back(find_metric("matthews").measure(labels, {gold}));
          }
          study.stages.push_back(
              {stage, stage, {{"matthews", resample(seeds, {100, unsigned(k)})}}});
        }
        Interval i = study.compared("js", "kl", "matthews")->interval;
        within += i.low < truth && truth < i.high;
      }
      INFO(world.name << ", " << n << " seeds: " << within / double(corpora));
      CHECK(within >= 0.92 * corpora);
      CHECK(within <= 0.98 * corpora);
    }
  }
}

TEST_CASE("compare: figures of several seeds are data/bootstrap's") {
  Runs runs;
  std::vector<std::string> folders;
  std::map<std::string, std::vector<Measurement>> measured;
  for (unsigned seed : {1, 2, 3}) {
    for (const char* stage : {"kl", "js"}) {
      Segments gold, labels;
      for (unsigned i = 0; i < 60; i++) {
        gold.push_back(i % 3 ? "1" : "0");
        labels.push_back((i * 7 + seed * (stage[0] == 'k' ? 3 : 2)) % 5 ? gold[i] : "0");
      }
      Json j = results(stage, seed, {1});
      j.erase("rougeL"), j.erase("length_ratio"), j["metrics"] = {"f1"};
      Measurement m = find_metric("f1").measure(labels, {gold});
      j["f1"] = {{"score", m.score()}, {"segments", m.segments}, {"signature", m.signature}};
      runs.write(std::to_string(seed), j);
      measured[stage].push_back(m);
    }
    folders.push_back(runs(std::to_string(seed)));
  }
  Study s = study(folders, {200, 4}).at(0);
  Resampled kl = resample(measured["kl"], {200, 4}), js = resample(measured["js"], {200, 4});
  CHECK(s.find("kl", "f1")->score == kl.score);
  CHECK(interval_of(*s.find("kl", "f1")).low == interval_of(kl).low);
  Comparison ours = *s.compared("js", "kl", "f1"), theirs = compare(js, kl);
  CHECK(ours.interval.high == theirs.interval.high);
  CHECK(ours.p == theirs.p);
}
