// What a report shows of trained models, against distributions one sequence at a time.
#include "distill/inspection.h"

#include <catch2/catch.hpp>
#include <set>

#include "losses/divergence.h"
#include "tests/distill/toy.h"

using namespace retort;

namespace {

std::vector<int> labels_of(const TokenPair& pair, int end) {
  std::vector<int> labels = pair.target;
  labels.push_back(end);
  return labels;
}

// sum p log(p / q)
double kl(const Row& p, const Row& q) {
  double sum = 0;
  for (size_t v = 0; v < p.size(); v++) sum += std::exp(p[v]) * (p[v] - q[v]);
  return sum;
}

Row middle(const Row& p, const Row& q) {
  Row m;
  for (size_t v = 0; v < p.size(); v++)
    m.push_back(std::log((std::exp(p[v]) + std::exp(q[v])) / 2));
  return m;
}

double apart(const Row& p, const Row& q) {
  double sum = 0;
  for (size_t v = 0; v < p.size(); v++) sum += std::abs(std::exp(p[v]) - std::exp(q[v])) / 2;
  return sum;
}

struct Inspected {
  Toy toy;
  Experiment& e = *toy.experiment;
  Model student = toy.model(1), teacher = toy.model(2);
  std::vector<std::string> outputs;
  Stage stage = e.stage("teacher");
  Inspected() {
    stage.name = "js", stage.method = "js";
    for (size_t i = 0; i < e.pairs("test").pairs.size(); i++)
      outputs.push_back("output " + std::to_string(i));
  }
  Json operator()(const InspectOptions& o = {}) {
    return inspect_stage(e, stage, student, &teacher, outputs, o);
  }
  std::pair<std::vector<Row>, std::vector<Row>> rows(const TokenPair& pair) {
    std::vector<int> labels = labels_of(pair, e.specials().eos);
    return {log_probabilities(teacher, pair, labels, e.specials()),
            log_probabilities(student, pair, labels, e.specials())};
  }
};

}  // namespace

TEST_CASE("inspect: entropy by position, by hand") {
  Inspected inspect;
  Json p = inspect()["positions"];
  std::vector<double> count, own, theirs;
  for (const TokenPair& pair : inspect.e.pairs("test").pairs) {
    auto [of_teacher, of_student] = inspect.rows(pair);
    for (size_t t = 0; t < of_teacher.size(); t++) {
      if (t == count.size()) count.push_back(0), own.push_back(0), theirs.push_back(0);
      count[t]++, own[t] += entropy(of_student[t]), theirs[t] += entropy(of_teacher[t]);
    }
  }
  REQUIRE(p["count"].size() == count.size());
  CHECK(count.front() > count.back());  // not all are of one length
  for (size_t t = 0; t < count.size(); t++) {
    INFO(t);
    CHECK(p["count"][t] == count[t]);
    CHECK(p["student_entropy"][t].get<double>() == Approx(own[t] / count[t]).epsilon(1e-4));
    CHECK(p["teacher_entropy"][t].get<double>() == Approx(theirs[t] / count[t]).epsilon(1e-4));
  }
  InspectOptions few;
  few.positions = 2;
  CHECK(inspect(few)["positions"]["count"] == Json({count[0], count[1]}));
}

TEST_CASE("inspect: divergences and likeliest tokens of each token, by hand") {
  Inspected inspect;
  Json sentences = inspect()["sentences"];
  REQUIRE(sentences.size() == 3);
  const std::vector<TokenPair>& pairs = inspect.e.pairs("test").pairs;
  std::vector<size_t> chosen = evenly(pairs.size(), 10);
  for (size_t k = 0; k < sentences.size(); k++) {
    const TokenPair& pair = pairs[chosen[k]];
    std::vector<int> labels = labels_of(pair, inspect.e.specials().eos);
    auto [p, q] = inspect.rows(pair);
    REQUIRE(sentences[k].size() == labels.size());
    for (size_t t = 0; t < labels.size(); t++) {
      const Json& token = sentences[k][t];
      CHECK(token["token"] == inspect.e.tokenizer().piece(labels[t]));
      CHECK(token["kl"].get<double>() == Approx(kl(p[t], q[t])).epsilon(1e-4));
      CHECK(token["rkl"].get<double>() == Approx(kl(q[t], p[t])).epsilon(1e-4));
      Row m = middle(p[t], q[t]);
      CHECK(token["js"].get<double>() == Approx((kl(p[t], m) + kl(q[t], m)) / 2).epsilon(1e-4));
      CHECK(token["tvd"].get<double>() == Approx(apart(p[t], q[t])).epsilon(1e-4));
      double most = *std::max_element(p[t].begin(), p[t].end());
      REQUIRE(token["teacher"].size() == 3);
      CHECK(token["teacher"][0][1].get<double>() == Approx(std::exp(most)).epsilon(1e-4));
      CHECK(token["teacher"][0][1] >= token["teacher"][1][1]);
    }
  }
}

TEST_CASE("inspect: the transport plan has the marginals it says") {
  Inspected inspect;
  Json t = inspect()["transport"];
  size_t n = t["rows"].size();
  CHECK(n == 24);
  CHECK(t["loss"] == "sinkhorn:unit");
  double row_error = 0, column_error = 0;
  for (size_t i = 0; i < n; i++) {
    double row = 0, column = 0;
    for (size_t j = 0; j < n; j++)
      row += t["plan"][i][j].get<double>(), column += t["plan"][j][i].get<double>();
    row_error += std::abs(row - 1.0 / double(n)),
        column_error += std::abs(column - 1.0 / double(n));
  }
  CHECK(row_error == Approx(t["row_error"].get<double>()).margin(2e-4));
  CHECK(column_error == Approx(t["column_error"].get<double>()).margin(2e-4));
  inspect.stage.terms = {Term{}};
  inspect.stage.terms[0].loss = "sinkhorn:unit";
  inspect.stage.terms[0].parameters = {"eps=0.5", "iters=3"};
  t = inspect()["transport"];  // the stage's own
  CHECK(t["eps"] == 0.5);
  CHECK(t["iterations"] == 3);
}

TEST_CASE("inspect: samples are spread evenly, and the same bytes come again") {
  Inspected inspect;
  Json j = inspect(), samples = j["samples"];
  REQUIRE(samples.size() == 10);
  std::vector<size_t> chosen = evenly(inspect.outputs.size(), 10);
  for (size_t k = 0; k < chosen.size(); k++) {
    const Example& x = inspect.e.corpus("test").examples[chosen[k]];
    CHECK(samples[k] == Json{{"source", x.source},
                             {"reference", x.target},
                             {"output", "output " + std::to_string(chosen[k])}});
  }
  CHECK(inspect().dump() == j.dump());
  CHECK(evenly(3, 10) == std::vector<size_t>{0, 1, 2});
  CHECK(evenly(24, 10) == std::vector<size_t>{0, 2, 4, 6, 8, 10, 12, 14, 16, 18});
  // The teacher has nobody to be compared with.
  Json own =
      inspect_stage(inspect.e, inspect.stage, inspect.teacher, &inspect.teacher, inspect.outputs);
  CHECK(!own.contains("transport"));
  CHECK(!own["sentences"][0][0].contains("kl"));
  CHECK(own["positions"].contains("student_entropy"));
}
