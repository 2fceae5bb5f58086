#include "distill/report.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "data/text.h"
#include "distill/figures.h"
#include "distill/progress.h"

namespace retort {
namespace {

// "TER ↓" where lower is better.
std::string title_of(const std::string& figure) {
  const Figure& f = find_figure(figure);
  return std::string(f.title) + (f.lower_is_better ? " ↓" : "");
}

std::string number(const std::string& figure, double value) {
  return fmt::format("{:.{}f}", value, find_figure(figure).decimals);
}

std::string with_interval(const std::string& figure, const std::string& value, Interval i) {
  return fmt::format("{} [{}, {}]", value, number(figure, i.low), number(figure, i.high));
}

std::string difference(const std::string& figure, const Comparison& c) {
  return with_interval(figure, fmt::format("{:+.{}f}", c.difference, find_figure(figure).decimals),
                       c.interval);
}

std::string p_of(const Comparison& c) {
  return c.p < 0.0005 ? "< 0.001" : fmt::format("{:.3f}", c.p);
}

// The title row of a table and its rule, the first column to the left, the others to the right.
std::string header(const std::vector<std::string>& titles) {
  std::string text = "|", rule = "|";
  for (size_t i = 0; i < titles.size(); i++)
    text += " " + titles[i] + " |", rule += i == 0 ? "---|" : "---:|";
  return text + "\n" + rule + "\n";
}

// "kl", or "js (gjs:0.9)" where the stage is not named by its method; terms of its own have none.
std::string label(const StageStudy& stage) {
  return stage.name == stage.method || stage.method == "terms"
             ? stage.name
             : fmt::format("{} ({})", stage.name, stage.method);
}

// The best student's score in a figure.
double best(const Study& study, const std::string& figure) {
  double sign = find_figure(figure).lower_is_better ? -1 : 1, most = -INFINITY;
  for (const StageStudy& stage : study.stages)
    if (stage.name != "teacher" && stage.figures.contains(figure))
      most = std::max(most, sign * stage.figures.at(figure).score);
  return sign * most;
}

std::string table(const Study& study, const std::vector<std::string>& figures, bool mark_best) {
  std::vector<std::string> titles{"model"};
  for (const std::string& figure : figures) titles.push_back(title_of(figure));
  std::string text = header(titles);
  for (const StageStudy& stage : study.stages) {
    text += fmt::format("| {} |", label(stage));
    for (const std::string& figure : figures) {
      const Resampled* r = study.find(stage.name, figure);
      std::string score = r ? number(figure, r->score) : "";
      if (mark_best && r && stage.name != "teacher" && r->score == best(study, figure))
        score = "**" + score + "**";
      text += r ? " " + with_interval(figure, score, interval_of(*r)) + " |" : " - |";
    }
    text += "\n";
  }
  return text;
}

// What pairs are tested in.
std::vector<std::string> tested(const Study& study) {
  std::vector<std::string> figures{study.metric};
  for (const char* risk : {"likelihood_risk", "coverage_risk"})
    if (std::find(study.columns.begin(), study.columns.end(), risk) != study.columns.end())
      figures.push_back(risk);
  return figures;
}

std::string tests(const Study& study) {
  std::vector<std::string> titles{"pair"};
  for (const std::string& figure : tested(study))
    titles.push_back(title_of(figure)), titles.push_back("p");
  std::string rows;
  for (const auto& [first, second] : pairs_of(study)) {
    rows += fmt::format("| {} − {} |", first, second);
    for (const std::string& figure : tested(study)) {
      std::optional<Comparison> c = study.compared(first, second, figure);
      rows += c ? fmt::format(" {} | {} |", difference(figure, *c), p_of(*c)) : " - | - |";
    }
    rows += "\n";
  }
  return rows.empty() ? "" : "Paired tests: the first less the second.\n\n" + header(titles) + rows;
}

std::string seeds_of(const Study& study) {
  std::vector<std::string> seeds;
  for (uint64_t seed : study.seeds) seeds.push_back(std::to_string(seed));
  return (seeds.size() == 1 ? "seed " : "seeds ") + join(seeds);
}

std::string how(const Study& study, int times) {
  std::string draws = thousands(times) + " resamples", examples = thousands(double(study.examples));
  if (study.seeds.size() == 1)
    return fmt::format(
        "In brackets the middle 95 per cent of {}, which draw the {} examples, the same for every "
        "model. It is one seed: the intervals say nothing of what another would give.",
        draws, examples);
  return fmt::format(
      "Each figure is the mean over {} seeds; in brackets its 95 per cent interval for other "
      "examples and other seeds (two-way random effects, Student's t; {} of the {} examples, the "
      "same for every model and seed).",
      study.seeds.size(), draws, examples);
}

// The recipes in which some of the claims are compared, in order.
std::vector<std::string> recipes_of(const std::vector<Claim>& claims) {
  std::set<std::string> all;
  for (const Claim& claim : claims)
    for (const Finding& f : claim.findings) all.insert(f.recipe);
  return {all.begin(), all.end()};
}

// Verdicts in short, how many comparisons are behind them, and what each recipe says.
std::string summary(const std::vector<Claim>& claims) {
  std::vector<std::string> titles{"claim", "verdict", "hold", "do not hold", "not decided"},
      recipes = recipes_of(claims);
  titles.insert(titles.end(), recipes.begin(), recipes.end());
  std::string text = header(titles);
  for (size_t i = 0; i < claims.size(); i++) {
    const Claim& claim = claims[i];
    text += fmt::format("| {}. {} | {} |", i + 1, claim.text, name_of(claim.verdict()));
    for (Verdict v : {Verdict::holds, Verdict::does_not_hold, Verdict::not_decided})
      text += fmt::format(" {} |", std::count_if(claim.findings.begin(), claim.findings.end(),
                                                 [&](const Finding& f) { return f.verdict == v; }));
    for (const std::string& recipe : recipes) {
      std::optional<Verdict> v = claim.verdict_in(recipe);
      text += fmt::format(" {} |", v ? name_of(*v) : "-");
    }
    text += "\n";
  }
  return text;
}

std::string row(const Finding& f) {
  return fmt::format("| {}: {} better than {} | {} | {} | {} | {} | {} | {} |\n", f.recipe, f.first,
                     f.second, title_of(f.figure), number(f.figure, f.first_score),
                     number(f.figure, f.second_score), difference(f.figure, f.compared),
                     p_of(f.compared), name_of(f.verdict));
}

// The claims of one paper.
std::string section(const std::vector<Claim>& claims) {
  std::string text = fmt::format(
      "# Claims of {}\n\n{}{}", claims[0].paper,
      "A comparison holds where the interval of the difference lies on the claimed side "
      "of 0, does not hold where it lies on the other, and is not decided else; a claim "
      "holds where all of its comparisons do, and does not hold where one does not.\n\n",
      summary(claims));
  for (size_t i = 0; i < claims.size(); i++) {
    const Claim& claim = claims[i];
    text += fmt::format("\n## {}. {}: {}\n", i + 1, claim.text, name_of(claim.verdict()));
    if (!claim.note.empty()) text += "\n" + claim.note + "\n";
    if (claim.findings.empty()) continue;
    text += "\n" + header({"comparison", "in", "first", "second", "difference", "p", "verdict"});
    for (const Finding& f : claim.findings) text += row(f);
  }
  return text;
}

Json json_of(const Comparison& c) {
  return {
      {"difference", c.difference}, {"low", c.interval.low}, {"high", c.interval.high}, {"p", c.p}};
}

Json json_of(const Study& study) {
  Json j = {
      {"recipe", study.recipe},     {"split", study.split},       {"metric", study.metric},
      {"examples", study.examples}, {"seeds", study.seeds},       {"minutes", study.minutes},
      {"commits", study.commits},   {"machines", study.machines}, {"left_out", study.left_out},
      {"missing", study.missing},   {"stages", Json::array()},    {"tests", Json::array()}};
  for (const StageStudy& stage : study.stages) {
    Json s = {{"stage", stage.name}, {"method", stage.method}};
    for (const auto& [figure, resampled] : stage.figures) {
      Interval i = interval_of(resampled);
      s[figure] = {{"score", resampled.score}, {"low", i.low}, {"high", i.high}};
    }
    j["stages"].push_back(s);
  }
  for (const auto& [first, second] : pairs_of(study)) {
    Json t = {{"first", first}, {"second", second}};
    for (const std::string& figure : tested(study))
      if (auto c = study.compared(first, second, figure)) t[figure] = json_of(*c);
    j["tests"].push_back(t);
  }
  return j;
}

}  // namespace

std::string facts_of(const Study& study) {
  std::vector<std::string> minutes;
  for (double m : study.minutes) minutes.push_back(fmt::format("{:.1f}", m));
  std::string missing = study.missing.empty() ? "" : " (" + join(study.missing) + ")";
  std::string text = fmt::format("{}; {} examples of {}{}; ", seeds_of(study),
                                 thousands(double(study.examples)), study.split, missing);
  if (const Resampled* dist = study.find("teacher", "teacher_dist"))
    text += fmt::format(
        "TeacherDist {}; ",
        with_interval("teacher_dist", number("teacher_dist", dist->score), interval_of(*dist)));
  return text + fmt::format("{} minutes of training; commit {}; {}", join(minutes),
                            join(study.commits), join(study.machines));
}

std::string report_of(const Study& study, int times) {
  std::string text =
      fmt::format("# {}\n\n{}.\n\n{}\n", study.recipe, facts_of(study), how(study, times));
  for (const std::string& line : study.left_out) text += fmt::format("\n- left out: {}", line);
  if (!study.left_out.empty()) text += "\n";
  text += "\n" + table(study, study.columns, true);
  if (!study.further.empty()) text += "\n" + table(study, study.further, false);
  std::string paired = tests(study);
  return text + (paired.empty() ? "" : "\n" + paired);
}

std::string report_of(const std::vector<Claim>& claims) {
  std::string text;
  for (auto begin = claims.begin(), end = begin; begin != claims.end(); begin = end) {
    end =
        std::find_if(begin, claims.end(), [&](const Claim& c) { return c.paper != begin->paper; });
    text += (text.empty() ? "" : "\n") + section({begin, end});
  }
  return text;
}

Json json_of(const std::vector<Study>& studies, const std::vector<Claim>& claims, int times) {
  Json j = {{"resamples", times}, {"recipes", Json::array()}, {"claims", Json::array()}};
  for (const Study& study : studies) j["recipes"].push_back(json_of(study));
  for (const Claim& claim : claims) {
    Json c = {
        {"paper", claim.paper}, {"claim", claim.text},       {"verdict", name_of(claim.verdict())},
        {"note", claim.note},   {"recipes", Json::object()}, {"comparisons", Json::array()}};
    for (const std::string& recipe : recipes_of({claim}))
      c["recipes"][recipe] = name_of(*claim.verdict_in(recipe));
    for (const Finding& f : claim.findings) {
      Json one = {{"recipe", f.recipe},           {"first", f.first},
                  {"second", f.second},           {"figure", f.figure},
                  {"first_score", f.first_score}, {"second_score", f.second_score},
                  {"verdict", name_of(f.verdict)}};
      one.update(json_of(f.compared));
      c["comparisons"].push_back(one);
    }
    j["claims"].push_back(c);
  }
  return j;
}

}  // namespace retort
