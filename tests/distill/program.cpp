// The program as its users run it: experiments, resume bit for bit, what is written is not lost.
#include "tests/distill/program.h"

#include <fmt/core.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "data/batch.h"
#include "data/metrics.h"
#include "engine/safetensors.h"

namespace fs = std::filesystem;
using namespace retort;
using Json = nlohmann::json;

namespace {

// The file of the teacher's sequences.
std::string sequences_in(const std::string& out) {
  for (const auto& file : fs::directory_iterator(out + "/teacher"))
    if (file.path().filename().string().rfind("sequences-", 0) == 0)
      return file.path().filename().string();
  return "";
}

}  // namespace

TEST_CASE("a whole experiment runs, and a second time has nothing to do") {
  fs::remove_all(folder());
  std::string toml = recipe();
  Result r = run("run " + toml);
  INFO(r.text);
  REQUIRE(r.status == 0);
  CHECK(r.text.find("likelihood risk") != std::string::npos);
  CHECK(fs::exists(folder() / "out/report.html"));
  std::string inspection = (folder() / "out/js/inspection.json").string(),
              inspected = read_file(inspection);
  Json of_js = Json::parse(inspected);
  CHECK(of_js["samples"].size() == 10);
  CHECK(of_js["weights"] == checksum((folder() / "out/js/model.safetensors").string()));
  fs::remove(inspection);
  r = run("run " + toml);
  CHECK(r.status == 0);
  CHECK(read_file(inspection) == inspected);  // what a stage that is done lacks is made
  CHECK(r.text.find("js: done already") != std::string::npos);
  r = run("compare " + (folder() / "out").string());
  INFO(r.text);
  CHECK(r.status == 0);
  CHECK(r.text.find("| js − mle |") != std::string::npos);
  r = run("run " + toml + " students.js.train.steps=13");
  CHECK(r.status == 1);
  CHECK(r.text.find("another recipe") != std::string::npos);
  // The recipe saved beside a model is the whole recipe: it gives the same bytes again.
  std::string out = (folder() / "out").string(), again = (folder() / "again").string();
  r = run("train " + out + "/teacher/recipe.toml output=" + again);
  INFO(r.text);
  CHECK(r.status == 0);
  CHECK(checksum(again + "/teacher/model.safetensors") ==
        checksum(out + "/teacher/model.safetensors"));
  r = run("generate " + toml + " --model js --input " + write("in.txt", "red cat\nold dog\n"));
  CHECK(r.status == 0);
  CHECK(std::count(r.text.begin(), r.text.end(), '\n') == 2);
  // Results beside weights that they are not of are made again.
  std::string mle = out + "/mle/", results = read_file(mle + "results.json");
  CHECK(Json::parse(results)["examples"] == Json{{"test", 20}, {"train", 200}});
  CHECK(Json::parse(results)["left_out"]["test"] == Json{{"past the limit of 20", 180}});
  Json j = Json::parse(results);
  CHECK(j["weights"] == checksum(mle + "model.safetensors"));
  CHECK(j["other_minutes"] >= 0);
  CHECK(j["place"] == 2);  // after the teacher and js
  j["weights"] = "another's";
  std::ofstream(mle + "results.json") << j.dump();
  r = run("run " + toml);
  CHECK(r.text.find("js: done already") != std::string::npos);
  CHECK(r.text.find("mle: done already") == std::string::npos);
  CHECK(Json::parse(read_file(mle + "results.json"))["weights"] != "another's");
  // With nothing but results.json there is still nothing to do, until weights are needed.
  std::string weights = checksum(out + "/teacher/model.safetensors");
  for (const char* stage : {"teacher", "js", "mle"})
    for (const auto& file : fs::directory_iterator(fs::path(out) / stage))
      if (file.path().filename() != "results.json") fs::remove(file.path());
  r = run("run " + toml);
  CHECK(r.status == 0);
  CHECK(!fs::exists(out + "/teacher/model.safetensors"));
  fs::remove(out + "/mle/results.json");
  r = run("run " + toml);
  INFO(r.text);
  CHECK(r.status == 0);
  CHECK(r.text.find("js: done already") != std::string::npos);
  CHECK(checksum(out + "/teacher/model.safetensors") == weights);
}

