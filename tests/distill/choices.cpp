// Answers to choose from: sums of log-probabilities by hand for an encoder-decoder and a decoder,
// the softmax's axis, questions of several answers; and, by the program, tasks of each architecture
// from files to a comparison.
#include "distill/choices.h"

#include <fmt/core.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/data/temporary.h"
#include "tests/distill/program.h"

namespace fs = std::filesystem;
using namespace retort;
using Catch::Contains;
using Row = std::vector<double>;

namespace {

// Three passages of several questions and answers, or queries whose choices are entities.
std::string multirc() {
  std::string text;
  for (int i = 0; i < 3; i++)
    text +=
        fmt::format(
            R"({{"passage": {{"text": "ann saw {0}", "questions": [{{"question": "who", "answers": )"
            R"([{{"text": "ann", "label": 1}}, {{"text": "bo {0}", "label": 0}}]}}, {{"question": )"
            R"("what", "answers": [{{"text": "{0}", "label": 1}}]}}]}}}})",
            i) +
        "\n";
  return text;
}
std::string record() {
  std::string text;
  for (const char* name : {"bo", "cy lee", "di"})
    text += fmt::format(R"({{"passage": {{"text": "ann met {0}", "entities": [{{"start": 0, )"
                        R"("end": 2}}, {{"start": 8, "end": {1}}}]}}, "qas": [{{"query": )"
                        R"("@placeholder met {0}", "answers": [{{"text": "ann"}}]}}, {{"query": )"
                        R"("ann and @placeholder", "answers": [{{"text": "{0}"}}, )"
                        R"({{"text": "ann"}}]}}]}})",
                        name, 7 + std::string(name).size()) +
            "\n";
  return text;
}

struct Toy {
  Temporary files;
  std::unique_ptr<Experiment> experiment;
  Toy(const std::string& format, const std::string& data, const std::string& layout) {
    std::string architecture = layout == "causal" ? "decoder" : "encoder_decoder";
    std::string path = files.file("d.jsonl", data);
    std::string recipe = files.file(
        "r.toml", fmt::format("output = \"{0}run\"\n[data]\nformat = \"{1}\"\nlayout = \"{2}\"\n"
                              "train = \"{3}\"\ntest = \"{3}\"\n[tokenizer]\nsize = 30\n"
                              "[teacher.model]\narchitecture = \"{4}\"\nwidth = 16\nheads = 2\n"
                              "layers = 1\ninit_std = 0.7\n",
                              files.folder, format, layout, path, architecture));
    experiment = std::make_unique<Experiment>(load_recipe(recipe, {}), Access::write);
  }
  Model model() const {
    return Model(experiment->build(experiment->stage("teacher")).config(), 1, Dtype::f64);
  }
};

// The logits [T, V] of one row alone.
std::vector<Row> logits_of_one(Experiment& e, const Model& model, const TokenPair& pair) {
  Pass pass;
  Batch b = collate({pair}, e.layout(), e.specials());
  Row z = model.forward(inputs_of(b, e.layout(), Device::cpu), pass).logits.values();
  size_t vocabulary = size_t(model.config().vocab);
  std::vector<Row> rows;
  for (size_t t = 0; t * vocabulary < z.size(); t++)
    rows.emplace_back(z.begin() + long(t * vocabulary), z.begin() + long((t + 1) * vocabulary));
  return rows;
}

struct Sums {
  double ours = 0, over_positions = 0;  // softmax over the vocabulary, over the sequence
};
Sums sums_of(Experiment& e, const Model& model, TokenPair pair, const std::string& choice) {
  pair.target = e.tokenizer().encode(choice);
  std::vector<Row> z = logits_of_one(e, model, pair);
  std::vector<int> labels = pair.target;
  labels.push_back(e.specials().eos);
  size_t first = z.size() - labels.size();  // a decoder sees the prompt before
  Sums sums;
  for (size_t t = 0; t < labels.size(); t++) {
    size_t y = size_t(labels[t]);
    double over_tokens = 0, over_positions = 0;
    for (double x : z[first + t]) over_tokens += std::exp(x);
    for (const Row& row : z) over_positions += std::exp(row[y]);
    sums.ours += z[first + t][y] - std::log(over_tokens);
    sums.over_positions += z[first + t][y] - std::log(over_positions);
  }
  return sums;
}

}  // namespace

