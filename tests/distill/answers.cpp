// Terms over the tokens of a task's answers: the loss of gathered columns, by hand; no gradient for
// other tokens; which tokens, and which recipes are refused; by the program.
#include "data/tasks.h"

#include <fmt/core.h>

#include <catch2/catch.hpp>
#include <cmath>

#include "distill/objective.h"
#include "engine/gradcheck.h"
#include "losses/transport.h"
#include "tests/data/words.h"
#include "tests/devices.h"
#include "tests/distill/program.h"

namespace fs = std::filesystem;
using namespace retort;
using Catch::Contains;
using Numbers = std::vector<double>;

namespace {

const std::vector<int> kAnswers{3, 5, 8, 11};
const std::vector<TokenPair> kPairs = {
    {{5, 6, 7}, {8}, 0, 0}, {{9}, {11, 5}, 1, 0}, {{7, 7}, {5}, 2, 0}};

Model model(Layout layout, uint64_t seed, Device device) {
  ModelConfig c;
  c.architecture = layout == Layout::causal ? "decoder" : "encoder_decoder";
  c.vocab = 13, c.width = 16, c.heads = 2, c.layers = 1, c.ffn = 16, c.max_positions = 32;
  c.init_std = 0.4, c.tied = false;
  return Model(c, seed, Dtype::f64, device);
}

// Logits at the positions that count, each pair by itself; their labels.
std::vector<Numbers> valid_rows(const Model& m, Layout layout, std::vector<int>* labels = nullptr) {
  NoGrad quiet;
  std::vector<Numbers> rows;
  for (const TokenPair& pair : kPairs) {
    Pass pass;
    Batch b = collate({pair}, layout, {});
    Numbers z = m.forward(inputs_of(b, layout, m.device()), pass).logits.values();
    for (size_t t = 0; t < b.labels.size(); t++) {
      if (b.labels[t] < 0) continue;
      rows.emplace_back(z.begin() + long(t * 13), z.begin() + long((t + 1) * 13));
      if (labels) labels->push_back(b.labels[t]);
    }
  }
  return rows;
}

// log softmax(z / T) over the answers' tokens.
Numbers log_p(const Numbers& z, double T) {
  Numbers p;
  double total = 0;
  for (int id : kAnswers) total += std::exp(z[size_t(id)] / T);
  for (int id : kAnswers) p.push_back(z[size_t(id)] / T - std::log(total));
  return p;
}

}  // namespace

TEST_CASE("a term over the answers' tokens is the loss of these columns, by hand", "[cuda]") {
  for (Device device : devices())
    for (Layout layout : {Layout::seq2seq, Layout::causal}) {
      Model teacher = model(layout, 2, device), student = model(layout, 3, device);
      std::vector<int> labels;
      std::vector<Numbers> p = valid_rows(teacher, layout, &labels),
                           q = valid_rows(student, layout);
      REQUIRE(p.size() == 7);
      double kl = 0, ce = 0, unit = 0;
      for (size_t i = 0; i < 7; i++) {
        Numbers lp = log_p(p[i], 1.5), lq = log_p(q[i], 1.5), one = log_p(q[i], 1);
        for (size_t k = 0; k < 4; k++) {
          kl += std::exp(lp[k]) * (lp[k] - lq[k]) / 7;
          if (kAnswers[k] == labels[i]) ce -= one[k] / 7;
        }
      }
      Numbers columns_p, columns_q;
      for (size_t i = 0; i < 7; i++)
        for (int id : kAnswers)
          columns_p.push_back(p[i][size_t(id)]), columns_q.push_back(q[i][size_t(id)]);
      TransportInputs in;
      in.teacher = Tensor::from(columns_p, {7, 4}, Dtype::f64);
      in.student = Tensor::from(columns_q, {7, 4}, Dtype::f64);
      unit = transport(parse_transport("sinkhorn:unit"), in).loss.item();
      auto check = [&](Term term, double expected) {
        INFO(term.loss << " on layout " << int(layout));
        term.vocabulary = "answers";
        Stage stage;
        stage.name = "student", stage.terms = {term};
        Objective o(stage, layout, {}, 7, &teacher, 9, {}, nullptr, kAnswers);
        Update u = o.prepare(student, {collate(kPairs, layout, {})}, {}, 0);
        student.parameters().zero_grads();
        o.accumulate(student, u);
        CHECK(u.loss().item() == Approx(expected).epsilon(1e-9));
        // Rows of the output projection are tokens: only the answers' have a gradient.
        Numbers g = grad(student.parameters()["head.weight"].value).values();
        for (size_t v = 0; v < 13; v++) {
          double norm = 0;
          for (size_t c = 0; c < 16; c++) norm += std::abs(g[v * 16 + c]);
          bool answers = std::count(kAnswers.begin(), kAnswers.end(), int(v)) > 0;
          CHECK((norm > 0) == answers);
        }
      };
      check({"ce", "gold"}, ce);
      check({"kl", "gold", 1, 1.5}, kl);
      check({"sinkhorn:unit", "gold", 0.5, 2}, unit / 2);
    }
}

