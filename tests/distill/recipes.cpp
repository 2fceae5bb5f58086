// The recipes that come with the program, and their presets.
#include "distill/hidden.h"
#include "distill/presets.h"
#include "distill/recipe.h"
#include "distill/recipe_keys.h"
#include "losses/names.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "data/text.h"

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
    CHECK(student(published, "js").train.schedule == "linear");
    CHECK(student(published, "js").model.dropout == 0.1);
    CHECK(student(stated, "js").terms[0].mixture == "exact");
    CHECK(student(published, "js").terms[0].mixture == "arithmetic");
    CHECK((student(stated, "kl").train.optimizer.name == "adafactor") == wmt);
    CHECK((student(published, "rkl").student_sequences.min_length == 3) == chat);
    // Hugging Face's hidden_states[0] is the embeddings' output: of the layers [0, 6, 11] that are
    // copied the last has no match, in the decoder's [0] only the embeddings have one.
    const Stage& pre = student(published, "predistilled");
    std::vector<HiddenMatch> matches =
        hidden_matches(pre.terms[2].layers, pre.model, published.teacher.model);
    CHECK(pre.init == "teacher:" + pre.terms[2].layers);
    for (const HiddenMatch& m : matches) {
      INFO(m.encoder << m.student);
      CHECK(m.student < (m.encoder ? pre.model.encoder_layers : pre.model.layers));
      CHECK((m.student == 0) == (m.teacher == 0));
    }
    CHECK(matches.size() == (chat ? 2 : 3));
    CHECK(stated.output != published.output);
    std::string differences = preset_differences(file.path().string());
    for (const char* key :
         {"students.js.method", "students.engine.student_sequences.method",
          "students.kl.teacher_sequences.offline", "students.rkl.train.reduction"})
      CHECK(differences.find(key) != std::string::npos);
    CHECK(differences.find("data.") == std::string::npos);
  }
}

TEST_CASE("whose sequences a method draws, and how, unless said otherwise") {
  Recipe r = load_recipe("recipes/fdistill/en-ro.toml", {});
  CHECK(student(r, "seqkd").teacher_sequences.method == "beam");
  CHECK(student(r, "seqkd").teacher_sequences.offline);
  for (const char* name : {"engine", "kl", "rkl", "js", "tvd"}) {
    const Stage& s = student(r, name);
    INFO(name);
    CHECK(s.teacher_sequences.method == "sample");
    CHECK(s.teacher_sequences.offline);
    CHECK(s.student_sequences.method == "sample");
    for (const Decoding* d :
         std::initializer_list<const Decoding*>{&s.teacher_sequences, &s.student_sequences}) {
      CHECK(d->temperature == 1);  // plainly from the model
      CHECK(d->top_k == 0);
      CHECK(d->top_p == 1);
      CHECK(d->min_length == 0);
    }
    CHECK(s.student_sequences.every == 1);
    CHECK(s.sees("teacher") == (std::string(name) != "engine" && std::string(name) != "rkl"));
    CHECK(s.sees("student") == (std::string(name) != "kl"));
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

TEST_CASE("the list of keys: each is known to the reader, each of the documentation is in it") {
  std::vector<std::string> keys = recipe_keys();
  std::set<std::string> all(keys.begin(), keys.end());
  CHECK(all.size() == keys.size());
  std::string docs = read_file("docs/recipes.md");
  for (const std::string& key : keys) {
    INFO(key);
    std::vector<std::string> given{"data.train=?", "teacher.method=mle", "student.method=mle"};
    if (size_t at = key.find(".0."); at != std::string::npos)
      given.push_back(key.substr(0, at) + "=[{}]");
    given.push_back(key + "=?");
    std::string says;
    try {
      load_recipe("", given);
    } catch (const std::exception& e) {
      says = e.what();
    }
    CHECK(says.find("unknown") == std::string::npos);
    CHECK(says.find("follows from the vocabulary") == std::string::npos);
    // Fields of models stand in models/config.h, beside the stage and in its table.
    std::string name = key.substr(key.rfind('.') + 1), stage = key.substr(0, key.rfind('.'));
    if (!all.contains(stage + ".model." + name) && !stage.ends_with(".model"))
      CHECK(std::regex_search(docs, std::regex("[`.{, ]" + name + "[`.}, =]")));
  }
  // The first columns of the tables below "## [data]" and so on.
  std::istringstream lines(docs);
  std::string section, table;
  size_t found = 0;
  const std::regex name_of("`([a-z_0-9.]+)`");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## "))
      section = line.starts_with("## Top level")              ? ""
                : line.starts_with("## [teacher], [student]") ? "students.NAME."
                : line.starts_with("## [") && line.ends_with("]")
                    ? line.substr(4, line.size() - 5) + "."
                    : "none";
    if (line.starts_with("| method |") || line.starts_with("| figure |")) table = "of others";
    if (line.starts_with("| key |")) table = "of keys";
    if (section == "none" || table != "of keys" || !line.starts_with("| `")) continue;
    std::string column = line.substr(0, line.find('|', 1)), before;
    for (std::sregex_iterator m(column.begin(), column.end(), name_of), end; m != end; ++m) {
      std::string name = (*m)[1];
      if (name[0] == '.') name = before + name;
      before = name.substr(0, name.find('.'));
      INFO(section + name);
      auto is = [&](const std::string& key) {
        return key == section + name || key.starts_with(section + name + ".");
      };
      CHECK(std::any_of(keys.begin(), keys.end(), is));
      found++;
    }
  }
  CHECK(found > 60);
}

TEST_CASE("an unknown loss of a term: the nearest of all that a term may be") {
  auto says = [](const std::string& loss) -> std::string {
    try {
      load_recipe("",
                  {"data.train=x", "teacher.method=mle", "student.terms=[{loss='" + loss + "'}]"});
    } catch (const std::exception& e) {
      return e.what();
    }
    return "";
  };
  for (const std::string& name : term_losses()) {
    INFO(name);
    CHECK(says(name).find("no loss") == std::string::npos);
    std::string wrong = name + "x", found = says(wrong);
    INFO(found);
    CHECK(found.find("no loss \"" + wrong + "\"; there are: ce, mse, hidden, kl, ") !=
          std::string::npos);
    CHECK(found.ends_with("did you mean \"" + name + "\"?"));
  }
  CHECK(says("gjss:0.3").ends_with("did you mean \"gjs\"?"));
  CHECK(says("mes").ends_with("did you mean \"mse\"?"));  // rather than ce
  CHECK(says("hiden").ends_with("did you mean \"hidden\"?"));
  CHECK(says("ce:0.5").ends_with("did you mean \"ce\"?"));
  CHECK(says("gjs:7").find("between 0 and 1") != std::string::npos);
}
