// Figures are scored from their stored statistics as when they were measured.
#include "distill/figures.h"

#include <catch2/catch.hpp>

#include "tests/data/temporary.h"

using namespace retort;

TEST_CASE("figures: stored statistics of a metric score as its measurement") {
  Segments hypotheses{"the cat sat there", "", "a dog barked at Cats", "the the cat", "running"},
      references{"the cat sat here", "an empty one", "cats barked at a dog", "the cat", "runs"};
  for (const Metric& metric : metrics()) {
    if (metric.lines != Lines::text) continue;
    INFO(metric.name);
    Measurement m = metric.measure(hypotheses, {references});
    CHECK(measurement_of(metric.name, m.segments).score() == m.score());
    CHECK(find_figure(metric.name).title == std::string(metric.title));
  }
}

TEST_CASE("figures: ratios, per cents, calibration error by hand; what is damaged is said") {
  CHECK(measurement_of("likelihood_risk", {{6, 2}, {1, 5}}).score() == 1);
  CHECK(measurement_of("teacher_dist", {{1, 4}, {0, 4}}).score() == 12.5);
  CHECK(measurement_of("end_rate", {{0, 0}}).score() == 0);
  std::vector<double> one(45), two(45);
  one[0] = 2, one[1] = 0.1, one[2] = 1;     // bin 0: confidence 0.1 and 1 right
  two[42] = 2, two[43] = 1.9, two[44] = 1;  // bin 14: confidence 1.9 and 1 right
  CHECK(measurement_of("ece", {one, two}).score() == Approx(100 * (0.9 + 0.9) / 4));
  for (const Figure& figure : figures())
    CHECK_THAT(error_of([&] { measurement_of(figure.name, {{1}}); }),
               Catch::Contains("segment 1 has 1 statistics"));
  CHECK_THAT(error_of([] { measurement_of("bleu", {}); }), Catch::Contains("bleu: no segments"));
  CHECK_THAT(error_of([] { find_figure("blue"); }), Catch::Contains("no figure \"blue\"; there"));
}
