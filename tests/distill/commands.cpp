// Commands without an experiment, and what the program says of bad input.
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
  fails("score --metric blue" + hyp, "no metric \"blue\"; there are bleu,");
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

TEST_CASE("retort score prints every metric, its interval and a comparison") {
  fs::remove_all(folder());
  std::string files = " --ref " + write("r", "a cat\nthe dog ran\n") + " --hyp " +
                      write("h", "a cat\nthe dogs ran\n") + " --versus " +
                      write("v", "a\nthe cat ran\n");
  std::string names;
  size_t count = 0;
  for (const Metric& metric : metrics())
    if (metric.lines == Lines::text) names += std::string(count++ ? "," : "") + metric.name;
  Result r = run("score --json --metric " + names + files);
  INFO(r.text);
  REQUIRE(r.status == 0);
  auto j = nlohmann::json::parse(r.text);
  CHECK(j.size() == count);
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
  fs::remove_all(folder());
}
