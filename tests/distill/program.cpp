// The program as its users run it: recipes, errors, resume bit for bit.
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "data/batch.h"
#include "data/metrics.h"
#include "data/text.h"
#include "engine/safetensors.h"

namespace fs = std::filesystem;
using namespace retort;

namespace {

const char* program() {
  const char* p = std::getenv("RETORT");
  return p ? p : "build/retort";
}
fs::path folder() {
  fs::path f = fs::temp_directory_path() / ("retort-program-" + std::to_string(::getpid()));
  fs::create_directories(f);
  return f;
}
struct Result {
  int status;
  std::string text;
};
Result run(const std::string& arguments) {
  std::string log = (folder() / "log").string();
  int status =
      std::system((std::string(program()) + " " + arguments + " > " + log + " 2>&1").c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(log)};
}
std::string write(const std::string& name, const std::string& text) {
  std::string path = (folder() / name).string();
  std::ofstream(path) << text;
  return path;
}

// Sentences of a toy language: words map one to one, order is reversed.
std::string recipe(const std::string& extra = "") {
  std::string text;
  const char* from[] = {"red", "green", "blue", "big", "small",
                        "old", "new",   "cat",  "dog", "house"};
  const char* to[] = {"rosu",  "verde", "albastru", "mare",  "mic",
                      "vechi", "nou",   "pisica",   "caine", "casa"};
  for (int i = 0; i < 200; i++) {
    int a = i * 7 % 10, b = i * 3 % 7, c = i % 9;
    text += std::string(from[a]) + " " + from[b] + " " + from[c] + "\t" + to[c] + " " + to[b] +
            " " + to[a] + "\n";
  }
  std::string data = write("toy.tsv", text);
  return write("toy.toml",
               "output = \"" + (folder() / "out").string() + "\"\n[data]\ntrain = \"" + data +
                   "\"\ntest = \"" + data +
                   "\"\ntest_limit = 20\n[tokenizer]\nsize = 40\n[train]\nsteps = 12\ntokens = "
                   "256\nsave_every = 1\n" +
                   "[teacher.model]\narchitecture = \"encoder_decoder\"\nwidth = 16\nheads = "
                   "2\nlayers = 1\ndropout = 0.1\n" +
                   "[student.model]\narchitecture = \"encoder_decoder\"\nwidth = 8\nheads = "
                   "2\nlayers = 1\n" +
                   "[students.js]\nmethod = \"js\"\n[students.mle]\nmethod = \"mle\"\n" + extra);
}

}  // namespace

