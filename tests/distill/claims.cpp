// Claims' outcomes: each holds, does not hold, is not decided; which studies a paper speaks of.
#include "distill/claims.h"

#include <catch2/catch.hpp>

#include "data/metrics.h"
#include "distill/report.h"

using namespace retort;
using Catch::Contains;

namespace {

// A study whose models score the same in every resample, or, where `doubt` names one, 100 to either
// side of its score.
Study made(const std::string& recipe, const std::map<std::string, double>& scores,
           const std::string& figure = "rougeL", const std::string& doubt = "") {
  Study s;
  s.writes_text = find_metric(figure).lines == Lines::text;
  s.recipe = recipe, s.metric = figure, s.seeds = {1}, s.minutes = {1};
  for (const auto& [name, score] : scores) {
    Resampled r{score, std::vector<double>(100, score)};
    for (size_t b = 0; b < 100 && name == doubt; b++) r.scores[b] += b % 2 ? 100 : -100;
    s.stages.push_back({name, name, {{figure, r}, {"coverage_risk", r}}});
  }
  return s;
}

}  // namespace

TEST_CASE("claims: each of f-DISTILL's holds, does not hold, is not decided") {
  // In figure order of merit: what f-DISTILL found.
  const std::map<std::string, double> found{{"mle", 1}, {"seqkd", 2}, {"engine", 3}, {"rkl", 4},
                                            {"kl", 5},  {"js", 6},    {"tvd", 7}};
  std::map<std::string, double> opposite;
  for (const auto& [name, score] : found) opposite[name] = -score;
  auto verdict = [](const Study& s, size_t claim) { return claims_of({s}).at(claim).verdict(); };
  for (size_t claim : {1, 2, 4}) {
    INFO(claim);
    CHECK(verdict(made("a", found), claim) == Verdict::holds);
    CHECK(verdict(made("a", opposite), claim) == Verdict::does_not_hold);
    CHECK(verdict(made("a", found, "rougeL", "kl"), claim) == Verdict::not_decided);
    CHECK(verdict(made("a", found, "ter"), claim) == Verdict::does_not_hold);  // counts downwards
    CHECK(verdict(made("a", opposite, "ter"), claim) == Verdict::holds);
    std::map<std::string, double> without = found;
    without.erase("kl");
    CHECK(verdict(made("a", without), claim) == Verdict::not_decided);
  }
  CHECK(verdict(made("a", {{"kl", 1}, {"rkl", 2}}), 0) == Verdict::holds);
  CHECK(verdict(made("a", {{"kl", 2}, {"rkl", 1}}), 0) == Verdict::does_not_hold);
  CHECK(verdict(made("a", {{"kl", 1}, {"rkl", 2}}, "rougeL", "kl"), 0) == Verdict::not_decided);
  CHECK(verdict(made("a", {{"kl", 1}, {"mle", 2}}), 0) == Verdict::not_decided);
  // One comparison is enough against a claim; each is listed.
  Study s = made("a", {{"kl", 1}, {"rkl", 2}, {"js", 3}, {"tvd", 1.5}});
  std::vector<Finding> findings = claims_of({s})[1].findings;
  REQUIRE(findings.size() == 4);
  CHECK(findings[2].verdict == Verdict::holds);          // tvd above kl
  CHECK(findings[3].verdict == Verdict::does_not_hold);  // tvd above rkl
  CHECK(findings[3].compared.difference == -0.5);
  CHECK(verdict(s, 1) == Verdict::does_not_hold);
}

TEST_CASE("claims: the one on TeacherDist is of recipes where it is low and where it is high") {
  auto recipe = [](const std::string& name, double dist, double kl, double rkl) {
    Study s = made(name, {{"kl", kl}, {"rkl", rkl}});
    s.stages.push_back({"teacher", "teacher", {{"teacher_dist", {dist, {}}}}});
    return s;
  };
  auto claim = [](const std::vector<Study>& studies) { return claims_of(studies).at(3); };
  Study low = recipe("low", 10, 2, 1), middle = recipe("middle", 50, 2, 1),
        high = recipe("high", 80, 1, 2);
  CHECK(claim({high, middle, low}).verdict() == Verdict::holds);
  CHECK(claim({high, middle, low}).findings.size() == 2);
  CHECK_THAT(claim({high, middle, low}).note,
             Contains("high 80.00, middle 50.00, low 10.00. Low is up to 40, high from 60"));
  CHECK(claim({low, recipe("high", 80, 2, 1)}).verdict() == Verdict::does_not_hold);
  CHECK(claim({recipe("low", 10, 1, 2), high}).verdict() == Verdict::does_not_hold);
  CHECK(claim({recipe("low", 10, 1, 1), high}).verdict() == Verdict::not_decided);
  CHECK(claim({middle, high}).verdict() == Verdict::not_decided);
  CHECK_THAT(claim({middle, high}).note,
             Contains(" Compared nowhere, so that the claim cannot hold: kl better than rkl."));
  CHECK_THAT(claim({middle, low}).note, Contains("hold: rkl better than kl."));
  CHECK(claim({high, made("none", {{"kl", 1}})}).findings.size() == 1);
}

