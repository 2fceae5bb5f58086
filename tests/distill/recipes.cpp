// The recipes that come with the program, and their presets.
#include "distill/presets.h"
#include "distill/recipe.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;
using namespace retort;

namespace {

const Stage& student(const Recipe& recipe, const std::string& name) {
  for (const Stage& s : recipe.students)
    if (s.name == name) return s;
  throw std::runtime_error("no student " + name);
}

}  // namespace

TEST_CASE("every recipe that comes with the program is a right one") {
  size_t count = 0;
  for (const auto& file : fs::recursive_directory_iterator("recipes"))
    if (file.path().extension() == ".toml") load_recipe(file.path().string(), {}), count++;
  CHECK(count >= 5);
}

TEST_CASE("f-DISTILL's recipes: students by each method, from one start, with equal updates") {
  for (const auto& file : fs::directory_iterator("recipes/fdistill")) {
    INFO(file.path());
    Recipe r = load_recipe(file.path().string(), {});
    for (const char* name : {"mle", "seqkd", "engine", "kl", "rkl", "js", "tvd"}) {
      CHECK(student(r, name).method == name);
      CHECK(student(r, name).init == "student:predistilled");
      CHECK(student(r, name).train.steps == student(r, "mle").train.steps);
    }
    Recipe stated = load_recipe(file.path().string(), {"preset=as_stated"}),
           published = load_recipe(file.path().string(), {"preset=as_published"});
    CHECK(student(stated, "js").method == "js");
    CHECK(student(stated, "js").train.reduction == "batch");
    CHECK(student(stated, "rkl").student_sequences.method == "sample");
    bool wmt = file.path().stem() == "en-ro", chat = file.path().stem() == "dialogue";
    CHECK(student(published, "js").method == (wmt ? "gjs:0.75" : "gjs:0.15"));
    CHECK(student(published, "rkl").student_sequences.method == (chat ? "sample" : "beam_sample"));
    CHECK(student(published, "engine").student_sequences.method == "greedy");
    CHECK(!student(published, "kl").teacher_sequences.offline);
    CHECK(student(published, "js").train.reduction == "tokens");
    CHECK(stated.output != published.output);
    std::string differences = preset_differences(file.path().string());
    for (const char* key :
         {"students.js.method", "students.engine.student_sequences.method",
          "students.kl.teacher_sequences.offline", "students.rkl.train.reduction"})
      CHECK(differences.find(key) != std::string::npos);
    CHECK(differences.find("data.") == std::string::npos);
  }
}

TEST_CASE("a preset goes over the file, the command line over both") {
  std::string path =
      (fs::temp_directory_path() / ("retort-preset-" + std::to_string(::getpid()))).string();
  std::ofstream(path) << "[data]\ntrain = \"t.tsv\"\n[train]\nsteps = 1\ntokens = 7\n"
                         "[presets.long.train]\nsteps = 2\n[presets.wrong.train]\nstep = 3\n";
  CHECK(load_recipe(path, {}).teacher.train.steps == 1);
  CHECK(load_recipe(path, {"preset=long"}).teacher.train.steps == 2);
  CHECK(load_recipe(path, {"preset=long"}).teacher.train.tokens == 7);
  CHECK(load_recipe(path, {"preset=long", "train.steps=5"}).teacher.train.steps == 5);
  CHECK_THROWS_WITH(load_recipe(path, {"preset=lang"}),
                    Catch::Contains("no \"lang\"; there are: long, wrong; did you mean \"long\"?"));
  CHECK_THROWS_WITH(load_recipe(path, {"preset=wrong"}), Catch::Contains(path + ":9: train.step"));
  fs::remove(path);
}
