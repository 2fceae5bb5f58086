// Pre-distillation: which states are matched, projections between unequal widths, and students that
// start as the one that was pre-distilled.
#include "distill/hidden.h"

#include <fmt/core.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "distill/trainer.h"
#include "engine/safetensors.h"

namespace fs = std::filesystem;
using namespace retort;

namespace {

std::string matches(const std::string& layers, const ModelConfig& student,
                    const ModelConfig& teacher) {
  std::string text;
  for (const HiddenMatch& m : hidden_matches(layers, student, teacher))
    text += fmt::format("{}{}-{} ", m.encoder ? "e" : "d", m.student, m.teacher);
  return text;
}

}  // namespace

TEST_CASE("hidden states are matched evenly, or as listed") {
  ModelConfig teacher, student;
  teacher.layers = 6, student.layers = 2;
  CHECK(matches("", student, teacher) == "d0-0 d1-3 d2-6 ");
  CHECK(matches("0,6", student, teacher) == "d0-0 d1-6 ");  // as f-DISTILL's code: the last not
  teacher.architecture = student.architecture = "encoder";
  CHECK(matches("", student, teacher) == "e0-0 e1-3 e2-6 ");
  teacher.architecture = student.architecture = "encoder_decoder";
  teacher.encoder_layers = 12, student.encoder_layers = 3, student.layers = 1;
  CHECK(matches("", student, teacher) == "e0-0 e1-4 e2-8 e3-12 d0-0 d1-6 ");
  CHECK(matches("0,6,11/0", student, teacher) == "e0-0 e1-6 e2-11 d0-0 ");
  CHECK_THROWS_WITH(matches("0/7", student, teacher), Catch::Contains("decoder has states 0"));
  CHECK_THROWS_WITH(matches("0/0,1,2", student, teacher), Catch::Contains("3 are listed"));
  CHECK_THROWS_WITH(matches("x", student, teacher), Catch::Contains("not \"x\""));
}

TEST_CASE("a narrower student is pre-distilled, others start as it") {
  fs::path folder = fs::temp_directory_path() / ("retort-hidden-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::string text, toml = (folder / "r.toml").string();
  for (int i = 0; i < 60; i++)
    text += fmt::format("a{} b{}\tb{} a{}\n", i % 7, i % 5, i % 5, i % 7);
  std::ofstream(folder / "d.tsv") << text;
  std::string model = "architecture = \"encoder_decoder\"\nheads = 2\nffn = 24\nlayers = 1\n";
  std::ofstream(toml) << fmt::format(
      "output = \"{0}/run\"\norder = [\"first\", \"then\"]\n[data]\ntrain = \"{0}/d.tsv\"\n"
      "max_source = 12\nmax_target = 8\n[tokenizer]\nsize = 16\n[train]\nsteps = 4\ntokens = 80\n"
      "[teacher.model]\n{1}width = 16\n[student.model]\n{1}width = 12\n"
      "[students.first]\nmethod = \"predistil\"\n[students.then]\nmethod = \"mle\"\n"
      "init = \"student:first\"\n",
      folder.string(), model);
  Experiment e(load_recipe(toml, {}), Access::write);
  train_stage(e, e.stage("teacher"), Start::fresh);
  const Stage& first = e.stage("first");
  Model begun = e.build(first);
  CHECK(begun.parameters()["projection.encoder.1"].value.shape == Shape{16, 12});
  train_stage(e, first, Start::fresh);
  // The projections are trained, stay in the checkpoint, and are not the student's.
  TensorFile checkpoint = load_safetensors(checkpoint_path(e.folder("first"))),
             weights = load_safetensors(weights_path(e.folder("first")));
  CHECK(checkpoint.tensors.at("weight.projection.decoder.0").values() !=
        begun.parameters()["projection.decoder.0"].value.values());
  for (const auto& [name, value] : weights.tensors) CHECK(!is_projection(name));
  Model then = e.build(e.stage("then"));
  for (const auto& [name, value] : weights.tensors)
    CHECK(then.parameters()[name].value.values() == value.values());
  // What it starts as is part of what decides a run.
  CHECK(e.fingerprint(e.stage("then")).find("init_hash") != std::string::npos);
  auto refused = [&](std::vector<std::string> overrides, const std::string& why) {
    CHECK_THROWS_WITH(load_recipe(toml, overrides), Catch::Contains(why));
  };
  refused({"students.then.init=student:teacher"}, "no student \"teacher\" is made before this one");
  refused({"students.first.init=student:then"}, "no student \"then\" is made before this one");
  refused({"students.then.terms=[{loss = \"hidden\", layers = \"0,9\"}]"},
          "students.then.terms.0.layers: layers 0,9: the teacher's encoder has states 0");
  refused({"students.then.terms=[{loss = \"kl\", layers = \"0\"}]"}, "is for loss = \"hidden\"");
  refused({"students.then.terms=[{loss = \"hidden\", temperature = 2.0}]"}, "have none");
  refused({"students.then.terms=[{loss = \"hidden\"}, {loss = \"hidden\"}]"}, "is enough");
  refused({"students.then.model.width=16"},
          "students.then.init: first is another model: width = 12, the recipe says 16");
  refused({"students.then.init=student:"}, "no student \"\" is made before this one");
  refused({"teacher.method=kl"}, "teacher.method: kl: the teacher has no teacher to learn from");
  refused({"teacher.init=teacher:0"}, "the teacher is made before all others");
  refused({"students.then.method=rkl", "students.then.student_sequences.min_length=9"},
          "student_sequences.min_length: 9 tokens, data.max_target allows 8");
  fs::remove_all(folder);
}
