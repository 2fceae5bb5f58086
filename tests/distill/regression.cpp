// Distilled regression and matched logits: mse by hand at a temperature, of numbers and classes,
// over micro-batches; an STS-B of a toy by the program; what is refused.
#include <fmt/core.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "distill/objective.h"
#include "tests/devices.h"
#include "tests/distill/program.h"

namespace fs = std::filesystem;
using namespace retort;
using Catch::Contains;
using Numbers = std::vector<double>;

namespace {

Model model(int classes, uint64_t seed, Device device) {
  ModelConfig c = ModelConfig::preset("bert");
  c.vocab = 13, c.width = 16, c.heads = 2, c.layers = 1, c.ffn = 16, c.max_positions = 32;
  c.dropout = c.attention_dropout = 0, c.init_std = 0.4, c.classes = classes;
  return Model(c, seed, Dtype::f64, device);
}

std::vector<TokenPair> pairs_of(int classes) {
  std::vector<TokenPair> pairs;
  for (int i = 0; i < 6; i++) pairs.push_back({{5 + i % 3, 6 + i}, {}, i, 0.5f * float(i)});
  for (TokenPair& p : pairs)
    if (classes > 1) p.target = {p.id % classes};
  return pairs;
}

Numbers logits(const Model& m, const std::vector<TokenPair>& pairs) {
  NoGrad quiet;
  Numbers all;
  for (const TokenPair& pair : pairs) {
    Pass pass;
    Inputs in = inputs_of(collate({pair}, Layout::classify, {}), Layout::classify, m.device());
    for (double x : m.forward(in, pass).logits.values()) all.push_back(x);
  }
  return all;
}

double loss_of(Model& student, const Model& teacher, const std::vector<Term>& terms,
               const std::vector<std::vector<TokenPair>>& micro, double progress = 0) {
  Stage stage;
  stage.name = "student", stage.terms = terms;
  Objective o(stage, Layout::classify, {}, 7, &teacher, 9);
  std::vector<Batch> batches;
  for (const auto& pairs : micro) batches.push_back(collate(pairs, Layout::classify, {}));
  Update u = o.prepare(student, batches, {}, 0, progress);
  student.parameters().zero_grads();
  o.accumulate(student, u);
  return u.loss().item();
}

}  // namespace

TEST_CASE("mse is the mean squared difference of the logits, of numbers and of classes", "[cuda]") {
  for (Device device : devices())
    for (int classes : {1, 3}) {
      Model teacher = model(classes, 2, device), student = model(classes, 3, device);
      std::vector<TokenPair> pairs = pairs_of(classes);
      Numbers t = logits(teacher, pairs), s = logits(student, pairs);
      REQUIRE(s.size() == size_t(6 * classes));
      double expected = 0, labels = 0;
      for (size_t i = 0; i < s.size(); i++)
        expected += std::pow((s[i] - t[i]) / 2, 2) / double(s.size());
      Term mse{"mse", "gold", 0.7, 2}, annealed{"mse", "gold", 1, 4};
      annealed.temperature_end = 1;
      INFO(classes);
      CHECK(loss_of(student, teacher, {mse}, {pairs}) == Approx(0.7 * expected).epsilon(1e-9));
      CHECK(loss_of(student, teacher, {annealed}, {pairs}, 0.5) ==
            Approx(4 * expected / 6.25).epsilon(1e-9));
      CHECK(loss_of(teacher, teacher, {mse}, {pairs}) == 0);
      Numbers g = student.parameters().grads().values();
      loss_of(student, teacher, {mse},
              {{pairs.begin(), pairs.begin() + 2}, {pairs.begin() + 2, pairs.end()}});
      Numbers micro = student.parameters().grads().values();
      loss_of(student, teacher, {mse}, {pairs});
      g = student.parameters().grads().values();
      double norm = 0;
      for (size_t i = 0; i < g.size(); i++) {
        norm += g[i] * g[i];
        REQUIRE(micro[i] == Approx(g[i]).epsilon(1e-9).margin(1e-12));
      }
      CHECK(norm > 1e-3);
      if (classes > 1) continue;
      for (size_t i = 0; i < 6; i++) labels += std::pow(s[i] - 0.5 * double(i), 2) / 6;
      CHECK(loss_of(student, teacher, {{"ce", "gold", 0.3}, mse}, {pairs}) ==
            Approx(0.3 * labels + 0.7 * expected).epsilon(1e-7));  // labels are float32
    }
}

TEST_CASE(
    "a regression is distilled by ce and mse, by the program; what needs distributions is "
    "refused") {
  fs::remove_all(folder());
  std::string data = "index\tsentence1\tsentence2\tscore\n";
  for (int i = 0; i < 40; i++)
    data += fmt::format("{}\tgood film\t{}\t{}\n", i, i % 2 ? "fine film" : "poor word",
                        i % 2 ? "4.2" : "0.517");
  data = write("stsb.tsv", data);
  auto toml = [&](const std::string& terms, const std::string& format = "glue:stsb",
                  const std::string& layout = "classify") {
    std::string model = fmt::format("architecture = \"{}\"\nwidth = 16\nheads = 2\nlayers = 1\n",
                                    layout == "seq2seq" ? "encoder_decoder" : "encoder");
    return write("r.toml", fmt::format("output = \"{}\"\n[data]\nformat = \"{}\"\nlayout = \"{}\"\n"
                                       "train = \"{}\"\ntest = \"{}\"\n[tokenizer]\nsize = 20\n"
                                       "[train]\nsteps = 250\nlearning_rate = 0.01\n[teacher]\n{}"
                                       "[students.a]\n{}terms = [{}]\n",
                                       (folder() / "run").string(), format, layout, data, data,
                                       model, model, terms));
  };
  Result r = run("run " + toml("{loss = \"ce\", weight = 0.1}, {loss = \"mse\", weight = 0.9}"));
  INFO(r.text);
  REQUIRE(r.status == 0);
  Json j = Json::parse(read_file((folder() / "run/a/results.json").string()));
  CHECK(j["pearson"]["score"] > 0.9);
  CHECK(j["mean_squared_error"] < 1);
  auto refused = [&](const std::string& recipe, const std::string& why) {
    Result bad = run("run " + recipe);
    INFO(bad.text);
    CHECK(bad.status == 1);
    CHECK_THAT(bad.text, Contains(why));
    CHECK(std::count(bad.text.begin(), bad.text.end(), '\n') == 1);
  };
  for (const char* loss : {"kl", "sinkhorn:unit", "uld"})
    refused(toml(fmt::format("{{loss = \"{}\"}}", loss)),
            fmt::format("no distributions for {} to compare; its losses are ce", loss));
  refused(toml("{loss = \"mse\"}", "glue:stsb", "seq2seq"), "mse matches the logits of classes");
  refused(toml("{loss = \"mse\", temperature = 0}"), "temperature: must be a number above 0");
  refused(toml("{loss = \"mse\", parameters = \"eps=1\"}"), "are for transport losses");
  refused(toml("{loss = \"mes\"}"), "no loss \"mes\"");
  fs::remove_all(folder());
}
