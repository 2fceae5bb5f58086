// Runs of several seeds against each other: scores from stored segments, differences by hand, the
// models' order, the lines that bad input gets.
#include "distill/compare.h"

#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <numbers>

#include "data/text.h"
#include "distill/figures.h"
#include "distill/report.h"
#include "tests/distill/made_runs.h"

namespace fs = std::filesystem;
using namespace retort;
using Catch::Contains;

namespace {

struct Result {
  int status;
  std::string text;
};
Result retort_compare(const Runs& runs, const std::string& arguments) {
  const char* program = std::getenv("RETORT");
  int status = std::system((std::string(program ? program : "build/retort") + " compare " +
                            arguments + " > " + runs("log") + " 2>&1")
                               .c_str());
  return {WEXITSTATUS(status), read_file(runs("log"))};
}

}  // namespace

TEST_CASE("compare: scores made again from stored segments equal the stored ones") {
  Runs runs;
  Segments hypotheses{"the cat sat there", "a dog barked at Cats", "running in the house"},
      references{"the cat sat here", "cats barked at a dog", "running in the old house"};
  Json j = results("kl", 1, {1, 2, 3});
  std::map<std::string, double> scores{{"rougeL", 2}, {"length_ratio", 1}};
  for (const Metric& metric : metrics()) {
    if (metric.lines != Lines::text) continue;
    Measurement m = metric.measure(hypotheses, {references});
    if (metric.name != std::string("rougeL")) scores[metric.name] = m.score();
    if (metric.name != std::string("rougeL"))
      j[metric.name] = {{"score", m.score()}, {"segments", m.segments}, {"signature", m.signature}};
  }
  StageResults r = read_results(runs.write("a", j));
  CHECK(r.figures.size() == scores.size());
  for (const auto& [name, score] : scores) {
    INFO(name);
    CHECK(r.figures.at(name).score() == score);
  }
  j["bleu"]["score"] = j["bleu"]["score"].get<double>() + 0.01;
  CHECK_THAT(error_of([&] { read_results(runs.write("a", j)); }),
             Contains("kl/results.json: bleu.score is ") && Contains("its segments make"));
}

TEST_CASE("compare: examples that were left out are said beside those that were not") {
  Runs runs;
  Json j = results("kl", 1, {1, 2, 3});
  j["left_out"] = {{"test", {{"source left out, over 9 tokens", 2}}}, {"train", {{"empty", 1}}}};
  runs.write("a", j);
  Study s = study({runs("a")})[0];
  CHECK(s.missing == Segments{"2 source left out, over 9 tokens"});
  CHECK_THAT(facts_of(s), Contains("3 examples of test (2 source left out, over 9 tokens); "));
  j["left_out"] = 3;
  CHECK_THAT(error_of([&] { read_results(runs.write("a", j)); }),
             Contains("kl/results.json: left_out is missing or of the wrong kind"));
}

TEST_CASE("compare: a paired difference by hand") {
  Runs runs;  // kl is 2 better in every example under seed 1, 4 better under seed 7
  runs.write("b", results("kl", 7, {14, 24, 34}));
  runs.write("b", results("rkl", 7, {10, 20, 30}));
  runs.write("a", results("kl", 1, {3, 2, 4}));
  runs.write("a", results("rkl", 1, {1, 0, 2}));
  std::vector<Study> all = study({runs("b"), runs("a")});
  REQUIRE(all.size() == 1);
  CHECK(all[0].seeds == std::vector<uint64_t>{1, 7});
  CHECK(all[0].minutes == std::vector<double>{3, 3});
  CHECK(all[0].examples == 3);
  CHECK(all[0].find("kl", "rougeL")->score == Approx((3 + 24) / 2.0));
  Comparison c = *all[0].compared("kl", "rkl", "rougeL");
  CHECK(c.difference == Approx(3));
  // The examples' part is 0, the seeds' variance 2, of the mean 1, with one degree of freedom: a
  // Cauchy distribution.
  CHECK(c.interval.low == Approx(3 - 12.7062).epsilon(1e-5));
  CHECK(c.interval.high == Approx(3 + 12.7062).epsilon(1e-5));
  CHECK(c.p == Approx(1 - 2 * std::atan(3) / std::numbers::pi).epsilon(1e-5));
  CHECK(report_of(all[0], 1000).find("| kl − rkl | +3.00 [-9.71, 15.71] | 0.205 |") !=
        std::string::npos);
  CHECK_FALSE(all[0].compared("kl", "js", "rougeL"));
}

