// Commands without an experiment, and what the program says of bad input.
#include "tests/distill/program.h"

#include <fmt/core.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "data/batch.h"
#include "data/metrics.h"
#include "engine/gradcheck.h"
#include "engine/ops.h"
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
  fails("train " + toml + " evaluate.beam=3", "did you mean \"beams\"");
  fails("train " + toml + " length_penalty=1", "did you mean \"evaluate.length_penalty\"");
  fails("train " + toml + " data.learning_rate=1", "did you mean \"train.learning_rate\"");
  fails("train " + toml + " teacher.model.widht=8", "did you mean \"width\"");
  fails("train " + toml + " train.steps=many", "train.steps: expected a whole number");
  fails("train " + toml + " students.js.method=jss", "did you mean \"js\"");
  fails("train " + toml + " data.train=absent.tsv", "absent.tsv");
  fails("train " + toml + " data.train=data/sets/absent/t.tsv",
        "data/sets/absent/t.tsv: is not there; obtain it with: data/get absent");
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
  fails("loss --name k --in x --out o", "no loss \"k\"; there are: kl, ");
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
  fails("gradcheck --loss nope", "no loss \"nope\"");
  fails("gradcheck --loss hiden", "did you mean \"hidden\"?");
  fails("gradcheck --loss sinkhorn:unti", "did you mean \"sinkhorn:unit\"?");
  for (auto [what, says] : std::vector<std::pair<const char*, const char*>>{
           {"sinkhorn:unit --param eps=0", "eps must be positive, got 0"},
           {"sinkhorn:unit --param iters=0", "iters must be at least 1, got 0"},
           {"sinkhorn:unit --param rho=1", "no parameter \"rho=1\"; it takes"},
           {"sinkhorn:unit --param gradient=envelope", "is not that of value sharp"},
           {"sinkhorn:unit --zero ignore", "divides by no probability"},
           {"sinkhorn:uni", "did you mean \"sinkhorn:unit\""},
           {"gjss:0.3", "did you mean \"gjs\""},
           {"hellingr", "did you mean \"hellinger\""},
           {"ulb", "did you mean \"uld\""}})
    fails(std::string("loss --in x --out o --name ") + what, says);
  fails("sinkhorn --in absent", "absent");
  fails("sinkhorn", "--in is required", 2);
  fails("tran", "did you mean \"train\"", 2);
  fails("train " + toml + " --devcie cpu", "no option --devcie; did you mean \"--device\"?", 2);
  fails("--vresion", "did you mean \"--version\"?", 2);
  fails("loss --name kl --dtype=f6 --in a --out b", "did you mean \"f64\"?", 2);
  fails("score --metric rougL" + hyp, "did you mean \"rougeL\"?");
  fails("train " + toml + " evaluate.metrics=chf", "did you mean \"chrf\"?");
  fails("train " + toml + " preset=x", "command line: preset: the recipe has no [presets.NAME]");
  fails("loss --name sinkhorn:unit --param epss=1 --in a --out b", "did you mean \"eps\"?");
  fails("loss --name sinkhorn:unit --param gradient=implcit --in a --out b",
        "did you mean \"implicit\"?");
  fails("invariants --only jss", "did you mean \"js\"?");
  fails("invariants --only gjs:5", "\"gjs:5\" is not checked; of gjs there are: gjs:0.15, ");
  fails("invariants --only ''", "no \"\"; there are: kl, ");
  for (const char* key : {".x=1", "x.=1", "train..steps=1", ".=1"})
    fails("train " + toml + " " + key,
          std::string("command line: \"") + key + "\": the name before");
  // Two files that are one, by whatever name, before anything is read or computed.
  std::string one = (folder() / "one").string(), other = write("other", "kept");
  fs::create_symlink(other, folder() / "link");
  for (const std::string& a : {"sinkhorn --in absent --out " + one + " -o " + one,
                               "sinkhorn --in " + other + " -o " + (folder() / "link").string(),
                               "exact --in " + other + " -o " + other,
                               "modes --init " + other + " -o " + (folder() / "./other").string(),
                               "loss --name kl --in " + other + " --out " + other})
    fails(a, ": is the file of --");
  CHECK(read_file(other) == "kept");
  fails("train", "recipe is required", 2);
  fails("frobnicate", "retort", 2);
  fails("score --frob", "retort score: no option --frob", 2);
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
  // A warm start along the sweep: the first eps has nothing to begin with, the others save.
  Tensor many_t = random_tensor({12, 5}, 1, 2), many_s = random_tensor({12, 5}, 2, 2);
  save_safetensors(in, {{"teacher", many_t}, {"student", many_s}});
  std::string sweep = "sinkhorn --eps 0.12,0.1,0.08 --iters 20 --warm-start 1e-6 --in " + in;
  r = run(sweep + " --json");
  INFO(r.text);
  REQUIRE(r.status == 0);
  auto j = nlohmann::json::parse(r.text);
  CHECK(j[0]["iterations"] == j[0]["warm_iterations"]);
  for (size_t i : {1, 2}) CHECK(j[i]["warm_iterations"] < j[i]["iterations"]);
  r = run(sweep);
  CHECK(r.text.find("from 0 warm start  saved") != std::string::npos);
  // A mask leaves rows out, whatever they hold: as if the file had none of them.
  Tensor bad = scale(many_t, 1);
  bad.data<double>()[5] = NAN;
  std::vector<int> all_but(12, 1);
  all_but[1] = 0;
  save_safetensors(in,
                   {{"teacher", bad}, {"student", many_s}, {"mask", Tensor::from(all_but, {12})}});
  r = run("sinkhorn --eps 0.1 --iters 20 --plan --json --in " + in);
  INFO(r.text);
  REQUIRE(r.status == 0);
  auto masked = nlohmann::json::parse(r.text);
  auto without = [](const Tensor& x) { return concat({slice(x, 0, 0, 1), slice(x, 0, 2, 10)}, 0); };
  save_safetensors(in, {{"teacher", without(many_t)}, {"student", without(many_s)}});
  r = run("sinkhorn --eps 0.1 --iters 20 --plan --json --in " + in);
  CHECK(nlohmann::json::parse(r.text) == masked);
  CHECK(masked[0]["plan"].size() == 121);
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
