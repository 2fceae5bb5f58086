// Pre-training by masked language modelling: the loss is on the masked tokens alone, a teacher sees
// the same, classifiers start as what was trained.
#include <fmt/core.h>

#include "distill/evaluate.h"
#include "distill/trainer.h"
#include "engine/safetensors.h"
#include "losses/cross_entropy.h"
#include "losses/divergence.h"
#include "tests/devices.h"
#include "tests/distill/program.h"

namespace fs = std::filesystem;
using namespace retort;
using Catch::Contains;

namespace {

const Specials kSpecials{0, 2, 3, 4, 23};

ModelConfig small(int layers = 1) {
  ModelConfig c = ModelConfig::preset("bert");
  c.vocab = 23, c.width = 16, c.heads = 2, c.layers = layers, c.ffn = 16, c.max_positions = 32;
  c.classes = 0, c.dropout = c.attention_dropout = 0, c.init_std = 0.4;
  return c;
}

std::vector<TokenPair> blocks(int count) {
  std::vector<TokenPair> all(static_cast<size_t>(count));
  for (int i = 0; i < count; i++)
    for (int t = 0; t < 12 + i % 3; t++)
      all[size_t(i)].source.push_back(5 + int(mix(3, uint64_t(i), uint64_t(t)) % 18));
  return all;
}

// Patterns of words in which a hidden one follows from its neighbours.
std::string text(int lines) {
  const char* words[] = {"red", "green", "blue", "big", "small", "old", "new", "cat", "dog"};
  std::string all;
  for (int i = 0; i < lines; i++) {
    for (int k = 0; k < 6; k++) all += std::string(k ? " " : "") + words[(i + k) % 9];
    all += "\n";
  }
  return all;
}

std::string pretraining(const std::string& extra = "") {
  std::string a = write("a.txt", text(60)), b = write("b.txt", text(30));
  return write(
      "pretrain.toml",
      fmt::format("output = \"{}\"\n[data]\nformat = \"text\"\nlayout = \"masked\"\n"
                  "train = [\"{}\", \"{}\"]\nvalid = \"{}\"\nmax_source = 12\n"
                  "[tokenizer]\nsize = 30\n[train]\nsteps = 150\ntokens = 128\n"
                  "learning_rate = 1e-2\nsave_every = 3\nlog_every = 0\n"
                  "[teacher.model]\npreset = \"bert\"\nwidth = 16\nheads = 2\n"
                  "layers = 2\nffn = 24\nmax_positions = 20\ninit_std = 0.1\ndropout = 0\n{}",
                  (folder() / "pretrain").string(), a, b, b, extra));
}

std::string classifying(const std::string& extra = "") {
  std::string lines;
  for (int i = 0; i < 60; i++) lines += i % 2 ? "red green blue\tyes\n" : "old new cat\tno\n";
  std::string data = write("classes.tsv", lines), from = (folder() / "pretrain").string();
  return write("classes.toml",
               fmt::format("output = \"{}\"\n[data]\nlayout = \"classify\"\ntrain = \"{}\"\n"
                           "test = \"{}\"\nmax_source = 12\n"
                           "[tokenizer]\nmodel = \"{}/tokenizer.model\"\n[train]\nsteps = 2\n"
                           "[teacher]\ninit = \"{}/teacher/model.safetensors\"\n"
                           "[teacher.model]\npreset = \"bert\"\nwidth = 16\nheads = 2\n"
                           "layers = 2\nffn = 24\nmax_positions = 20\n"
                           "[student]\ninit = \"{}/teacher/model.safetensors:1\"\n"
                           "[student.model]\npreset = \"bert\"\nwidth = 16\nheads = 2\n"
                           "layers = 1\nffn = 24\nmax_positions = 20\n"
                           "[students.kl]\nmethod = \"kl\"\n{}",
                           (folder() / "classes").string(), data, data, from, from, from, extra));
}

}  // namespace