TEST_CASE("choices: ranked by the sum of log-probabilities over the vocabulary, end included") {
  for (const char* layout : {"seq2seq", "causal"}) {
    INFO(layout);
    Toy toy("superglue:record", record(), layout);
    Experiment& e = *toy.experiment;
    Model model = toy.model();
    NoGrad quiet;
    const std::vector<TokenPair>& pairs = e.pairs("test").pairs;
    std::vector<Row> scores = choice_scores(e, model, "test");
    Generation g = answer_split(e, model, "test");
    REQUIRE(scores.size() == 6);
    for (size_t i = 0; i < pairs.size(); i++) {
      const Example& x = e.corpus("test").examples[size_t(pairs[i].id)];
      REQUIRE(scores[i].size() == 2);
      std::vector<Sums> by_hand;
      for (const Choice& choice : x.choices)
        by_hand.push_back(sums_of(e, model, pairs[i], choice.text));
      for (size_t k = 0; k < 2; k++) {
        CHECK(scores[i][k] == Approx(by_hand[k].ours).epsilon(1e-9));
        // Over the sequence, as the published code's loss has its softmax, the sums are others.
        CHECK(std::abs(scores[i][k] - by_hand[k].over_positions) > 1e-3);
      }
      CHECK(g.hypotheses[i] == x.choices[scores[i][0] >= scores[i][1] ? 0 : 1].label);
      CHECK(g.references[0][i] == x.references[0]);
      CHECK(g.references[1][i] == (x.references.size() > 1 ? x.references[1] : ""));
    }
  }
}

TEST_CASE("choices: the answers of a question are one line; choices that are too long are found") {
  Toy toy("superglue:multirc", multirc(), "seq2seq");
  Experiment& e = *toy.experiment;
  Generation g = answer_split(e, toy.model(), "test");
  REQUIRE(g.references[0] == Segments{"1\t0", "1", "1\t0", "1", "1\t0", "1"});
  for (size_t i = 0; i < 6; i++) CHECK(g.hypotheses[i].size() == g.references[0][i].size());
  check_answers(e, "test");
  // A right answer that fits does for training; the others must fit too.
  Toy queries("superglue:record", record(), "seq2seq");
  Recipe recipe = queries.experiment->recipe();
  recipe.data.max_target = int(queries.experiment->tokenizer().encode("ann").size());
  Experiment narrow(recipe, Access::read);
  CHECK_THAT(error_of([&] { check_answers(narrow, "test"); }),
             Contains("d.jsonl:1: the choice \"bo\" has ") &&
                 Contains(" tokens, data.max_target is ") && Contains("; raise it"));
  recipe.data.truncate = true;
  Experiment cut(recipe, Access::read);
  check_answers(cut, "test");
}