TEST_CASE("compare: classifiers, in their metric and without risks") {
  Runs runs;
  for (auto [stage, right] : {std::pair{"kl", "1"}, {"rkl", "0"}}) {
    Json j = results(stage, 1, {1});
    j.erase("rougeL"), j.erase("length_ratio"), j["metrics"] = {"macro_f1", "accuracy"};
    Segments given{"1", right, "0", right};
    for (const char* name : {"macro_f1", "accuracy"}) {
      Measurement m = find_metric(name).measure(given, {{"1", "1", "0", "1"}});
      j[name] = {{"score", m.score()}, {"segments", m.segments}, {"signature", m.signature}};
    }
    runs.write("a", j);
  }
  Study s = study({runs("a")}).at(0);
  CHECK(s.columns == std::vector<std::string>{"macro_f1", "accuracy"});
  CHECK(s.compared("kl", "rkl", "accuracy")->difference == 0.5);
  std::string report = report_of(s, 1000);
  CHECK_THAT(report, Contains("| pair | macro-F1 | p |") && Contains("| rkl − kl | -0.5"));
  CHECK_THAT(report, !Contains("risk"));
  // Of text that is written, accuracy is a number, of tokens, and no figure.
  Json j = results("kl", 1, {1, 2, 3});
  j["accuracy"] = 0.25;
  CHECK_FALSE(read_results(runs.write("b", j)).figures.contains("accuracy"));
  j["macro_f1"] = {{"score", 1}, {"segments", {{1, 0}, {1, 0}, {1, 0}}}};
  CHECK_THAT(error_of([&] { read_results(runs.write("b", j)); }),
             Contains("macro_f1: segment 1 has 2 statistics, 3 for each class are needed"));
}

TEST_CASE("compare: one seed is data/bootstrap's comparison") {
  Runs runs;
  std::vector<double> a, b;
  for (int i = 0; i < 50; i++) a.push_back(i * 37 % 50), b.push_back(i * 11 % 50 + i % 3);
  runs.write("a", results("kl", 1, a));
  runs.write("a", results("rkl", 1, b));
  Study s = study({runs("a")}, {500, 9}).at(0);
  Comparison ours = *s.compared("kl", "rkl", "rougeL"),
             theirs = compare(mean_of(a, ""), mean_of(b, ""), {500, 9});
  CHECK(ours.difference == theirs.difference);
  CHECK(ours.interval.low == theirs.interval.low);
  CHECK(ours.interval.high == theirs.interval.high);
  CHECK(ours.p == theirs.p);
  CHECK(interval_of(*s.find("kl", "rougeL")).low == bootstrap(mean_of(a, ""), {500, 9}).low);
}

TEST_CASE("compare: models stand in the recipe's order, the first one's differences beside them") {
  Runs runs;
  const std::vector<std::string> names{"teacher", "base", "iters_5", "iters_20", "alpha"};
  for (unsigned seed : {1, 2})
    for (size_t place = 0; place < names.size(); place++) {
      if (seed == 1 && names[place] == "iters_5") continue;
      Json j = results(names[place], seed, {double(place), 2});
      j["place"] = place, j["method"] = place ? "terms" : "teacher";
      runs.write(std::to_string(seed), j);
    }
  runs.write("1", results("before", 1, {1, 2}));  // results that do not tell their place
  runs.write("2", results("before", 2, {1, 2}));
  Study s = study({runs("1"), runs("2")}).at(0);
  std::vector<std::string> order;
  for (const StageStudy& stage : s.stages) order.push_back(stage.name);
  CHECK(order == std::vector<std::string>{"teacher", "base", "iters_20", "alpha", "before"});
  CHECK(s.left_out == std::vector<std::string>{"iters_5: no results with seed 1"});
  CHECK_THAT(report_of(s, 1000), Contains("| base | ") &&
                                     Contains("\n| iters_20 − base | +1.00 [") &&
                                     Contains("\n| alpha − base | +1.50 ["));
  Json j = results("alpha", 1, {1});
  j["place"] = "last";
  CHECK_THAT(error_of([&] { read_results(runs.write("b", j)); }),
             Contains("alpha/results.json: place is missing or of the wrong kind"));
}