TEST_CASE("losses are on the masked tokens alone, a teacher's too", "[cuda]") {
  std::vector<TokenPair> pairs = blocks(6);
  for (Device device : devices()) {
    Model student(small(), 3, Dtype::f64, device), teacher(small(2), 4, Dtype::f64, device);
    BatchOptions how{.layout = Layout::masked, .tokens = 1000};
    Batch all = Batcher(pairs, kSpecials, how).batch(0, 0);
    auto logits = [&](const Model& model) {
      Pass pass;
      return model.forward(inputs_of(all, Layout::masked, device), pass).logits;
    };
    // The logits of some positions are those of all, picked.
    Inputs in = inputs_of(all, Layout::masked, device);
    in.positions = {};
    Pass pass;
    std::vector<double> whole = student.forward(in, pass).logits.values(),
                        some = logits(student).values();
    REQUIRE(some.size() == all.labels.size() * 23);
    for (size_t k = 0; k < all.labels.size(); k++)
      for (size_t v = 0; v < 23; v++)
        CHECK(some[k * 23 + v] == Approx(whole[size_t(all.positions[k]) * 23 + v]));

    auto loss = [&](const std::string& name, int tokens) {
      Stage stage;
      stage.terms = {{name}};
      Objective o(stage, Layout::masked, kSpecials, 7, &teacher, 9);
      BatchOptions parts = how;
      parts.tokens = tokens;
      Batcher batcher(pairs, kSpecials, parts);
      std::vector<Batch> micro;
      for (int i = 0; i < batcher.count(0); i++) micro.push_back(batcher.batch(0, i));
      Update u = o.prepare(student, micro, pairs, 0);
      CHECK(u.tokens == long(all.labels.size()));
      student.parameters().zero_grads();
      o.accumulate(student, u);
      CHECK(sum(mul(student.parameters().grads(), student.parameters().grads())).item() > 0);
      return u.loss().item();
    };
    int n = int(all.labels.size());
    Tensor q = logits(student).detach(), p = logits(teacher).detach();
    double ce = mean(cross_entropy(q, Tensor::from(all.labels, {n}, device))).item(),
           kl = mean(divergence(parse_divergence("kl"), p, q, {})).item();
    CHECK(loss("ce", 1000) == Approx(ce));
    CHECK(loss("ce", 40) == Approx(ce));  // of micro-batches the large batch's
    CHECK(loss("kl", 1000) == Approx(kl));
    CHECK(loss("kl", 40) == Approx(kl));
    CHECK(loss("hidden", 1000) > 0);
  }
}

