// The report's data and page: what it takes from a run's files, and that nothing in them, missing,
// torn, not finite, huge or hostile, keeps it from being made.
#include "distill/page.h"

#include <fmt/core.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "data/text.h"
#include "distill/curves.h"
#include "distill/figures.h"
#include "distill/page_limit.h"
#include "tests/distill/made_runs.h"
#include "tests/distill/program.h"

namespace fs = std::filesystem;
using namespace retort;
using Catch::Contains;

namespace {

// A run's folder as files.
struct Run : Runs {
  void stage(const std::string& stage, const Json& more = Json::object()) const {
    Json j = results(stage, 1, {0.5, 0.25});
    j["length_ratio"] = stored("length_ratio", Rows{{3, 4}, {5, 4}});
    j.update(more);
    write("run", j);
  }
  std::string path() const { return folder + "run"; }
  Json page() const { return page_of({path()}); }
};

std::string row(long step, const std::string& loss) {
  return fmt::format("{{\"step\": {}, \"loss\": {}, \"seconds\": 0.5, \"tokens\": 100}}\n", step,
                     loss);
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) n++;
  return n;
}

}  // namespace

TEST_CASE("page: curves are as they were while they are short") {
  Temporary t;
  Json c = read_curves(t.file("m.jsonl", row(1, "3.5") + row(2, "2.5")));
  CHECK(c["rows"] == 2);
  CHECK(c["last_step"] == 2);
  CHECK(c["seconds"] == 1.0);
  CHECK(c["training"]["rows_each"] == 1);
  CHECK(c["training"]["step"] == Json({1, 2}));
  CHECK(c["training"]["loss"] == Json({3.5, 2.5}));
  CHECK(c["training"]["tokens_per_second"] == Json({200, 200}));
  CHECK(!c["training"].contains("learning_rate"));
  CHECK(c["validation"]["step"].empty());
}

TEST_CASE("page: long curves are means of consecutive rows") {
  Temporary t;
  std::string text;
  const int rows = 1000, points = 40;
  for (int i = 1; i <= rows; i++) text += row(i, std::to_string(i % 7));
  Json c = read_curves(t.file("m.jsonl", text), points)["training"];
  size_t each = c["rows_each"];
  CHECK(each == 32);  // the first power of two with 40 points or fewer
  REQUIRE(c["step"].size() == 32);
  for (size_t b = 0; b < 32; b++) {
    double sum = 0, n = 0;
    for (size_t i = b * each + 1; i <= std::min<size_t>(rows, (b + 1) * each); i++)
      sum += double(i % 7), n++;
    CHECK(c["loss"][b].get<double>() == Approx(sum / n).epsilon(1e-5));
    CHECK(c["step"][b] == std::min<size_t>(rows, (b + 1) * each));
  }
}

TEST_CASE("page: what is torn or not finite in metrics is counted and left out") {
  Temporary t;
  Json c = read_curves(t.file("m.jsonl", row(1, "2") + row(2, "NaN") + row(3, "null") +
                                             row(4, "\"4\"") + row(5, "1e999") + "{\"step\": 6, "));
  CHECK(c["rows"] == 3);
  CHECK(c["unreadable"] == 3);  // NaN and 1e999 are no JSON; the last is torn
  CHECK(c["not_finite"] == 2);
  CHECK(c["training"]["loss"] == Json({2, nullptr, nullptr}));
}

