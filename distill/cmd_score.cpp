// retort score: metrics of a hypothesis file against reference files, with their confidence
// intervals, and of two systems against each other.
#include <fmt/core.h>

#include <memory>

#include "data/bootstrap.h"
#include "data/metrics.h"
#include "data/text.h"
#include "distill/checks.h"
#include "distill/commands.h"
#include "distill/toml.h"

namespace retort {
namespace {

struct Arguments {
  std::vector<std::string> metrics{"bleu", "chrf"}, references;
  std::string hypothesis, versus;
  Resampling resampling;
  bool json = false;
};

// The lines of a file that belong to those of the hypotheses.
Segments lines_beside(const Segments& hypotheses, const std::string& path, const Arguments& a) {
  Segments lines = read_lines(path);
  if (lines.size() != hypotheses.size())
    throw std::runtime_error(fmt::format("{} has {} lines, {} has {}: one segment a line in both",
                                         path, lines.size(), a.hypothesis, hypotheses.size()));
  return lines;
}

void print(const std::string& name, const Json& j, int decimals) {
  auto number = [&](const Json& value) {
    return fmt::format("{:.{}f}", value.get<double>(), decimals);
  };
  auto interval = [&](const Json& of) {
    return of.contains("low") ? fmt::format(" [{}, {}]", number(of["low"]), number(of["high"]))
                              : "";
  };
  fmt::print("{} = {}{}  {}\n", name, number(j["score"]), interval(j),
             j["signature"].get<std::string>());
  if (j.contains("versus")) {
    const Json& v = j["versus"];
    fmt::print("{} versus {}: difference {}{}", name, number(v["score"]), number(v["difference"]),
               interval(v));
    fmt::print("{}\n", v.contains("p") ? fmt::format(", p = {:.4f}", v["p"].get<double>()) : "");
  }
}

void score(const Arguments& a) {
  std::vector<const Metric*> chosen;
  for (const std::string& name : a.metrics) {
    chosen.push_back(&known_metric(name));
    if (chosen.back()->needs_references && a.references.empty())
      throw std::runtime_error(
          fmt::format("score: {} needs references: add --ref FILE, one segment a line", name));
  }
  Segments hypotheses = read_lines(a.hypothesis), others;
  if (hypotheses.empty())
    throw std::runtime_error(fmt::format("{}: empty: write one segment a line", a.hypothesis));
  std::vector<Segments> references;
  for (const std::string& path : a.references)
    references.push_back(lines_beside(hypotheses, path, a));
  if (!a.versus.empty()) others = lines_beside(hypotheses, a.versus, a);

  Json all;
  for (const Metric* metric : chosen) {
    Measurement measured = metric->measure(hypotheses, references);
    Json& j = all[metric->name];
    j = {{"score", measured.score()}, {"signature", measured.signature}};
    if (a.resampling.times > 0) {
      Interval i = bootstrap(measured, a.resampling);
      j["low"] = i.low, j["high"] = i.high;
    }
    if (!a.versus.empty()) {
      Measurement other = metric->measure(others, references);
      Json& v = j["versus"];
      v = {{"score", other.score()}, {"difference", measured.score() - other.score()}};
      if (a.resampling.times > 0) {
        Comparison c = compare(measured, other, a.resampling);
        v["low"] = c.interval.low, v["high"] = c.interval.high, v["p"] = c.p;
      }
    }
    if (!a.json) print(metric->name, j, metric->decimals);
  }
  if (a.json) fmt::print("{}\n", all.dump());
}

}  // namespace

void add_score_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand(
      "score", "Metrics of plain text files: BLEU, chrF, TER, ROUGE, METEOR, diversity, labels");
  std::vector<std::string> names;
  for (const Metric& metric : metrics()) names.push_back(metric.name);
  c->add_option("--metric", a->metrics, "Any of " + join(names))
      ->delimiter(',')
      ->type_name("METRIC")
      ->capture_default_str();
  c->add_option("--ref", a->references,
                "References, one segment a line; more than one file may be given; not needed for "
                "distinct1, distinct2 and self_bleu")
      ->take_all()
      ->type_name("FILE");
  c->add_option("--hyp", a->hypothesis, "Hypotheses, one segment a line")
      ->required()
      ->type_name("FILE");
  c->add_option("--versus", a->versus,
                "Another system's hypotheses: difference, its interval and the p of a paired "
                "bootstrap")
      ->type_name("FILE");
  c->add_option("--resamples", a->resampling.times,
                "Bootstrap resamples for the 95 per cent intervals; 0 for none")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  c->add_option("--seed", a->resampling.seed, "Seed of the resampling")->capture_default_str();
  c->add_flag("--json", a->json, "One JSON object");
  c->footer("Example:  retort score --metric bleu,ter --ref REF.txt --hyp HYP.txt --json");
  c->callback([a] { score(*a); });
}

}  // namespace retort
