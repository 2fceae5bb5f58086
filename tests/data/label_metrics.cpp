// Metrics of labels and numbers against scikit-learn's and SciPy's values (label_metrics.py) and by
// hand; SQuAD's by hand.
#include "data/label_metrics.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/bootstrap.h"
#include "data/text.h"
#include "tests/data/temporary.h"

using namespace retort;
using Catch::Contains;

namespace {

double score(const char* metric, const Segments& given, const std::vector<Segments>& right) {
  return find_metric(metric).measure(given, right).score();
}

}  // namespace

TEST_CASE("label metrics equal scikit-learn's and SciPy's stored values") {
  std::string source = __FILE__;
  auto stored = nlohmann::json::parse(
      read_file(source.substr(0, source.rfind('/') + 1) + "label_metrics.json"));
  REQUIRE(stored["cases"].size() == 11);
  for (auto& one : stored["cases"]) {
    INFO(one["name"]);
    auto given = one["hypotheses"].get<Segments>(), right = one["references"].get<Segments>();
    for (auto& [name, value] : one["values"].items()) {
      INFO(name);
      CHECK(score(name.c_str(), given, {right}) == Approx(value.get<double>()).margin(1e-9));
    }
  }
}

TEST_CASE("label metrics by hand") {
  Segments right{"1", "1", "0", "0", "1"}, given{"1", "0", "0", "1", "1"};
  CHECK(score("accuracy", given, {right}) == 3 / 5.0);
  CHECK(score("f1", given, {right}) == Approx(2 * 2 / (2 * 2 + 1 + 1.0)));
  CHECK(score("matthews", given, {right}) == Approx((2 * 1 - 1 * 1) / std::sqrt(3 * 3 * 2 * 2.0)));
  // Several labels a line, as MultiRC's questions have: F1 over all, exact match by line.
  Segments questions{"1\t0", "0\t0\t1"}, answers{"1\t0", "0\t1\t1"};
  CHECK(score("f1", answers, {questions}) == Approx(2 * 2 / (2 * 2 + 1.0)));
  CHECK(score("accuracy", answers, {questions}) == 4 / 5.0);
  CHECK(score("exact_match", answers, {questions}) == 0.5);
  // Classes: of a, F1 is 2/3 (one right, one given to b); of b 2/3; of c, which nobody gave, 0.
  CHECK(score("macro_f1", {"a", "b", "b", "b"}, {{"a", "a", "b", "c"}}) ==
        Approx((2 / 3.0 + 2 / 4.0 + 0) / 3));
  // Ranks are those of the whole set, ties share theirs.
  Measurement m = measure_spearman({"10", "-3", "10", "0.5"}, {{"1", "2", "3", "4"}});
  for (auto [i, rank] : {std::pair{0, 3.5}, {1, 1.0}, {2, 3.5}, {3, 2.0}})
    CHECK(m.segments[size_t(i)][1] == Approx((rank - 2.5) / std::sqrt(4.5 / 4)));
  CHECK(score("pearson", {"2", "2", "2"}, {{"1", "2", "3"}}) == 0);
  // Hardly any variance is one: not lost where statistics are kept to 6 decimals.
  Measurement close = measure_pearson({"3.0000001", "3.0000002"}, {{"1", "2"}});
  CHECK(close.score() == Approx(1));
  CHECK(std::abs(close.segments[0][1]) == Approx(1).epsilon(1e-6));
  CHECK(score("pearson", {"0.1", "0.1", "0.1"}, {{"1", "2", "3"}}) == 0);
}

TEST_CASE("label metrics: resampled statistics score as the same examples measured") {
  Segments right, given, numbers, guesses;
  for (int i = 0; i < 30; i++) {
    right.push_back(i % 3 ? "1" : "0"), given.push_back(i % 4 ? "1" : "0");
    numbers.push_back(std::to_string(i * 7 % 11)), guesses.push_back(std::to_string(i * 5 % 13));
  }
  std::vector<size_t> drawn{2, 2, 0, 4, 29, 8, 12, 12, 17};
  for (const Metric& metric : metrics()) {
    if (metric.lines == Lines::text || metric.name == std::string("spearman")) continue;
    INFO(metric.name);
    bool number = metric.lines == Lines::numbers;
    const Segments &h = number ? guesses : given, &r = number ? numbers : right;
    Segments some, their;
    Measurement all = metric.measure(h, {r}), few = all;
    few.segments.clear();
    for (size_t i : drawn)
      few.segments.push_back(all.segments[i]), some.push_back(h[i]), their.push_back(r[i]);
    CHECK(few.score() == Approx(metric.measure(some, {their}).score()));
    Interval i = bootstrap(all);
    CHECK(i.low < all.score());
    CHECK(all.score() < i.high);
  }
}

TEST_CASE("label metrics refuse what they cannot count") {
  auto error = [](const char* metric, const Segments& given, const std::vector<Segments>& right) {
    return error_of([&] { score(metric, given, right); });
  };
  CHECK_THAT(error("f1", {"yes"}, {{"1"}}), Contains("f1: label \"yes\"; it is for the labels 0"));
  CHECK_THAT(error("matthews", {"1"}, {{""}}), Contains("matthews: label \"\""));
  CHECK_THAT(error("accuracy", {"1"}, {{"1"}, {"0"}}), Contains("2 reference sets, one label"));
  CHECK_THAT(error("accuracy", {"1\t0"}, {{"1"}}),
             Contains("segment 1 has 2 labels, its reference 1"));
  CHECK_THAT(error("pearson", {"1", "x"}, {{"1", "2"}}),
             Contains("pearson: segment 2 is \"x\", a number was expected"));
  CHECK_THAT(error("spearman", {"1"}, {{"nan"}}), Contains("segment 1 is \"nan\""));
}

TEST_CASE("label metrics of seeds that count other classes are not mixed") {
  CHECK_THAT(error_of([] {
               resample({measure_macro_f1({"a", "b"}, {{"a", "b"}}),
                         measure_macro_f1({"a", "a"}, {{"a", "a"}})});
             }),
             Contains("one seed has 6 statistics a segment, another 3"));
}

TEST_CASE("squad's metrics: normalised answers, the best of several right ones") {
  CHECK(score("exact_match", {"the U.S.  senate", "an apple"}, {{"US Senate", "pear"}}) == 0.5);
  std::vector<Segments> right{{"Ann Lee", "Bo"}, {"Mrs. Lee of Ohio", ""}};
  CHECK(score("token_f1", {"the Lee of ohio", "bo"}, right) == Approx((2 * 3 / 7.0 + 1) / 2));
  CHECK(score("exact_match", {"ann lee", "Bob"}, right) == 0.5);
  CHECK(score("token_f1", {"x x"}, {{"x y"}}) == 0.5);  // a word counts once
  CHECK(score("token_f1", {"x"}, {{"y"}}) == 0);
}