TEST_CASE("page: figures, lengths and facts are those of results.json") {
  Run run;
  run.stage("teacher", {{"place", 0}}), run.stage("kl", {{"perplexity", 7.25}, {"place", 1}});
  run.stage("js", {{"place", 2}});
  Json page = run.page();
  REQUIRE(page["runs"][0]["stages"].size() == 3);
  const Json& kl = page["runs"][0]["stages"][1];
  CHECK(kl["stage"] == "kl");  // teacher, kl, js: their places
  CHECK(kl["state"] == "done");
  CHECK(kl["figures"]["rougeL"]["score"] ==
        measurement_of("rougeL", {{0.5, 1}, {0.25, 1}}).score());
  CHECK(kl["facts"]["perplexity"] == 7.25);
  CHECK(kl["lengths"]["own"] == Json({{3, 1}, {5, 1}}));
  CHECK(kl["lengths"]["reference"] == Json::array({{4, 2}}));
  CHECK(page["comparison"]["recipes"][0]["stages"].size() == 3);
  CHECK(page["comparison"]["recipes"][0]["columns"] == Json({"rougeL"}));
  CHECK(page["problems"].empty());
  CHECK(page["figures"]["rougeL"]["title"] == "ROUGE-L");
  CHECK(page.dump() == run.page().dump());
}

TEST_CASE("page: calibration is the sum of the examples' bins") {
  Run run;
  std::vector<double> first(45), second(45);
  first[3] = 2, first[4] = 0.25, first[5] = 1, second[3] = 2, second[4] = 0.15, second[5] = 0;
  second[42] = 1, second[43] = 0.97, second[44] = 1;
  run.stage("kl", {{"ece", stored("ece", {first, second})}});
  CHECK(run.page()["runs"][0]["stages"][0]["calibration"].dump() ==
        "[[4.0,0.1,0.25],[1.0,0.97,1.0]]");
}

TEST_CASE("page: what differs between runs and between students") {
  Run run;
  run.stage("kl"), run.stage("js");
  std::string toml =
      "name = \"toy\"\norder = [\"kl\", \"js\"]\n[train]\nsteps = {}\n[students.kl]\nmethod = "
      "\"kl\"\nx = 1\n"
      "[students.js]\nmethod = \"js\"\nx = 1\n";
  run.file("run/kl/recipe.toml", fmt::format(fmt::runtime(toml), 5));
  fs::create_directories(run.folder + "other/kl");
  run.file("other/kl/manifest.json", "{}");
  run.file("other/kl/recipe.toml", fmt::format(fmt::runtime(toml), 6));
  Json page = page_of({run.path(), run.folder + "other"});
  CHECK(page["differences"]["runs"] == Json::array({{"train.steps", {5, 6}}}));
  CHECK(page["differences"]["students"]["names"] == Json({"kl", "js"}));
  CHECK(page["differences"]["students"]["rows"] == Json::array({{"method", {"kl", "js"}}}));
  CHECK(page["settings"]["train.steps"] == 5);
  CHECK(page["runs"][0]["label"] == "run");
  CHECK(page["runs"][1]["stages"][0]["state"] == "waiting");
}

TEST_CASE("page: of damaged stages the others are shown, and why they are not") {
  Run run;
  run.stage("teacher"), run.stage("kl"), run.stage("mle");
  run.file("run/kl/results.json", "{\"stage\": \"kl\", \"rougeL\": {\"score\"");
  run.file("run/mle/results.json", "{\"stage\": \"mle\", \"perplexity\": 3}");
  run.file("run/mle/manifest.json", "[]");
  run.file("run/mle/inspection.json", "nonsense");
  run.file("run/mle/recipe.toml", "= what");
  run.stage("js", {{"rougeL", {{"score", nullptr}, {"segments", {{1, 1}}}}}});
  fs::create_directories(run.folder + "run/tvd");
  run.file("run/tvd/metrics.jsonl", row(1, "2"));
  Json page = run.page();
  std::string problems = page["problems"].dump();
  for (const char* said : {"kl/results.json: damaged", "mle/results.json: recipe is missing",
                           "mle/manifest.json: damaged", "mle/inspection.json: damaged",
                           "js/results.json: rougeL.score is missing", "recipe.toml"})
    CHECK_THAT(problems, Contains(said));
  CHECK(page["comparison"]["recipes"][0]["stages"].size() == 1);
  CHECK(page["runs"][0]["stages"].size() == 5);
  std::map<std::string, Json> stages;
  for (const Json& s : page["runs"][0]["stages"]) stages[s["stage"]] = s;
  CHECK(stages["mle"]["facts"]["perplexity"] == 3);
  CHECK(stages["tvd"]["state"] == "training");
  CHECK(!html_of(page).empty());
}