TEST_CASE("tasks by the program: a classifier, a regression and choices, compared") {
  fs::remove_all(folder());
  std::string sst2 = "sentence\tlabel\n", stsb, copa;
  stsb = "index\tsentence1\tsentence2\tscore\n";
  for (int i = 0; i < 40; i++) {
    sst2 += i % 2 ? "good fine film\t1\n" : "bad poor word\t0\n";
    stsb += fmt::format("{}\tgood film\t{}\t{}\n", i, i % 2 ? "fine film" : "poor word",
                        i % 2 ? "4.2" : "0.517");
    copa +=
        fmt::format(
            R"({{"premise": "{}", "choice1": "good", "choice2": "bad luck", "question": "effect", "label": {}}})",
            i % 2 ? "warm" : "cold", i % 2 ? 0 : 1) +
        "\n";
  }
  auto toml = [&](const std::string& name, const std::string& format, const std::string& text,
                  const std::string& layout, const std::string& architecture, int size) {
    std::string file = write(name + ".txt", text);
    return write(
        name + ".toml",
        fmt::format("output = \"{}\"\n[data]\nformat = \"{}\"\nlayout = \"{}\"\ntrain = \"{}\"\n"
                    "test = \"{}\"\nsecond_test = \"{}\"\n[tokenizer]\nsize = {}\n[train]\n"
                    "steps = 60\nlearning_rate = 0.01\n[teacher]\narchitecture = \"{}\"\n"
                    "width = 16\nheads = 2\nlayers = 1\n[students.mle]\ntrain.steps = 2\n"
                    "[students.mle.model]\narchitecture = \"{}\"\nwidth = 8\nheads = 2\n"
                    "layers = 1\n",
                    (folder() / name).string(), format, layout, file, file, file, size,
                    architecture, architecture));
  };
  auto results = [&](const std::string& name) {
    return Json::parse(read_file((folder() / name / "teacher" / "results.json").string()));
  };
  std::string classes = toml("classes", "glue:sst2", sst2, "classify", "encoder", 20);
  Result r = run("run " + classes);
  INFO(r.text);
  REQUIRE(r.status == 0);
  Json j = results("classes");
  CHECK(j["metrics"] == Json{"accuracy"});
  CHECK(j["accuracy"]["score"] == 1);
  CHECK(j["accuracy"]["low"] == 1);
  CHECK(j["accuracy"]["segments"].size() == 40);
  CHECK(j["second_accuracy"]["score"] == 1);
  CHECK(read_lines((folder() / "classes/teacher/hypotheses.txt").string()).at(1) == "1");
  r = run("compare " + (folder() / "classes").string());
  CHECK(r.status == 0);
  CHECK_THAT(r.text, Contains("| model | accuracy |") && Contains("| teacher | 1.0000 [1.0000"));
  CHECK_THAT(r.text, !Contains("risk |"));

  r = run("run " + toml("numbers", "glue:stsb", stsb, "classify", "encoder", 20));
  INFO(r.text);
  REQUIRE(r.status == 0);
  j = results("numbers");
  CHECK(j["metrics"] == Json{"pearson", "spearman"});
  CHECK(j["pearson"]["score"] > 0.9);
  for (const char* layout : {"seq2seq", "causal"}) {
    std::string choices = toml(layout, "superglue:copa", copa, layout,
                               layout == std::string("causal") ? "decoder" : "encoder_decoder", 30);
    r = run("run " + choices + " evaluate.risks=false teacher.train.steps=200");
    INFO(r.text);
    REQUIRE(r.status == 0);
    CHECK(results(layout)["accuracy"]["score"] > 0.9);
    CHECK(results(layout)["accuracy"]["segments"].size() == 40);
  }

  auto refused = [&](const std::string& arguments, const std::string& says) {
    Result bad = run("run " + arguments);
    INFO(bad.text);
    CHECK(bad.status == 1);
    CHECK(bad.text.find(says) != std::string::npos);
    CHECK(std::count(bad.text.begin(), bad.text.end(), '\n') == 1);
  };
  refused(classes + " data.format=glue:sst-2", "did you mean \"glue:sst2\"?");
  refused(classes + " evaluate.metrics=bleu", "bleu is of text, this data's outputs are labels");
  refused(classes + " data.labels=numbers", "data.labels: format glue:sst2 has names");
  refused(classes + " data.second_format=glue:cola", "has other metrics than data.format");
  refused(classes + " data.format=superglue:copa", "use seq2seq or causal");
  refused(classes + " data.layout=blocks", "second_test: is for metrics");
  refused(classes + " data.layout=blocks data.second_test=[]",
          "is for classify, seq2seq and causal");
  // What a metric cannot count is found before any training.
  std::string words = write("words.tsv", "good\tyes\nbad\tno\n");
  r = run("run " + classes + " data.format=tsv data.train=" + words + " data.test=" + words +
          " data.second_test=[] evaluate.metrics=f1 tokenizer.size=10 output=" +
          (folder() / "words").string());
  CHECK(r.status == 1);
  CHECK_THAT(r.text, Contains("words.tsv: evaluate.metrics: f1: label \"yes\""));
  CHECK_FALSE(fs::exists(folder() / "words" / "teacher"));
  fs::remove_all(folder());
}
