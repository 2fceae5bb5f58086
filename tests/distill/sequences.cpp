// The teacher's sequences on disk: drawn once, read back the same, refused where they are
// another's.
#include "distill/sequences.h"

#include <fmt/core.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "data/text.h"
#include "distill/toml.h"
#include "distill/trainer.h"

namespace fs = std::filesystem;
using namespace retort;

TEST_CASE("the teacher's sequences are kept, and refused where they are of something else") {
  fs::path folder = fs::temp_directory_path() / ("retort-sequences-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::string text, toml = (folder / "r.toml").string();
  for (int i = 0; i < 120; i++)
    text += fmt::format("a{} b{}\tb{} a{}\n", i % 7, i % 5, i % 5, i % 7);
  std::ofstream(folder / "d.tsv") << text;
  std::ofstream(toml) << fmt::format(
      "output = \"{0}/run\"\n[data]\ntrain = \"{0}/d.tsv\"\ntest = \"{0}/d.tsv\"\nmax_source = "
      "12\nmax_target = 8\n"
      "[tokenizer]\nsize = 16\n[train]\nsteps = 4\ntokens = 80\n[teacher.model]\n"
      "architecture = \"encoder_decoder\"\nwidth = 16\nheads = 2\nffn = 24\nlayers = 1\n"
      "encoder_layers = 1\n[students.a]\nmethod = \"seqkd\"\ninit = "
      "\"teacher:0\"\n[students.a.model]\n"
      "architecture = \"encoder_decoder\"\nwidth = 16\nheads = 2\nffn = 24\nlayers = 1\n"
      "encoder_layers = 1\n",
      folder.string());
  // What decides the loss is in the recipe that is kept, and so in what a run is compared by.
  Recipe exact =
      load_recipe(toml, {"students.a.method=gjs:0.15", "students.a.mixture=exact",
                         "students.a.score_term=rb", "students.a.train.reduction=batch"});
  std::string kept = (folder / "kept.toml").string();
  std::ofstream(kept) << to_toml(recipe_table(exact));
  CHECK(stage_table(load_recipe(kept, {}).students[0]) == stage_table(exact.students[0]));
  CHECK(stage_table(exact.students[0])["mixture"] == "exact");
  CHECK(stage_table(exact.students[0])["score_term"] == "rb");
  CHECK(!stage_table(exact.teacher).contains("student_sequences"));
  auto refuses = [&](const std::string& why, std::vector<std::string> overrides) {
    for (const char* more : {"students.a.score_term=rb", "students.a.method=rkl"})
      overrides.insert(overrides.begin(), more);
    CHECK_THROWS_WITH(load_recipe(toml, overrides), Catch::Contains(why));
  };
  refuses("reduction: must be \"batch\" with score_term", {});
  refuses("method: score_term needs the student's own samples",
          {"students.a.train.reduction=batch", "students.a.student_sequences.top_p=0.9"});
  refuses("every: score_term needs",
          {"students.a.train.reduction=batch", "students.a.student_sequences.every=2"});
  refuses("replay: is used between two drawings", {"students.a.student_sequences.replay=9"});

  Decoding sample;
  sample.method = "sample";
  std::string path;
  std::vector<std::vector<int>> drawn;
  {
    Experiment e(load_recipe(toml, {}), Access::write);
    train_stage(e, e.stage("teacher"), Start::fresh);
    Model model = e.load("teacher");
    auto teacher = [&]() -> const Model& { return model; };
    drawn = teacher_sequences(e, sample, teacher);
    REQUIRE(drawn.size() == 120);
    for (const auto& file : fs::directory_iterator(e.folder("teacher")))
      if (file.path().filename().string().rfind("sequences-sample-", 0) == 0) path = file.path();
    REQUIRE(read_lines(path).size() == 121);
    CHECK(teacher_sequences(e, sample, teacher) == drawn);
    // However many are decoded at a time.
    fs::remove(path);
    Experiment single(load_recipe(toml, {"evaluate.rows=7"}), Access::read);
    CHECK(teacher_sequences(single, sample, teacher) == drawn);

    auto refused = [&](const std::string& content, const std::string& why) {
      std::string before = read_file(path);
      std::ofstream(path) << content;
      CHECK_THROWS_WITH(teacher_sequences(e, sample, teacher), Catch::Contains(why));
      std::ofstream(path) << before;
    };
    std::string whole = read_file(path), header = read_lines(path)[0];
    refused("", "0 sequences, the training text has 120; remove the file");
    refused("{}\n", "its beginning does not say what made it");
    refused(header + "\n{\"ids\": [1, 2", ":2: expected a list of whole numbers");
    refused(header + "\n{\"ids\": [1.5]}\n", ":2: expected whole numbers");
    refused(header + "\n{\"ids\": [1, 99]}\n", ":2: no token 99");
    refused(header + "\n{\"ids\": [1]}\n", "1 sequences, the training text has 120");
    refused(whole.substr(0, whole.size() / 2), "; remove the file");
    std::vector<std::string> lines = read_lines(path);
    std::string swapped;
    std::swap(*std::find(lines.begin() + 1, lines.end(), lines[1]),
              *std::find_if(lines.begin() + 1, lines.end(),
                            [&](const std::string& line) { return line != lines[1]; }));
    for (const std::string& line : lines) swapped += line + "\n";
    refused(swapped, "its sequences are not those that were drawn");
  }
  {
    Experiment e(load_recipe(toml, {"seed=2"}), Access::read);
    Model model = e.load("teacher");
    auto teacher = [&]() -> const Model& { return model; };
    CHECK_THROWS_WITH(teacher_sequences(e, sample, teacher), Catch::Contains("another seed"));
    Experiment one(load_recipe(toml, {}), Access::read),
        again(load_recipe(toml, {"seed=2", "train.steps=5"}), Access::read);
    const Stage& a = e.stage("a");
    CHECK(e.fingerprint(a) != one.fingerprint(a));
    CHECK(e.results_fingerprint(a) != one.results_fingerprint(a));
    CHECK(e.recipe_fingerprint(a) == one.recipe_fingerprint(a));  // but for the seed
    CHECK(e.recipe_fingerprint(a) != again.recipe_fingerprint(again.stage("a")));
  }
  {  // another teacher: its old sequences go with it
    Experiment e(load_recipe(toml, {"teacher.train.steps=5"}), Access::write);
    std::string old = read_file(path);
    train_stage(e, e.stage("teacher"), Start::overwrite);
    CHECK(!fs::exists(path));
    std::ofstream(path) << old;
    Model model = e.load("teacher");
    auto teacher = [&]() -> const Model& { return model; };
    CHECK_THROWS_WITH(teacher_sequences(e, sample, teacher), Catch::Contains("another teacher"));
    CHECK_NOTHROW(train_stage(e, e.stage("a"), Start::fresh));  // beam search has its own file
  }
  fs::remove_all(folder);
}
