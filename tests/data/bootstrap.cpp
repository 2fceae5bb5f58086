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
  CHECK(j.high - j.low == Approx(i.high - i.low).epsilon(0.05));
  CHECK((j.low + j.high) / 2 == Approx(m.score()));
  CHECK(wide.high - wide.low > i.high - i.low);
  // Equal shifts of every segment cancel; what is left is the seeds' difference, 6 or none.
  Comparison c = compare(apart, resample({m, m})), none = compare(same, same),
             always = compare(resample({mean_of(more, ""), mean_of(more, "")}), resample({m, m}));
  CHECK(c.difference == Approx(0).margin(1e-9));
  CHECK(c.interval.high == Approx(12.706 * 3).epsilon(1e-4));  // of two seeds 3 off to either side
  CHECK(c.interval.low == Approx(-12.706 * 3).epsilon(1e-4));
  CHECK(c.p == Approx(1));
  CHECK((none.p == 1 && none.interval.low == 0 && none.interval.high == 0));
  CHECK(always.difference == Approx(3));
  CHECK(always.interval.low == Approx(3));
  CHECK(always.p == Approx(0).margin(1e-6));
  CHECK_THAT(error_of([&] { resample({m, mean_of({1}, "")}); }), Catch::Contains("has 200"));
  CHECK_THAT(error_of([&] { compare(one, Resampled{}); }), Catch::Contains("1000 resamples"));
  CHECK_THAT(error_of([&] { compare(apart, one); }), Catch::Contains("2 seeds against 1"));
}

TEST_CASE("several seeds: an interval reaches 0 where p does 0.05") {
  std::vector<Measurement> up, down;
  for (unsigned s = 0; s < 3; s++) up.push_back(mean_of(normal(100, s, 2.0 + s), ""));
  Resampled r = resample(up);
  Interval i = interval_of(r);
  for (double to : {i.low, i.high}) {  // moved so that an end of the interval is at 0
    std::vector<Measurement> moved(3, mean_of(std::vector<double>(100, to), ""));
    Comparison c = compare(r, resample(moved));
    CHECK(std::min(std::abs(c.interval.low), std::abs(c.interval.high)) < 1e-6);
    CHECK(c.p == Approx(0.05));
  }
}

// How often the interval has the mean over all seeds and segments, 0, of data drawn anew: values
// are seed + segment + noise of the single value, each normal. With fewer than 92 of 100 an
// interval promises too much, with more than 98 it leaves undecided what can be decided.
TEST_CASE("several seeds: coverage where seeds differ, where single predictions do, and mixed") {
  const size_t segments = 277;
  const int corpora = 400;
  struct Case {
    const char* name;
    double seed, segment, noise;  // standard deviations
  };
  const double even = std::sqrt(segments);  // as much as a seed's: a mean has even / sqrt(segments)
  for (const Case& c : {Case{"seeds", 1, 0.03 * even, 0.03 * even},
                        {"noise", 0, 0.1, 1},
                        {"mixed", 1, even / std::sqrt(3), even}})
    for (size_t n : {3, 5}) {
      std::mt19937 engine(7 * n);
      std::normal_distribution<double> draw;
      int within = 0;
      for (int k = 0; k < corpora; k++) {
        std::vector<double> shared(segments), values(segments);
        for (double& x : shared) x = c.segment * draw(engine);
        std::vector<Measurement> all;
        for (size_t s = 0; s < n; s++) {
          double seed = c.seed * draw(engine);
          for (size_t i = 0; i < segments; i++)
            values[i] = seed + shared[i] + c.noise * draw(engine);
          all.push_back(mean_of(values, ""));
        }
        Interval i = interval_of(resample(all, {100, unsigned(k)}));
        within += i.low < 0 && 0 < i.high;
      }
      INFO(c.name << ", " << n << " seeds: " << within / double(corpora));
      CHECK(within >= 0.92 * corpora);
      CHECK(within <= 0.98 * corpora);
    }
}