TEST_CASE("page: runs that do not belong together are shown one by one") {
  Run run;
  run.stage("kl");
  fs::copy(run.path(), run.folder + "same", fs::copy_options::recursive);
  Json page = page_of({run.path(), run.folder + "same"});
  CHECK_THAT(page["problems"].dump(), Contains("both are seed 1"));
  CHECK(page["comparison"]["recipes"].size() == 2);
  CHECK(page["comparison"]["recipes"][1]["recipe"] == "toy (same)");
}

TEST_CASE("page: an empty run is a page, no folder is an error") {
  Temporary t;
  CHECK(page_of({t.folder})["comparison"].is_null());
  CHECK_THAT(error_of([&] { page_of({t.folder + "none"}); }), Contains("no such folder"));
}

TEST_CASE("page: hostile text stays data") {
  Run run;
  run.stage("kl");
  std::string text = "</script><script>alert(1)</script><!-- \u2028 & {{script}} \xff",
              lots(5000, 'x');
  run.file("run/kl/inspection.json",
           Json{{"samples", {{{"source", "a"}, {"reference", "b"}, {"output", "c"}}}}}.dump());
  Json plain = run.page(), page = plain;
  page["runs"][0]["stages"][0]["inspection"]["samples"][0]["output"] = text;
  std::string html = html_of(page), harmless = html_of(plain);
  CHECK(count(html, "</script") == count(harmless, "</script"));
  CHECK(count(html, "<script") == count(harmless, "<script"));
  CHECK(count(html, "<!--") == count(harmless, "<!--"));
  CHECK(html.find("\u2028") == std::string::npos);
  std::string read = data_in(html)["runs"][0]["stages"][0]["inspection"]["samples"][0]["output"];
  CHECK(read == text.substr(0, text.size() - 1) + "\uFFFD");  // what is no UTF-8 is replaced
  page["runs"][0]["stages"][0]["inspection"]["samples"][0]["output"] = "</script>";
  run.file("run/kl/inspection.json", page["runs"][0]["stages"][0]["inspection"].dump());
  CHECK(data_in(html_of(run.page())) == run.page());
  run.file("run/kl/inspection.json", Json{{"samples", {{{"output", lots}}}}}.dump());
  CHECK(run.page().dump().size() < plain.dump().size() + 1200);
}

TEST_CASE("page: the file asks for nothing from elsewhere") {
  Run run;
  run.stage("kl");
  std::string html = html_of(run.page());
  CHECK(html.find("default-src 'none'") != std::string::npos);
  for (const char* part : {"{{", "<link rel=\"stylesheet\"", "src=\"http", "@import", "url("})
    CHECK(count(html.substr(0, html.find("/*!")), part) == 0);
  CHECK(html.find("Chart.js v3") != std::string::npos);
  CHECK(html.find("Permission is hereby granted") != std::string::npos);
  CHECK(html.size() < 300000);
}