TEST_CASE("compare: what some seed lacks is named and left out") {
  Runs runs;
  Json kl = results("kl", 1, {1, 2});
  kl["coverage_risk"] = stored("coverage_risk", std::vector<double>{1, 1});
  runs.write("a", kl);
  runs.write("a", results("z", 1, {1, 2}));
  runs.write("a", results("tvd", 1, {1, 2}));
  runs.write("a", results("teacher", 1, {1, 2}));
  for (unsigned seed : {2, 3}) {
    runs.write(std::to_string(seed), results("kl", seed, {1, 2}));
    runs.write(std::to_string(seed), results("z", seed, {1, 2}));
    runs.write(std::to_string(seed), results("teacher", seed, {1, 2}));
  }
  fs::create_directories(runs("a/unfinished"));
  Study s = study({runs("3"), runs("a"), runs("2")}).at(0);
  CHECK(s.left_out == std::vector<std::string>{"kl: no coverage_risk with seeds 2, 3",
                                               "tvd: no results with seeds 2, 3",
                                               "unfinished: no results with seeds 1, 2, 3"});
  std::vector<std::string> names;
  for (const StageStudy& stage : s.stages) names.push_back(stage.name);
  CHECK(names == std::vector<std::string>{"kl", "teacher", "z"});
  CHECK(s.columns == std::vector<std::string>{"rougeL"});
  CHECK(report_of(s, 1000).find("- left out: tvd: no results with seeds 2, 3\n") !=
        std::string::npos);
}

TEST_CASE("compare: bad input is one line that names the file and what to do") {
  Runs runs;
  std::vector<double> values{1, 2};
  auto fails = [&](const std::vector<std::string>& folders, const std::string& file,
                   const std::string& says) {
    std::string error = error_of([&] { study(folders); });
    CHECK_THAT(error, Contains(file) && Contains(says));
    CHECK(error.find('\n') == std::string::npos);
  };
  fails({runs("absent")}, "absent", "no such folder; give the output of a `retort run`");
  fs::create_directories(runs("empty/kl"));
  fails({runs("empty")}, "empty", "no STAGE/results.json in it; `retort run` its recipe");

  runs.write("whole", results("kl", 1, values));
  CHECK(study({runs("empty"), runs("whole")}).size() == 1);

  std::string again = "; remove the file and `retort run` its recipe";
  Json good = results("kl", 1, values);
  for (const std::string bytes : {"", "{\"recipe\": ", "[1]"}) {
    runs.write("bad", good);
    runs.file("bad/kl/results.json", bytes);
    fails({runs("bad")}, "bad/kl/results.json", "damaged, not a JSON object" + again);
  }
  for (const char* key : {"recipe", "seed", "stage", "method", "split", "commit", "machine",
                          "minutes", "recipe_fingerprint"}) {
    Json j = good;
    j.erase(key);
    runs.file("bad/kl/results.json", j.dump());
    fails({runs("bad")}, "bad/kl/results.json",
          std::string(key) + " is missing or of the wrong kind" + again);
  }
  auto with = [&](const char* pointer, const Json& value, const std::string& says) {
    Json j = good;
    j[Json::json_pointer(pointer)] = value;
    runs.file("bad/kl/results.json", j.dump());
    fails({runs("bad")}, "bad/kl/results.json", says);
  };
  with("/metrics", "rougeL", "metrics is missing or of the wrong kind" + again);
  with("/seed", "one", "seed is missing or of the wrong kind" + again);
  with("/rougeL", 12.5, "rougeL.segments is missing or of the wrong kind" + again);
  with("/rougeL/score", nullptr, "rougeL.score is missing or of the wrong kind" + again);
  with("/rougeL/segments/0", {1e300, 1}, "segments: no count or sum is that large" + again);
  with("/rougeL/segments", Json::array(), "rougeL: no segments" + again);
  with("/rougeL/segments/1", {1, 2, 3}, "segment 2 has 3 statistics, 2 are needed" + again);
  with("/metrics", Json::array(), "no metrics; name evaluate.metrics and");
  with("/metrics", {"bleu"}, "bleu is missing" + again);
  with("/stage", "js", "results of \"js\"; put them into a folder of that name");

  runs.write("a", good);
  runs.write("same", good);
  fails({runs("a"), runs("same")}, runs("same"), "both are seed 1 of recipe toy; give each seed");
  fails({runs("a"), runs("a")}, runs("a"), "both are seed 1");
  runs.write("mixed", good);
  runs.write("mixed", results("rkl", 2, values));
  fails({runs("mixed")}, "rkl/results.json", "keep each run in its own folder");

  auto beside = [&](const char* key, const Json& value, const std::string& says) {
    Json j = results("kl", 2, values);
    j["ter"] = stored("ter", values);
    j[key] = value;
    runs.write("b", j);
    fails({runs("a"), runs("b")}, "b/kl/results.json", says);
  };
  beside("metrics", {"ter"}, "the first metric is ter, in ");
  beside("split", "valid", "split is valid, in ");
  beside("method", "rkl", "method is rkl, in ");
  beside("recipe_fingerprint", "f2", "was made by another recipe, data or vocabulary than ");
  beside("rougeL", stored("rougeL", std::vector<double>{1}),
         "the number of rougeL's examples is 1, in ");
  Json other = stored("rougeL", values);
  other["signature"] = "nrefs:2";
  beside("rougeL", other, "the signature of rougeL is nrefs:2, in ");
}