TEST_CASE("columns: what is refused") {
  Tensor x = random_tensor({2, 5}, 1);
  CHECK_THROWS_WITH(columns(x, {1, 5}), Contains("columns: id 5 at position 1 is outside [0, 5)"));
  CHECK_THROWS_WITH(columns(x, {4, 1, 4}), Contains("columns: an id stands twice"));
  CHECK_THROWS_WITH(columns(x, {}), Contains("columns: expected x (..., V) and ids"));
}

TEST_CASE("the tokens of answers: of those that every example has, and the end") {
  Temporary t;
  Tokenizer tokenizer = trained(t, 60);
  for (const Task& task : tasks()) {
    INFO(task.name);
    std::string name = task.name;
    CHECK(fixed_answers(task) == (name != "superglue:copa" && name != "superglue:record"));
    if (!fixed_answers(task)) continue;
    std::vector<int> tokens = answer_tokens(task, tokenizer), expected{tokenizer.eos()};
    CHECK(std::is_sorted(tokens.begin(), tokens.end()));
    for (const Choice& answer : task.answers)
      for (int id : tokenizer.encode(answer.text)) {
        CHECK(std::binary_search(tokens.begin(), tokens.end(), id));
        if (std::count(expected.begin(), expected.end(), id) == 0) expected.push_back(id);
      }
    CHECK(tokens.size() == expected.size());
    CHECK(std::binary_search(tokens.begin(), tokens.end(), tokenizer.eos()));
  }
}

TEST_CASE("recipes: vocabulary = \"answers\" trains, counts as another objective, or is refused") {
  fs::remove_all(folder());
  std::string data = "sentence\tlabel\n";
  for (int i = 0; i < 40; i++) data += i % 2 ? "good fine film\t1\n" : "bad poor word\t0\n";
  data = write("sst2.tsv", data);
  auto toml = [&](const std::string& term, const std::string& format = "glue:sst2",
                  const std::string& layout = "causal", const std::string& more = "") {
    std::string architecture = layout == "causal"    ? "decoder"
                               : layout == "seq2seq" ? "encoder_decoder"
                                                     : "encoder";
    std::string model =
        "architecture = \"" + architecture + "\"\nwidth = 8\nheads = 2\nlayers = 1\n";
    return write("r.toml",
                 fmt::format("output = \"{}\"\n[data]\nformat = \"{}\"\nlayout = \"{}\"\n"
                             "train = \"{}\"\ntest = \"{}\"\n[tokenizer]\nsize = 30\n[train]\n"
                             "steps = 3\n[evaluate]\nrisks = false\n[teacher]\n{}[students.a]\n"
                             "{}terms = [{{{}}}]\n{}",
                             (folder() / "run").string(), format, layout, data, data, model, model,
                             term, more));
  };
  std::string kl = "loss = \"kl\", vocabulary = \"answers\"";
  Result r = run("run " + toml(kl));
  INFO(r.text);
  REQUIRE(r.status == 0);
  std::string manifest = read_file((folder() / "run/a/manifest.json").string());
  CHECK_THAT(manifest, Contains("\"vocabulary\": \"answers\""));
  // The same term over all tokens is another run, whose manifest is as it was before the choice.
  CHECK_THAT(run("run " + toml("loss = \"kl\"")).text, Contains("was made by another recipe"));
  CHECK(run("run --overwrite " + toml("loss = \"kl\"")).status == 0);
  manifest = read_file((folder() / "run/a/manifest.json").string());
  CHECK_THAT(manifest, !Contains("vocabulary\": \"a"));
  auto refused = [&](const std::string& recipe, const std::string& why) {
    CHECK_THROWS_WITH(load_recipe(recipe, {}), Contains("r.toml:") && Contains("vocabulary") &&
                                                   Contains(why) && !Contains("\n"));
  };
  refused(toml("loss = \"kl\", vocabulary = \"answer\""), "did you mean \"answers\"?");
  refused(toml(kl, "superglue:record"), "every example of superglue:record has answers of its own");
  refused(toml(kl, "superglue:copa", "seq2seq"), "every example of superglue:copa has answers");
  refused(toml(kl, "tsv", "seq2seq"), "format tsv is free text");
  refused(toml(kl, "glue:sst2", "classify"), "classify writes no answers");
  refused(toml(kl, "text", "masked"), "masked writes no answers");
  refused(toml("loss = \"hidden\", vocabulary = \"answers\""), "hidden states have no vocabulary");
  refused(toml("loss = \"ce\", on = \"teacher\", vocabulary = \"answers\""), "takes it on gold");
  refused(toml("loss = \"skew_kl\", mixture = \"exact\", vocabulary = \"answers\""),
          "is over all tokens");
  std::string keep = "teacher_sequences = {keep = \"top_k\", keep_k = 4}\n";
  CHECK_THROWS_WITH(load_recipe(toml("loss = \"kl\", on = \"teacher\", vocabulary = \"answers\"",
                                     "glue:sst2", "causal", keep),
                                {}),
                    Contains("top_k keeps tokens of its own choice"));
  fs::remove_all(folder());
}