TEST_CASE("a whole experiment runs, and a second time has nothing to do") {
  fs::remove_all(folder());
  std::string toml = recipe();
  Result r = run("run " + toml);
  INFO(r.text);
  REQUIRE(r.status == 0);
  CHECK(r.text.find("likelihood risk") != std::string::npos);
  r = run("run " + toml);
  CHECK(r.status == 0);
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

TEST_CASE("bad input is one line and exit status 1; wrong usage is 2") {
  fs::remove_all(folder());
  auto fails = [](const std::string& arguments, const std::string& says, int status = 1) {
    Result r = run(arguments);
    INFO(arguments << "\n" << r.text);
    CHECK(r.status == status);
    CHECK(r.text.find(says) != std::string::npos);
    if (status == 1) CHECK(std::count(r.text.begin(), r.text.end(), '\n') == 1);
  };
  std::string toml = recipe();
  fails("train " + toml + " train.lerning_rate=1", "did you mean \"learning_rate\"");
  fails("train " + toml + " teacher.model.widht=8", "did you mean \"width\"");
  fails("train " + toml + " train.steps=many", "train.steps: expected a whole number");
  fails("train " + toml + " students.js.method=jss", "did you mean \"js\"");
  fails("train " + toml + " data.train=absent.tsv", "absent.tsv");
  fails("train absent.toml", "absent.toml");
  fails("train " + write("bad.toml", "a = = 1\n"), "bad.toml:1:5");
  fails("generate " + toml + " --model js", "there is no vocabulary");
  fails("score --ref " + write("a", "x\ny\n") + " --hyp " + write("b", "x\n"), "2 lines");
  std::string hyp = " --hyp " + write("b", "x\n");
  fails("score" + hyp, "bleu needs references: add --ref FILE");
  fails("score --metric bertscore" + hyp, "needs a pretrained network");
  fails("score --metric blue" + hyp, "no metric \"blue\"; there are bleu, chrf");
  fails("score --metric self_bleu" + hyp, "at least two");
  fails("score --metric distinct1 --versus " + write("a", "x\ny\n") + hyp, "2 lines");
  fails("score --metric distinct1 --hyp " + write("empty", ""), "empty");
  fails("score --metric ter --hyp absent --ref absent", "absent");
  fails("loss --name kl --in " + write("empty", "") + " --out o", "empty");
  fails("loss --name k --in x --out o", "no divergence \"k\"");
  for (auto [what, says] : std::vector<std::pair<const char*, const char*>>{
           {"train.steps=-5",
            "command line: teacher.train.steps: must be a number from 0 up, got -5"},
           {"train.beta1=1", "beta1: must lie in [0, 1)"},
           {"train.floor=nan", "train.floor"},
           {"teacher.model.ffn=-1", "ffn must not be negative"},
           {"teacher.model.max_positions=64", "teacher.model.max_positions: 64 are too few"},
           {"teacher.model.vocab=9", "follows from the vocabulary"},
           {"teacher.model=5", "must be a table"},
           {"students.jss.train.steps=1", "did you mean \"js\""},
           {"order=js", "order: must list each of [students] once"},
           {"evaluate.top_p=0", "evaluate.top_p: must lie in (0, 1]"},
           {"data.max_source=0", "data.max_source: must be a number from 1"}})
    fails("train " + toml + " " + what, says);
  fails("train " + write("path.toml", "[data]\ntrain = \"t\"\n[students.\"../up\"]\n"),
        "path.toml:3: students.../up: a student's name");
  fails("distill " + toml + " --student teacher", "no student");
  fails("loss --name kl --zero floor:5 --in " + toml + " --out o", "toml");
  fails("gradcheck --loss nope", "no divergence \"nope\"");
  for (auto [what, says] : std::vector<std::pair<const char*, const char*>>{
           {"sinkhorn:unit --param eps=0", "eps must be positive, got 0"},
           {"sinkhorn:unit --param iters=0", "iters must be at least 1, got 0"},
           {"sinkhorn:unit --param rho=1", "no parameter \"rho=1\"; it takes"},
           {"sinkhorn:unit --param gradient=envelope", "is not that of value sharp"},
           {"sinkhorn:unit --zero ignore", "divides by no probability"},
           {"sinkhorn:uni", "did you mean \"sinkhorn:unit\""},
           {"ulb", "did you mean \"uld\""}})
    fails(std::string("loss --in x --out o --name ") + what, says);
  fails("sinkhorn --in absent", "absent");
  fails("sinkhorn", "--in is required", 2);
  fails("tran", "did you mean \"train\"", 2);
  fails("train", "recipe is required", 2);
  fails("frobnicate", "retort", 2);
  fails("score --frob", "--hyp", 2);
  if (cuda_missing().empty() || std::getenv("RETORT")) return;
  for (std::string command : {"train ", "run ", "distill ", "generate ", "eval "})
    fails(command + toml + " --device cuda", "command line: device: cuda: this build");
  fails("train " + toml + " device=cuda", "command line: device: cuda: this build");
  fails("loss --name kl --in absent --out o --device cuda", "retort: device cuda: this build");
  fails("gradcheck --device cuda", "retort: device cuda: this build");
  CHECK_FALSE(fs::exists(folder() / "out" / "teacher"));
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
  CHECK(fs::exists(out + "/teacher/model.safetensors"));
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

TEST_CASE("retort score prints every metric, its interval and a comparison") {
  fs::remove_all(folder());
  std::string files = " --ref " + write("r", "a cat\nthe dog ran\n") + " --hyp " +
                      write("h", "a cat\nthe dogs ran\n") + " --versus " +
                      write("v", "a\nthe cat ran\n");
  std::string names;
  for (const Metric& metric : metrics())
    names += std::string(names.empty() ? "" : ",") + metric.name;
  Result r = run("score --json --metric " + names + files);
  INFO(r.text);
  REQUIRE(r.status == 0);
  auto j = nlohmann::json::parse(r.text);
  CHECK(j.size() == metrics().size());
  CHECK(j["rouge1"]["score"] == 100);
  CHECK(j["ter"]["score"] == 20);
  for (auto& [name, one] : j.items()) {
    INFO(name);
    CHECK(one["low"] <= one["high"]);
    CHECK(one["versus"]["low"] <= one["versus"]["high"]);
    CHECK(one["versus"]["p"] <= 1);
  }
  r = run("score --resamples 0 --metric ter" + files);
  CHECK(r.text.starts_with("ter = 20.00  nrefs:1|case:lc|"));
  CHECK(r.text.ends_with("\nter versus 40.00: difference -20.00\n"));
}

TEST_CASE("retort loss writes loss and gradient in the type asked for") {
  fs::remove_all(folder());
  std::string in = (folder() / "in").string(), out = (folder() / "out").string();
  Tensor t = Tensor::from({1, 2, 3, 3, 2, 1}, {2, 3}, Dtype::f64),
         s = Tensor::from({0, 0, 0, 1, 1, 1}, {2, 3}, Dtype::f64);
  save_safetensors(
      in, {{"teacher", t}, {"student", s}, {"mask", Tensor::from(std::vector<int>{0, 1}, {2})}});
  Result r = run("loss --name gjs --param beta=0.15 --temperature 2 --dtype f64 --in " + in +
                 " --out " + out);
  INFO(r.text);
  REQUIRE(r.status == 0);
  TensorFile f = load_safetensors(out);
  CHECK(f.tensors["loss"].dtype == Dtype::f64);
  CHECK(f.tensors["loss"].values()[0] == 0);
  CHECK(f.tensors["loss"].values()[1] > 0);
  CHECK(f.tensors["grad"].shape == Shape{2, 3});
  REQUIRE(run("loss --name kl --temperature 1 --dtype f32 --in " + in + " --out " + out).status ==
          0);
  CHECK(load_safetensors(out).tensors["grad"].dtype == Dtype::f32);
  // A loss of the batch: one number, and what its solver found; the preset's temperature.
  save_safetensors(in, {{"teacher", t}, {"student", s}});
  r = run("loss --name sinkhorn:unit --param tol=1e-9 --param eps=0.2 --dtype f64 --in " + in +
          " --out " + out);
  INFO(r.text);
  REQUIRE(r.status == 0);
  CHECK(r.text.find("marginal errors") != std::string::npos);
  f = load_safetensors(out);
  CHECK(f.tensors["loss"].shape == Shape{1});
  CHECK(f.metadata.at("temperature") == "2");
  CHECK(std::stod(f.metadata.at("row_error")) <= 1e-9);
  r = run("loss --name sinkhorn:published --temperature 1 --in " + in + " --out " + out);
  CHECK(load_safetensors(out).metadata.at("temperature") == "1");
  save_safetensors(in, {{"teacher", t}, {"student", s}, {"cost", Tensor::zeros({3, 3})}});
  r = run("loss --name sinkhorn_sample --param cost=matrix --in " + in + " --out " + out);
  CHECK(r.status == 0);
  CHECK(load_safetensors(out).tensors["loss"].values() == std::vector<double>{0, 0});
  r = run("sinkhorn --in " + in + " --eps 1,0.1 --iters 5,50 --plan");
  INFO(r.text);
  CHECK(r.status == 0);
  CHECK(std::count(r.text.begin(), r.text.end(), '\n') == 1 + 4 * 3);
  // Distributions, not logits: a class without mass costs nothing but its share.
  save_safetensors(in, {{"teacher", Tensor::from({1, 0, 0.5, 0.5}, {2, 2}, Dtype::f64)},
                        {"student", Tensor::from({0.5, 0.5, 1, 0}, {2, 2}, Dtype::f64)}});
  r = run("sinkhorn --probabilities --eps 0.01 --iters 20 --json --in " + in);
  INFO(r.text);
  REQUIRE(r.status == 0);
  CHECK(nlohmann::json::parse(r.text)[0]["sharp"].get<double>() < 1e-6);
  save_safetensors(in, {{"teacher", t}, {"student", s}});
  CHECK(run("sinkhorn --probabilities --in " + in).text.find("row 0 adds up to 6, not 1") !=
        std::string::npos);
  Tensor one = Tensor::zeros({2, 1});
  save_safetensors(in, {{"teacher", one}, {"student", one}});
  r = run("loss --name sinkhorn:unit --in " + in + " --out " + out);
  CHECK(r.status == 1);
  CHECK(r.text.find("logits of one class (a regression head?)") != std::string::npos);
  CHECK(std::count(r.text.begin(), r.text.end(), '\n') == 1);
  fs::remove_all(folder());
}