TEST_CASE("compare: the program prints and writes the same bytes for the same runs") {
  Runs runs;
  for (unsigned seed : {1, 2})
    for (const char* recipe : {"toy", "other"})
      for (const char* stage : {"teacher", "kl", "js"}) {
        double shift = stage[0] == 'j' ? 1 : 0;
        Json j = results(stage, seed, {1.0 + seed + shift, 2 + shift, 4 + shift});
        j["recipe"] = recipe;
        if (stage[0] == 'j') j["method"] = "gjs:0.1";
        runs.write(recipe + std::to_string(seed), j);
      }
  auto all = [&](const std::string& order) {
    std::string arguments;
    for (char i : order)
      arguments += runs(i < 'c' ? "toy" : "other") + ((i - 'a') % 2 ? "2 " : "1 ");
    return arguments;
  };
  Result r = retort_compare(runs, all("abcd") + "--out " + runs("x")),
         s = retort_compare(runs, all("dcba") + "--out " + runs("y"));
  INFO(r.text);
  REQUIRE(r.status == 0);
  CHECK(r.text == s.text);
  CHECK(
      r.text.find("# other\n\nseeds 1, 2; 3 examples of test; 4.5, 4.5 minutes of training; commit "
                  "abc1234; a computer.") == 0);
  CHECK(r.text.find("| js (gjs:0.1) | **3.83** [") != std::string::npos);
  for (const char* file : {"README.md", "toy.md", "other.md"})
    CHECK(read_file(runs("x/") + file) == read_file(runs("y/") + file));
  CHECK(r.text.find(read_file(runs("x/toy.md"))) != std::string::npos);
  CHECK(read_file(runs("x/README.md")).find("[toy](toy.md): seeds 1, 2; 3 ") != std::string::npos);
  r = retort_compare(runs, all("abcd") + "--json");
  Json j = Json::parse(r.text);
  CHECK(j["claims"].size() == 5);
  CHECK(j["claims"][1]["paper"] == "f-DISTILL");
  CHECK(j["claims"][1]["recipes"]["toy"] == "holds");
  CHECK(j["recipes"][1]["tests"][0]["first"] == "js");
  CHECK(j["recipes"][1]["tests"][0]["rougeL"]["difference"] == Approx(1));
  CHECK(j["claims"][1]["comparisons"][0]["verdict"] == "holds");
  r = retort_compare(runs, runs("absent"));
  CHECK(r.status == 1);
  CHECK(r.text ==
        "retort: " + runs("absent") + ": no such folder; give the output of a `retort run`\n");
  Json named = results("kl", 1, {1, 2});
  named["recipe"] = "../up";
  runs.write("up", named);
  r = retort_compare(runs, runs("up") + " --out " + runs("z"));
  CHECK(r.text.find("retort: --out: recipe \"../up\" cannot name a file") == 0);
  CHECK_FALSE(fs::exists(runs("z")));
}