TEST_CASE("page: a report of many runs stays below 3 MB and says what it leaves out") {
  Run run;
  Json texts = Json::array(), plan = {{"loss", "l"}, {"plan", {{0.5, 0.5}}}};
  for (int i = 0; i < 60; i++) texts.push_back(std::string(1000, '<'));  // six bytes each
  std::string inspection = Json{{"samples", texts}, {"transport", plan}}.dump(), curve;
  for (int step = 1; step <= 400; step++) curve += row(step, "1.234567");
  std::vector<std::string> folders;
  for (const char* recipe : {"one", "two"})
    for (unsigned seed = 1; seed <= 30; seed++) {
      std::string name = fmt::format("{}-{}", recipe, seed);
      for (const char* stage : {"teacher", "kl", "js"}) {
        Json j = results(stage, seed, {0.5, 0.25});
        j["recipe"] = recipe;
        run.write(name, j);
        run.file(name + "/" + stage + "/inspection.json", inspection);
        run.file(name + "/" + stage + "/metrics.jsonl", curve);
      }
      folders.push_back(run.folder + name);
    }
  Json page = page_of(folders), again = page_of(folders);
  CHECK(page == again);
  size_t size = html_of(page).size();
  CHECK(size < 3000000);
  CHECK(size > 2500000);  // the room is used
  std::vector<std::string> kept;
  for (const Json& r : page["runs"]) {
    for (const Json& stage : r["stages"]) {
      CHECK(stage["curves"]["training"]["loss"].size() > 50);  // there was room for all of them
      CHECK(stage.contains("inspection") == r["stages"][0].contains("inspection"));
    }
    if (r["stages"][0].contains("inspection")) kept.push_back(r["label"]);
  }
  CHECK(kept == std::vector<std::string>{"one-1", "two-1"});
  REQUIRE(page["left_out"].size() == 2);
  CHECK_THAT(page["left_out"][0].get<std::string>(), Contains("plans of 60 of the 60 runs"));
  std::string said = page["left_out"][1];
  CHECK_THAT(said, Contains("token and samples of 58 of the 60 runs are left out: "));
  CHECK_THAT(said,
             Contains(": one-2, one-3, ") && Contains("one-30, two-2, ") && Contains("two-30. "));
  folders.resize(2);
  page = page_of(folders);
  CHECK(page["left_out"].empty());
  CHECK(page["runs"][1]["stages"][0]["inspection"]["samples"] == texts);
}

TEST_CASE("page: where it must, a page goes without curves, lengths and calibration too") {
  Run run;
  run.stage("kl"), run.file("run/kl/metrics.jsonl", row(1, "2"));
  Json page = run.page();
  size_t size = script_safe(page).size();
  Json some = page;
  CHECK(limit_page(some, size).empty());
  CHECK(some == page);
  CHECK(limit_page(some, size - 1).size() == 1);  // there is no inspection to leave out
  CHECK(!some["runs"][0]["stages"][0].contains("curves"));
  CHECK(some["runs"][0]["stages"][0].contains("lengths"));
  Json said = limit_page(page, 0);
  REQUIRE(said.size() == 3);
  CHECK_THAT(said[2].get<std::string>(), Contains("calibration of 1 of the 1 runs"));
  CHECK(page["runs"][0]["stages"][0]["figures"] == some["runs"][0]["stages"][0]["figures"]);
}

TEST_CASE("page: report writes the file and refuses what is no run") {
  Run run;
  run.stage("kl");
  std::string out = run.folder + "r.html";
  Result r = retort::run("report " + run.path() + " -o " + out);
  INFO(r.text);
  CHECK(r.status == 0);
  CHECK(data_in(read_file(out)) == run.page());
  r = retort::run("report " + run.folder + "none -o " + out);
  CHECK(r.status == 1);
  CHECK_THAT(r.text, Contains("no such folder"));
  fs::create_directories(run.folder + "empty");
  r = retort::run("report " + run.folder + "empty -o " + out);
  CHECK(r.status == 1);
  CHECK_THAT(r.text, Contains("no run's folder"));
  CHECK(data_in(read_file(out)) == run.page());
  std::string other = run.folder + "notes.txt";
  write_file_atomically(other, "mine");
  for (std::string no : {run.folder + "gone/r.html", std::string("/dev/null"), run.folder, other}) {
    r = retort::run("report " + run.path() + " -o " + no);
    CHECK(r.status == 1);
    CHECK(r.text.rfind("retort: " + no + ": ", 0) == 0);  // its name, not a temporary file's
    CHECK(count(r.text, "\n") == 1);
  }
  CHECK(read_file(other) == "mine");
}