TEST_CASE("all references of an entry count in evaluation, each is an example in training") {
  fs::remove_all(folder());
  std::string toml = recipe(), entries;
  for (int i = 0; i < 60; i++) {
    std::string word = "word" + std::to_string(i);
    entries += (i ? ",\n" : "") + ("{\"tripleset\": [[\"" + word) + "\", \"is_a\", \"cat\"]], " +
               "\"annotations\": [{\"text\": \"" + word + " is a cat\"}" +
               (i % 2 ? ", {\"text\": \"" + word + "\"}" : "") + "]}";
  }
  std::string data = write("toy.json", "[" + entries + "]");
  std::string command =
      "train " + toml + " data.format=dart data.train=" + data + " data.test=" + data;
  Result r = run(command);
  INFO(r.text);
  REQUIRE(r.status == 0);
  CHECK(r.text.find("train: 90 examples") != std::string::npos);
  std::string dir = (folder() / "out/teacher/").string();
  CHECK(read_file(dir + "manifest.json").find("split_names") == std::string::npos);
  r = run("eval " + command.substr(6) + " --model teacher --json");
  INFO(r.text);
  REQUIRE(r.status == 0);
  CHECK(r.text.find("nrefs:var|") != std::string::npos);
  r = run("eval " + command.substr(6) + " --model teacher");  // for people
  INFO(r.text);
  CHECK((r.status == 0 && r.text.find("\nperplexity ") != std::string::npos &&
         r.text.find("\nexamples ") != std::string::npos));
  r = run("eval " + command.substr(6) + " --model teacher --json evaluate.metrics=ter");
  REQUIRE(r.status == 0);
  CHECK(r.text.find("\"ter\"") != std::string::npos);
  CHECK(r.text.find("\"high\"") != std::string::npos);
  CHECK(r.text.find("\"bleu\"") == std::string::npos);
  r = run(command + " evaluate.metrics=bertscore");
  CHECK(r.status == 1);
  CHECK(r.text.find("evaluate.metrics: bertscore") != std::string::npos);
  r = run(command + " data.references=all");
  CHECK(r.text.find("data.references: no \"all\"; there are: each, first") != std::string::npos);
  r = run(command + " data.format=wmt_sgm");
  CHECK(r.text.find("data.train: format wmt_sgm takes two files") != std::string::npos);
}

TEST_CASE("a run killed at twelve random steps and resumed ends with the same bytes") {
  uint64_t draw = 0;
  for (std::string model : {"teacher", "js"})
    for (std::string optimizer : {"adamw", "adafactor"}) {
      fs::remove_all(folder());
      std::string toml = recipe() + " train.save_every=7 train.accumulate=2 train.steps=60";
      std::string command = model == "js" ? "distill " + toml + " --student js" : "train " + toml;
      command +=
          " students.js.train.optimizer=" + optimizer + " teacher.train.optimizer=" + optimizer;
      if (optimizer == "adafactor")  // with sequences that a checkpoint must hold
        command += " students.js.student_sequences.every=3 students.js.student_sequences.replay=20";
      if (model == "js")
        REQUIRE(run("train " + toml + " teacher.train.optimizer=" + optimizer).status == 0);
      REQUIRE(run(command).status == 0);
      std::string dir = (folder() / "out" / model).string();
      std::string whole = checksum(dir + "/checkpoint.safetensors"),
                  weights = checksum(dir + "/model.safetensors");
      for (int trial = 0; trial < 3; trial++) {
        // Without warning, as soon as that step is in metrics.jsonl; tried again where the run was
        // over before the signal came.
        int killed = 1 + int(mix(3, 1, draw++) % 40), status = 1;
        std::string script = fmt::format(
            "{} {} >/dev/null 2>&1 & p=$!; until grep -qs \"step.:{}[,}}]\" {}/metrics.jsonl; "
            "do kill -0 $p || exit 9; sleep 0.01; done; kill -9 $p; wait $p; test $? = 137",
            program(), command, killed, dir);
        for (int attempt = 0; attempt < 20 && status != 0; attempt++) {
          fs::remove_all(dir);
          status = std::system(fmt::format("bash -c '{}' 2> /dev/null", script).c_str());
        }
        INFO("step " << killed);
        REQUIRE(status == 0);
        CHECK_FALSE(fs::exists(dir + "/model.safetensors"));
        Result r = run(command + " --resume");
        INFO(r.text);
        REQUIRE(r.status == 0);
        CHECK(checksum(dir + "/checkpoint.safetensors") == whole);
        CHECK(checksum(dir + "/model.safetensors") == weights);
        CHECK(read_lines(dir + "/metrics.jsonl").size() == 60);
      }
    }
}