TEST_CASE("an encoder is pre-trained, distilled, and classifiers start as it") {
  fs::remove_all(folder());
  std::string toml = pretraining(
      "[students.kl]\nmethod = \"kl\"\ninit = \"teacher:0\"\n[student.model]\npreset = \"bert\"\n"
      "width = 16\nheads = 2\nlayers = 1\nffn = 24\nmax_positions = 20\n[student.train]\nsteps = "
      "5\n");
  Result r = run("run " + toml);
  INFO(r.text);
  REQUIRE(r.status == 0);
  std::string out = (folder() / "pretrain").string();
  Json results = Json::parse(read_file(out + "/teacher/results.json"));
  CHECK(results["split"] == "valid");
  CHECK(results["accuracy"].contains("score"));
  CHECK(results["accuracy"]["score"].get<double>() > 0.3);  // a guess: 1 of 9 words
  CHECK(results["loss"].get<double>() < 2.0);               // at first log(30) = 3.4
  CHECK(Json::parse(read_file(out + "/kl/results.json"))["agreement"]["score"] > 20);
  CHECK(r.text.find("| model | parameters* | accuracy |") != std::string::npos);

  // A classifier has the encoder's weights, the layers that were named, and a head of its own.
  TensorFile weights = load_safetensors(out + "/teacher/model.safetensors");
  {
    Experiment e(load_recipe(classifying(), {}), Access::write);
    Model teacher = e.build(e.stage("teacher")), student = e.build(e.stage("kl"));
    size_t same = 0;
    for (const auto& [name, value] : weights.tensors) {
      if (name.rfind("masked.", 0) == 0) continue;
      CHECK(teacher.parameters()[name].value.values() == value.values());
      same++;
    }
    CHECK(teacher.parameters().list().size() == same + 4);
    CHECK(student.parameters()["encoder.layers.0.ffn.in.weight"].value.values() ==
          weights.tensors.at("encoder.layers.1.ffn.in.weight").values());
    CHECK(e.fingerprint(e.stage("kl")).find("init_hash") != std::string::npos);
  }
  r = run("run " + classifying());
  INFO(r.text);
  CHECK(r.status == 0);

  auto refused = [](const std::string& command, const std::string& why) {
    Result r = run(command);
    INFO(r.text);
    CHECK(r.status == 1);
    CHECK(r.text.find(why) != std::string::npos);
  };
  std::string classes = "run " + classifying() + " output=" + (folder() / "other").string() + " ";
  refused(classes + "teacher.model.width=32", "width = 16, the recipe says 32");
  refused(classes + "teacher.model.heads=4", "heads = 2, the recipe says 4");
  refused(classes + "teacher.model.layers=3", "layers = 2, the recipe says 3");
  refused("distill " + classifying() + " --overwrite student.init=" + out +
              "/teacher/model.safetensors:2",
          "its encoder has layers 0 to 1, not 2");
  std::string plain = (folder() / "plain.model").string();
  Tokenizer::train(read_lines((folder() / "a.txt").string()), plain, {.vocabulary = 30});
  refused(classes + "tokenizer.model=" + plain, "trained with another vocabulary");
  std::string again = "run " + toml + " output=" + (folder() / "other").string() + " ";
  refused(again + "tokenizer.model=" + plain, "has no piece <mask>");
  refused(again + "train.reduction=sequences", "equally many masked tokens");
  refused(again + "students.kl.method=js students.kl.mixture=exact", "exact ones are of sequences");
  refused(again + "data.second_test=" + plain, "data.layout masked has none");
  refused(again + "data.format=glue:cola data.train=" + plain, "is for classify");
  refused(again + "teacher.model.architecture=decoder", "needs architecture = \"encoder\"");
  refused(again + "data.max_source=30", "max_positions: 20 are too few: 32 follow");
  refused("generate " + toml + " --input " + write("in", "red\n"), "an encoder generates nothing");
}

TEST_CASE("the recipe of the pre-trained encoder is one that this program takes") {
  Recipe r = load_recipe("recipes/sinkd/pretrain.toml", {});
  CHECK(r.data.layout == "masked");
  CHECK(r.data.train.size() == 2);
}

TEST_CASE("pre-training killed and resumed ends with the same bytes") {
  fs::remove_all(folder());
  std::string command = "train " + pretraining() + " train.steps=60",
              dir = (folder() / "pretrain/teacher").string();
  REQUIRE(run(command).status == 0);
  std::string whole = checksum(dir + "/checkpoint.safetensors");
  std::string script = fmt::format(
      "{} {} >/dev/null 2>&1 & p=$!; until grep -qs \"step.:20[,}}]\" {}/metrics.jsonl; "
      "do kill -0 $p || exit 9; sleep 0.01; done; kill -9 $p; wait $p; test $? = 137",
      program(), command, dir);
  int status = 1;
  for (int attempt = 0; attempt < 20 && status != 0; attempt++) {
    fs::remove_all(dir);
    status = std::system(fmt::format("bash -c '{}' 2> /dev/null", script).c_str());
  }
  REQUIRE(status == 0);
  REQUIRE(run(command + " --resume").status == 0);
  CHECK(checksum(dir + "/checkpoint.safetensors") == whole);
}