TEST_CASE("claims: SinKD's ranking, over all and in each recipe") {
  const std::map<std::string, double> found{{"ce", 1},         {"kl", 2},  {"rkl", 3},
                                            {"js", 4},         {"tvd", 4}, {"sinkd_sample", 4.5},
                                            {"sinkd_batch", 5}};
  auto verdicts = [](const std::vector<Study>& studies) {
    std::vector<Claim> claims = claims_of(studies);
    REQUIRE(claims.size() == 2);
    CHECK(claims[0].paper == "SinKD");
    return std::pair{claims[0].verdict(), claims[1].verdict()};
  };
  const Verdict holds = Verdict::holds, fails = Verdict::does_not_hold, open = Verdict::not_decided;
  auto with = [&](const std::string& name, double score, const std::string& doubt = "") {
    std::map<std::string, double> scores = found;
    scores[name] = score;
    return made("b", scores, "matthews", doubt);
  };
  Study best = made("a", found, "accuracy");
  CHECK(verdicts({best}) == std::pair{holds, holds});
  CHECK(verdicts({best, with("rkl", 1.5)}) == std::pair{fails, holds});
  CHECK(verdicts({best, with("sinkd_sample", 6)}) == std::pair{holds, fails});
  CHECK(verdicts({best, with("ce", 6)}) == std::pair{holds, fails});
  CHECK(verdicts({best, with("tvd", 4, "tvd")}) == std::pair{holds, open});
  CHECK(verdicts({best, with("sinkd_batch", 3.5)}) == std::pair{fails, fails});

  // A recipe is asked of the models it has; what none has leaves a claim open.
  Study few = made("few", {{"ce", 1}, {"kl", 3}, {"sinkd_batch", 2}}, "accuracy");
  std::vector<Claim> claims = claims_of({few, best});
  CHECK(claims[0].findings.size() == 3);
  CHECK(claims[1].findings.size() == 6 + 2);
  CHECK(claims[1].verdict() == fails);
  CHECK(claims[1].verdict_in("few") == fails);
  CHECK(claims[1].verdict_in("a") == holds);
  CHECK_FALSE(claims[0].verdict_in("few"));
  CHECK_THAT(report_of(claims),
             Contains("| claim | verdict | hold | do not hold | not decided | a | few |\n") &&
                 Contains("KL | holds | 3 | 0 | 0 | holds | - |\n") &&
                 Contains("included | does not hold | 7 | 1 | 0 | holds | does not hold |\n"));
  CHECK(verdicts({made("few", {{"rkl", 1}, {"js", 2}, {"sinkd_batch", 3}}, "f1")}) ==
        std::pair{open, open});
  CHECK(claims_of({made("few", {{"rkl", 1}, {"js", 2}}, "f1")})[0].note ==
        "Compared nowhere, so that the claim cannot hold: sinkd_batch better than js, rkl better "
        "than kl.");
}

TEST_CASE(
    "claims: a paper's are of its kind of output, and there only where something is compared") {
  const std::map<std::string, double> both{{"kl", 1}, {"rkl", 2}, {"js", 3}, {"tvd", 4}};
  auto papers = [](const std::vector<Study>& studies) {
    std::vector<std::string> names;
    for (const Claim& claim : claims_of(studies))
      if (names.empty() || names.back() != claim.paper) names.push_back(claim.paper);
    return names;
  };
  using Names = std::vector<std::string>;
  Study text = made("text", both), labels = made("labels", both, "accuracy"),
        others = made("others", {{"base", 1}, {"z", 2}, {"a", 3}}, "accuracy");
  CHECK(papers({text}) == Names{"f-DISTILL"});
  CHECK(papers({labels}) == Names{"SinKD"});
  CHECK(papers({labels, others, text}) == Names{"f-DISTILL", "SinKD"});
  CHECK(papers({others}).empty());
  CHECK(report_of(claims_of({others})).empty());
  for (const Claim& claim : claims_of({labels, others, text}))
    for (const Finding& f : claim.findings)
      CHECK(f.recipe == (claim.paper == "SinKD" ? "labels" : "text"));
  std::string report = report_of(claims_of({labels, text}));
  CHECK(report.find("# Claims of f-DISTILL\n") < report.find("\n# Claims of SinKD\n"));

  // Each pair once; of a study without any the others against the first.
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(pairs_of(text) ==
        Pairs{{"kl", "rkl"}, {"js", "kl"}, {"js", "rkl"}, {"tvd", "kl"}, {"tvd", "rkl"}});
  CHECK(pairs_of(labels) == Pairs{{"js", "rkl"}, {"rkl", "kl"}});
  others = made("others", {}, "accuracy");
  for (const char* name : {"teacher", "base", "z", "a"})
    others.stages.push_back({name, name, {{"accuracy", {1, {1}}}}});
  CHECK(pairs_of(others) == Pairs{{"z", "base"}, {"a", "base"}});
}