TEST_CASE("classifier, regression, language model: trained, evaluated, generated from") {
  fs::remove_all(folder());
  std::string classes, numbers, lines;
  for (int i = 0; i < 60; i++) {
    classes += std::string(i % 2 ? "good fine\tyes\n" : "bad poor word\tno\n");
    numbers += std::string(i % 2 ? "good fine\t1.5\n" : "bad poor word\t-0.5\n");
    lines += "the red cat sat on the old mat\n";
  }
  auto toml = [&](const std::string& name, const std::string& text, const std::string& data,
                  const std::string& architecture) {
    std::string file = write(name + ".txt", text);
    return write(
        name + ".toml",
        fmt::format("output = \"{}\"\n[data]\ntrain = \"{}\"\ntest = \"{}\"\n{}\n"
                    "[tokenizer]\nsize = 18\n[train]\nsteps = 60\nlearning_rate = 0.01\n"
                    "[teacher]\narchitecture = \"{}\"\nwidth = 16\nheads = 2\nlayers = 1\n"
                    "[students.kl]\nmethod = \"kl\"\ntrain.steps = 5\n"
                    "[student.model]\narchitecture = \"{}\"\nwidth = 8\nheads = 2\n"
                    "layers = 1\n",
                    (folder() / name).string(), file, file, data, architecture, architecture));
  };
  std::string labels = toml("labels", classes, "layout = \"classify\"", "encoder");
  Result r = run("run " + labels);
  INFO(r.text);
  REQUIRE(r.status == 0);
  CHECK(r.text.find("| teacher | ") != std::string::npos);
  CHECK(r.text.find(" 1.0000 |") != std::string::npos);  // the classifier's accuracy
  CHECK(run("generate " + labels + " --input " + write("in", "good\n"))
            .text.find("generates nothing") != std::string::npos);
  std::string regression =
      toml("numbers", numbers, "layout = \"classify\"\nlabels = \"numbers\"", "encoder");
  r = run("run " + regression);
  CHECK(r.status == 1);
  CHECK(r.text.find("no distributions for kl") != std::string::npos);
  REQUIRE(run("train " + regression + " students.kl.method=mle").status == 0);
  std::string language = toml("lm", lines, "format = \"text\"\nlayout = \"blocks\"", "decoder");
  r = run("run " + language);
  CHECK(r.status == 1);
  CHECK(r.text.find("blocks has no prompts") != std::string::npos);
  language += " students.kl.method=kd";
  r = run("run " + language + " train.steps=300");
  INFO(r.text);
  REQUIRE(r.status == 0);
  r = run("generate " + language + " train.steps=300 evaluate.max_length=40 --input " +
          write("in", "the red\n"));
  CHECK(r.text.rfind("cat sat on", 0) == 0);
  CHECK(std::count(r.text.begin(), r.text.end(), '\n') == 1);
}

TEST_CASE("what a run has written is not lost, and no other model passes for it") {
  fs::remove_all(folder());
  std::string toml = recipe(), out = (folder() / "out").string();
  REQUIRE(run("run " + toml).status == 0);
  auto one_line = [](const Result& r, int status, const std::string& says) {
    INFO(r.text);
    CHECK(r.status == status);
    CHECK(r.text.find(says) != std::string::npos);
    CHECK(std::count(r.text.begin(), r.text.end(), '\n') == 1);
  };
  // Reading leaves the vocabulary alone; training refuses to replace it under trained models.
  std::string vocabulary = checksum(out + "/tokenizer.model"), line = write("in.txt", "red cat\n");
  one_line(run("generate " + toml + " tokenizer.size=35 --input " + line), 0, "");
  CHECK(run("train " + toml + " --overwrite tokenizer.size=35").status == 1);
  CHECK(checksum(out + "/tokenizer.model") == vocabulary);
  // Weights of another stage or configuration.
  one_line(run("eval " + toml + " teacher.model.heads=1"), 1, "heads = 2, the recipe says 1");
  fs::copy_file(out + "/js/model.safetensors", out + "/mle/model.safetensors",
                fs::copy_options::overwrite_existing);
  one_line(run("eval " + toml + " --model mle"), 1, "these are the weights of \"js\"");
  // Another evaluation trains nothing; a damaged result is named.
  Result r = run("run " + toml + " evaluate.max_length=9");
  CHECK(r.status == 0);
  CHECK(r.text.find("teacher 1/12") == std::string::npos);
  write("out/js/hypotheses.txt", "");
  r = run("run " + toml + " evaluate.max_length=9");
  CHECK(r.status == 1);
  CHECK(r.text.find("js/hypotheses.txt: 0 lines") != std::string::npos);
  // Only one may write.
  std::string lock = "flock -x " + out + "/.lock " + program() + " train " + toml + " --overwrite";
  CHECK(std::system(("sh -c '" + lock + "' > " + (folder() / "log").string() + " 2>&1").c_str()) !=
        0);
  CHECK(read_file((folder() / "log").string()).find("another retort") != std::string::npos);
  // What is refused removes nothing; numbers that changed on the disk are not taken.
  for (const char* wrong : {"data.test=absent", "train.tokens=1"})
    CHECK(run("train " + toml + " --overwrite " + wrong).status == 1);
  for (const char* file : {"model", "checkpoint"})
    CHECK(fs::exists(out + "/teacher/" + file + ".safetensors"));
  CHECK(sequences_in(out) != "");
  std::string weights = out + "/teacher/model.safetensors", bytes = read_file(weights);
  bytes.back() ^= 1;
  std::ofstream(weights) << bytes;
  one_line(run("eval " + toml), 1, "its numbers are not those that were written");
  bytes.back() ^= 1;
  std::ofstream(weights) << bytes;
  r = run("distill " + toml + " --resume student.model.ffn=32");
  CHECK(r.status == 1);
  CHECK(r.text.find("another recipe") != std::string::npos);
}

TEST_CASE("a NaN loss stops the run, names it and keeps the last checkpoint") {
  fs::remove_all(folder());
  std::string toml = recipe();
  Result r = run("train " + toml + " train.learning_rate=1e30 train.clip=0");
  INFO(r.text);
  CHECK(r.status == 1);
  CHECK(r.text.find("failed-batch.json") != std::string::npos);
  CHECK(fs::exists(folder() / "out" / "teacher" / "failed-batch.json"));
  CHECK(fs::exists(folder() / "out" / "teacher" / "checkpoint.safetensors"));
  fs::remove_all(folder());
}
