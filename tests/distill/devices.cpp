// Training on every device: the losses of the CPU, as a graph too; bfloat16 close by.
#include <fmt/core.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "data/text.h"
#include "distill/trainer.h"
#include "tests/devices.h"

namespace fs = std::filesystem;
using namespace retort;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / ("retort-devices-" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path / name) << text;
    return (path / name).string();
  }
};

// A recipe over sentences of a toy language, their classes or their masked tokens.
std::string recipe(const Folder& folder, const std::string& name) {
  const char* words[] = {"red", "green", "blue", "big", "small", "old", "new", "cat", "dog"};
  std::string text;
  for (int i = 0; i < 120; i++) {
    std::string a = words[i * 7 % 9], b = words[i * 5 % 7], c = words[i % 8];
    text += a + " " + b + " " + c + "\t" +
            (name == "classifier" ? std::string(i % 2 ? "yes" : "no") : c + " " + b) + "\n";
  }
  // recipes/demo.toml, small; BERT's shape; GPT-2's.
  std::string layout = "seq2seq",
              model =
                  "architecture = \"encoder_decoder\"\npositions = \"relative\"\n"
                  "norm = \"rms_norm\"\nactivation = \"relu\"\nbias = false\n";
  if (name == "classifier") layout = "classify", model = "preset = \"bert\"\n";
  if (name == "masked") layout = "masked", model = "preset = \"bert\"\n";
  if (name == "decoder") layout = "causal", model = "preset = \"gpt2\"\n";
  model += "width = 16\nheads = 2\nffn = 24\nmax_positions = 32\ninit_std = 0.05\n";
  std::string data = folder.write(name + ".tsv", text);
  return folder.write(
      name + ".toml",
      fmt::format("output = \"{}\"\n[data]\ntrain = \"{}\"\nlayout = \"{}\"\nmax_source = 12\n"
                  "max_target = 8\n[evaluate]\nmax_length = 8\n[tokenizer]\nsize = 26\n"
                  "[train]\nsteps = 20\ntokens = 48\naccumulate = 2\nlearning_rate = 2e-3\n"
                  "log_every = 0\nsave_every = 0\n[teacher.model]\n{}layers = 2\n"
                  "[students.student]\nmethod = \"{}\"\n[student.model]\n{}layers = 1\n",
                  (folder.path / name).string(), data, layout, model,
                  name == "classifier" || name == "masked" ? "kl" : "js", model));
}

// Losses of teacher and student, step by step.
std::vector<double> losses(const std::string& toml, const std::vector<std::string>& overrides) {
  Experiment e(load_recipe(toml, overrides), Access::write);
  std::vector<double> all;
  for (const char* stage : {"teacher", "student"}) {
    train_stage(e, e.stage(stage), Start::overwrite);
    for (const std::string& line : read_lines(e.folder(stage) + "/metrics.jsonl"))
      all.push_back(Json::parse(line)["loss"].get<double>());
  }
  return all;
}

}  // namespace

TEST_CASE("training runs have the same losses on every device", "[cuda]") {
  Folder folder;
  for (const char* name : {"demo", "classifier", "masked", "decoder"}) {
    std::string toml = recipe(folder, name);
    std::vector<double> expected = losses(toml, {});
    REQUIRE(expected.size() == 40);
    CHECK(expected[19] < expected[0]);
    for (size_t d = 1; d < devices().size(); d++) {
      std::string graph = name == std::string("demo") ? "true" : "false";
      std::vector<double> got = losses(toml, {"device=cuda", "train.graph=" + graph});
      INFO(name << " on cuda");
      REQUIRE(got.size() == expected.size());
      // A divergence near 0 is a sum of float32 numbers that cancel.
      for (size_t i = 0; i < got.size(); i++)
        CHECK(got[i] == Approx(expected[i]).epsilon(1e-5).margin(2e-7));
    }
  }
}

TEST_CASE("sequence-level objectives have the same losses on every device", "[cuda]") {
  Folder folder;
  std::string toml = recipe(folder, "demo");
  // One teacher for all devices: weights that differ by rounding flip single samples.
  Experiment first(load_recipe(toml, {}), Access::write);
  train_stage(first, first.stage("teacher"), Start::fresh);
  auto student = [&](std::vector<std::string> overrides) {
    for (const char* more : {"device=cpu", "students.student.train.steps=6"})
      overrides.insert(overrides.begin(), more);
    Experiment e(load_recipe(toml, overrides), Access::read);
    train_stage(e, e.stage("student"), Start::overwrite);
    std::vector<double> all;
    for (const std::string& line : read_lines(e.folder("student") + "/metrics.jsonl"))
      all.push_back(Json::parse(line)["loss"].get<double>());
    return all;
  };
  const std::string s = "students.student.", batch = s + "train.reduction=batch";
  for (const std::vector<std::string>& how : std::vector<std::vector<std::string>>{
           {s + "method=seqkd"},
           {s + "method=engine", s + "student_sequences.method=greedy"},
           {s + "method=kl", s + "teacher_sequences.offline=false"},
           {s + "method=rkl", s + "score_term=rb", batch},
           {s + "method=rkl", s + "score_term=mc", batch},
           {s + "method=gjs:0.15", s + "mixture=exact_detached"},
           {s + "method=predistil", s + "model.width=8"},
           {s + "method=tvd", s + "student_sequences.method=beam_sample",
            s + "student_sequences.top_k=5"},
           {s + "method=js", s + "mixture=exact", s + "score_term=mc", batch},
           {s + "method=js", s + "mixture=exact", s + "score_term=rb", batch, "dtype=bf16"}}) {
    std::vector<double> expected = student(how);
    REQUIRE(expected.size() == 6);
    std::vector<std::string> cuda = how;
    cuda.push_back("device=cuda");
    if (devices().size() == 1) continue;
    std::vector<double> got = student(cuda);
    INFO(how[0] << " " << how.back());
    bool half = how.back() == "dtype=bf16";
    for (size_t i = 0; i < 6; i++)
      CHECK(got[i] == Approx(expected[i]).epsilon(half ? 0.03 : 1e-5).margin(half ? 1e-3 : 2e-7));
  }
}

TEST_CASE("training in bfloat16 keeps close to float32", "[cuda]") {
  Folder folder;
  std::string toml = recipe(folder, "classifier");
  std::vector<double> expected = losses(toml, {});
  for (Device device : devices()) {
    std::string where = device == Device::cuda ? "cuda" : "cpu";
    std::vector<double> got = losses(toml, {"device=" + where, "dtype=bf16"});
    INFO("on " << where);
    REQUIRE(got.size() == expected.size());
    for (size_t i = 0; i < 20; i++) CHECK(got[i] == Approx(expected[i]).epsilon(0.03));
  }
}

TEST_CASE("a run goes on with its device and type only") {
  Folder folder;
  std::string toml = recipe(folder, "classifier");
  auto train = [&](const std::string& dtype) {
    Experiment e(load_recipe(toml, {"dtype=" + dtype}), Access::write);
    train_stage(e, e.stage("teacher"), Start::resume);
  };
  train("f32");
  CHECK_NOTHROW(train("f32"));
  CHECK_THROWS_WITH(train("bf16"), Catch::Contains("another recipe, device"));
  CHECK_THROWS_WITH(load_recipe(toml, {"dtype=f16"}), Catch::Contains("dtype: no \"f16\""));
  if (!cuda_missing().empty())
    CHECK_THROWS_WITH(load_recipe(toml, {"device=cuda"}),
                      "command line: device: cuda: " + cuda_missing());
}
