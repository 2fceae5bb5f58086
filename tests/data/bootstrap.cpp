// Resampling: statistics add up to what the text says, intervals and p values have their meaning.
#include "data/bootstrap.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "tests/data/temporary.h"

using namespace retort;

namespace {

std::vector<double> normal(size_t n, unsigned seed, double mean = 0) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> draw(mean, 10);
  std::vector<double> values(n);
  for (double& value : values) value = draw(engine);
  return values;
}

}  // namespace

TEST_CASE("sums of segment statistics score as the same segments' text") {
  Segments hypotheses{"the cat sat there", "", "a dog barked at Cats", "the the cat", "running"},
      references{"the cat sat here", "an empty one", "cats barked at a dog", "the cat", "runs"};
  std::vector<size_t> drawn{2, 2, 0, 4, 2};
  Segments some, their;
  for (size_t i : drawn) some.push_back(hypotheses[i]), their.push_back(references[i]);
  for (const Metric& metric : metrics()) {
    if (!metric.needs_references || metric.lines != Lines::text) continue;
    INFO(metric.name);
    Measurement all = metric.measure(hypotheses, {references}), few = all;
    few.segments.clear();
    for (size_t i : drawn) few.segments.push_back(all.segments[i]);
    CHECK(few.score() == Approx(metric.measure(some, {their}).score()));
  }
}

TEST_CASE("an interval is as wide as the mean's standard error says") {
  Measurement m = mean_of(normal(400, 1), "");
  Interval i = bootstrap(m), again = bootstrap(m), other = bootstrap(m, {1000, 2});
  CHECK(i.high - i.low == Approx(2 * 1.96 * 10 / std::sqrt(400)).epsilon(0.15));
  CHECK(i.low < m.score());
  CHECK(m.score() < i.high);
  CHECK((i.low == again.low && i.high == again.high));
  CHECK(i.low != other.low);
  Segments varied;
  for (int k = 0; k < 50; k++)
    varied.push_back("word" + std::to_string(k % 7 ? k % 7 : k) + " a b");
  for (const char* name : {"distinct1", "distinct2", "self_bleu"}) {
    INFO(name);
    Measurement d = find_metric(name).measure(varied, {});
    Interval around = bootstrap(d);
    CHECK(around.low <= d.score());
    CHECK(d.score() <= around.high);
    CHECK(around.low < around.high);
  }
}

TEST_CASE("the p of a paired bootstrap") {
  std::vector<double> values = normal(100, 3), better = values;
  Measurement a = mean_of(values, "");
  Comparison same = compare(a, a);
  CHECK(same.difference == 0);
  CHECK(same.p == 1);
  std::vector<double> noise =
      normal(100, 4, 1);  // paired, so 0.1 counts where the scores vary by 10
  for (size_t i = 0; i < better.size(); i++) better[i] += 0.02 * noise[i] + 0.1;
  Comparison up = compare(mean_of(better, ""), a), down = compare(a, mean_of(better, ""));
  CHECK(up.p < 0.01);
  CHECK(up.interval.low > 0);
  CHECK(down.difference == Approx(-up.difference));
  CHECK(down.p == up.p);
  int found = 0;  // of equal systems every twentieth is found to differ
  for (unsigned k = 0; k < 400; k++)
    found +=
        compare(mean_of(normal(100, 1000 + k), ""), mean_of(normal(100, 5000 + k), "")).p < 0.05;
  CHECK(found > 400 * 0.02);
  CHECK(found < 400 * 0.09);
  CHECK_THAT(error_of([&] {
               compare(a, mean_of({1, 2}, ""));
             }),
             Catch::Contains("100 segments against 2"));
}

TEST_CASE("several seeds: their mean, wider where they differ, the same where they do not") {
  std::vector<double> values = normal(200, 5), more = values, less = values;
  for (double& value : more) value += 3;
  for (double& value : less) value -= 3;
  Measurement m = mean_of(values, "");
  Resampled one = resample({m}), same = resample({m, m, m}),
            apart = resample({mean_of(more, ""), mean_of(less, "")});
  CHECK(same.score == Approx(m.score()));
  CHECK(apart.score == Approx(m.score()));
  Interval i = bootstrap(m), j = interval_of(same), wide = interval_of(apart);
  CHECK(interval_of(one).low == i.low);
  CHECK(j.low == Approx(i.low));
  CHECK(j.high == Approx(i.high));
  // Two draws of two seeds: the mean is 3 off to either side in a quarter of the resamples each.
  double variance = 0, examples = 0;
  for (size_t b = 0; b < 1000; b++) {
    variance += std::pow(apart.scores[b] - apart.score, 2) / 1000;
    examples += std::pow(one.scores[b] - one.score, 2) / 1000;
  }
  CHECK(variance - examples == Approx(3 * 3 / 2.0).epsilon(0.1));
  CHECK(wide.high - wide.low > i.high - i.low + 4);
  // The segments drawn are the same for every seed and system: equal shifts cancel.
  Comparison c = compare(apart, one);
  CHECK(c.difference == Approx(0).margin(1e-9));
  CHECK(c.interval.low == Approx(-3));
  CHECK(c.interval.high == Approx(3));
  CHECK_THAT(error_of([&] { resample({m, mean_of({1}, "")}); }), Catch::Contains("has 200"));
  CHECK_THAT(error_of([&] { compare(one, Resampled{}); }), Catch::Contains("1000 resamples"));
}

TEST_CASE("several seeds: how often each part of the variance is counted") {
  const size_t seeds = 5, examples = 277;
  auto counted = [&](auto value, double variance) {  // value(seed, example); variance of the mean
    std::vector<Measurement> all;
    for (size_t s = 0; s < seeds; s++) {
      std::vector<double> values;
      for (size_t i = 0; i < examples; i++) values.push_back(value(s, i));
      all.push_back(mean_of(values, ""));
    }
    Resampled r = resample(all, {4000, 1});
    double resampled = 0;
    for (double x : r.scores) resampled += (x - r.score) * (x - r.score) / 4000;
    return resampled / variance;
  };
  // Of the seeds all but 1/n, of the examples all but 1/N, of what is neither's, as the noise of
  // single predictions, (2 - 1/n)(2 - 1/N) - 1 times as much (Owen 2007).
  std::vector<double> a = {-2, -1, 0, 1, 2}, b = normal(examples, 1),
                      e = normal(seeds * examples, 2);
  auto variance = [](const std::vector<double>& x) {
    double mean = 0, sum = 0;
    for (double v : x) mean += v / double(x.size());
    for (double v : x) sum += (v - mean) * (v - mean);
    return sum / double(x.size() - 1);
  };
  CHECK(counted([&](size_t s, size_t) { return a[s]; }, variance(a) / 5) ==
        Approx(1 - 1 / 5.0).epsilon(0.07));
  CHECK(counted([&](size_t, size_t i) { return b[i]; }, variance(b) / 277) ==
        Approx(1 - 1 / 277.0).epsilon(0.07));
  CHECK(counted([&](size_t s, size_t i) { return e[s * examples + i]; }, variance(e) / (5 * 277)) ==
        Approx((2 - 1 / 5.0) * (2 - 1 / 277.0) - 1).epsilon(0.1));
}
