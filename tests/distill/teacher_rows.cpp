// The teacher's kept distributions: what they stand for, to the bit; coarsened ones; files that are
// another's or damaged; what a recipe may ask of them.
#include "distill/teacher_rows.h"

#include <fmt/core.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "data/text.h"
#include "distill/objective.h"
#include "distill/toml.h"
#include "distill/trainer.h"
#include "engine/sample.h"
#include "losses/coarsen.h"
#include "losses/divergence.h"
#include "tests/devices.h"

namespace fs = std::filesystem;
using namespace retort;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / ("retort-rows-" + std::to_string(::getpid()));
  std::string toml = (path / "r.toml").string();
  explicit Folder(const std::string& layout = "seq2seq", int examples = 60) {
    fs::create_directories(path);
    std::string text, architecture = layout == "causal" ? "decoder" : "encoder_decoder";
    for (int i = 0; i < examples; i++)
      text += fmt::format("a{} b{}\tb{} a{}\n", i % 7, i % 5, i % 5, i % 7);
    std::ofstream(path / "d.tsv") << text;
    std::ofstream(toml) << fmt::format(
        "output = \"{0}/run\"\n[data]\ntrain = \"{0}/d.tsv\"\nlayout = \"{1}\"\nmax_source = 12\n"
        "max_target = 6\n[tokenizer]\nsize = 16\n[train]\nsteps = 3\ntokens = 80\n[teacher.model]\n"
        "architecture = \"{2}\"\nwidth = 16\nheads = 2\nffn = 24\nlayers = 2\ninit_std = 0.4\n"
        "[students.a]\nmethod = \"kl\"\n[student.model]\narchitecture = \"{2}\"\nwidth = 16\n"
        "heads = 2\nffn = 24\nlayers = 1\ninit_std = 0.3\n",
        path.string(), layout, architecture);
  }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& ending) const {  // of the teacher's sequences
    for (const auto& f : fs::directory_iterator(path / "run/teacher"))
      if (f.path().filename().string().rfind("sequences-", 0) == 0 &&
          f.path().string().find(ending) != std::string::npos)
        return f.path().string();
    return "";
  }
};

const std::string kKeep = "students.a.teacher_sequences.keep=",
                  kK = "students.a.teacher_sequences.keep_k=";

// An experiment whose teacher is trained and has written its sequences.
struct Ready {
  Experiment e;
  Model model;
  LoadTeacher teacher = [this]() -> const Model& { return model; };
  std::vector<std::vector<int>> sequences;
  explicit Ready(const Folder& folder, const std::vector<std::string>& overrides = {},
                 Access access = Access::write)
      : e(load_recipe(folder.toml, overrides), access),
        model(fs::exists(folder.path / "run/teacher/model.safetensors")
                  ? e.load("teacher")
                  : (train_stage(e, e.stage("teacher"), Start::fresh), e.load("teacher"))),
        sequences(teacher_sequences(e, e.stage("a").teacher_sequences, teacher)) {}
  TeacherRows rows(const std::string& keep, int k = 32) {
    TeacherSequences how = e.stage("a").teacher_sequences;
    how.keep = keep, how.keep_k = k;
    return {e, how, sequences, teacher};
  }
  std::vector<Batch> batches() {
    Batcher batcher(e.pairs("train").pairs, e.specials(), {e.layout(), 80, 0, 1, true});
    return {batcher.batch(0, 0), batcher.batch(0, 1)};
  }
  // Loss, then gradient, of two micro-batches; of kept rows, or of the teacher.
  std::vector<double> update(const Stage& stage, const TeacherRows* rows) {
    Model student = e.build(stage);
    Objective o(stage, e.layout(), e.specials(), 1, rows ? nullptr : &model,
                e.recipe().data.max_target, sequences, rows);
    Update u = o.prepare(student, batches(), e.pairs("train").pairs, 0);
    o.accumulate(student, u, true);
    std::vector<double> all = student.parameters().grads().values();
    all.insert(all.begin(), u.loss().item());
    return all;
  }
};

// A student by terms on the teacher's sequences.
Stage student(const Ready& r, std::vector<Term> terms) {
  Stage s = r.e.stage("a");
  s.terms = std::move(terms);
  return s;
}

}  // namespace

TEST_CASE("full rows are what the teacher says, to the bit") {
  for (const char* layout : {"seq2seq", "causal"}) {
    Folder folder(layout, 200);  // computed in several batches
    Ready r(folder);
    TeacherRows rows = r.rows("full");
    Term exact{"skew_kl:0.3", "teacher"}, warm{"kl", "teacher", 0.5, 2.0}, ce{"ce", "teacher"};
    exact.mixture = "exact";
    for (const Stage& s : {student(r, {{"kl", "teacher"}}), student(r, {exact, warm, ce})}) {
      std::vector<double> near = r.update(s, nullptr), kept = r.update(s, &rows);
      CHECK(kept[0] == Approx(near[0]).epsilon(1e-5));
      for (size_t i = 0; i < kept.size(); i++)
        REQUIRE(kept[i] == Approx(near[i]).epsilon(1e-3).margin(1e-6));
      StableRows stable;  // then rounding does not depend on what else is in a batch
      CHECK(r.update(s, &rows) == r.update(s, nullptr));
    }
  }
}

TEST_CASE("training on full rows is training on the teacher") {
  Folder folder;
  auto losses = [&](const std::vector<std::string>& overrides) {
    Experiment e(load_recipe(folder.toml, overrides), Access::write);
    if (!fs::exists(folder.path / "run/teacher/model.safetensors"))
      train_stage(e, e.stage("teacher"), Start::fresh);
    train_stage(e, e.stage("a"), Start::overwrite);
    std::vector<double> all;
    for (const std::string& line : read_lines(e.folder("a") + "/metrics.jsonl"))
      all.push_back(Json::parse(line)["loss"].get<double>());
    return all;
  };
  std::string method = "students.a.method=tvd", steps = "students.a.train.steps=6";
  std::vector<double> expected = losses({method, steps}),
                      got = losses({method, steps, kKeep + "full"}),
                      coarse = losses({method, steps, kKeep + "top_k", kK + "3"});
  REQUIRE(expected.size() == 6);
  for (size_t i = 0; i < 6; i++) CHECK(got[i] == Approx(expected[i]).epsilon(1e-5));
  CHECK(coarse[0] < 0.999 * expected[0]);
  CHECK(!folder.file(".full.safetensors").empty());
  CHECK(!folder.file(".top-3.safetensors").empty());
}

TEST_CASE("top-k rows are the coarsened distributions, on every device", "[cuda]") {
  Folder folder;
  std::vector<double> first;  // an update on the CPU
  for (Device device : devices()) {
    Ready r(folder, {std::string("device=") + (device == Device::cuda ? "cuda" : "cpu")});
    TeacherRows rows = r.rows("top_k", 3);
    std::vector<double> update = r.update(student(r, {{"js", "teacher"}}), &rows);
    if (first.empty()) first = update;
    for (size_t i = 0; i < first.size(); i++)
      REQUIRE(update[i] == Approx(first[i]).epsilon(1e-4).margin(1e-6));
    // The teacher's and the student's log-probabilities of a batch, from their definition.
    Batch b = r.batches()[0];
    std::vector<std::vector<int>> targets;
    for (int id : b.ids) targets.push_back(r.sequences[size_t(id)]);
    b = with_targets(b, r.e.pairs("train").pairs, targets, r.e.layout(), r.e.specials(), 6);
    NoGrad quiet;
    Pass pass;
    auto logits_of = [&](const Model& m) {
      Tensor x = m.forward(inputs_of(b, r.e.layout(), device), pass).logits;
      return reshape(x, {x.rows(), x.cols()});
    };
    Tensor p = logits_of(r.model), q = logits_of(r.e.build(r.e.stage("a")));
    std::vector<int> valid;
    for (int label : b.labels) valid.push_back(label >= 0);
    DivergenceOptions o;
    o.mask = Tensor::from(valid, {p.rows()}, device);
    auto kl = [&](const Tensor& t, const Tensor& s) {
      return sum(divergence(parse_divergence("kl"), t, s, o)).item();
    };
    double before = 0, whole = kl(p, q);
    for (int k : {1, 3, 15}) {
      TeacherSide side = r.rows("top_k", k).of(b, device);
      Tensor ids = best(p, k).ids;
      double kept = kl(side.logits, coarsen(q, side.ids));
      INFO(k << " tokens");
      CHECK(kept == Approx(kl(coarsen(p, ids), coarsen(q, ids))).epsilon(1e-5));
      CHECK(kept > before);
      CHECK(kept <= whole * (1 + 1e-5));
      before = kept;
    }
    CHECK(before == Approx(whole).epsilon(1e-5));  // 15 of 16 tokens are all
    for (std::string file; !(file = folder.file(".safetensors")).empty();) fs::remove(file);
  }
}

TEST_CASE("kept rows are refused where they are of something else, or damaged") {
  Folder folder;
  Ready r(folder);
  r.rows("full"), r.rows("top_k", 4);
  auto never = [&]() -> const Model& { throw std::runtime_error("the teacher is asked for"); };
  r.teacher = never;
  CHECK_THROWS_WITH(r.rows("top_k", 5), Catch::Contains("the teacher is asked for"));
  CHECK(folder.file(".top-5").empty());
  Batch b = r.batches()[0];
  std::vector<std::vector<int>> targets;
  for (int id : b.ids) targets.push_back(r.sequences[size_t(id)]);
  Batch theirs =
      with_targets(b, r.e.pairs("train").pairs, targets, r.e.layout(), r.e.specials(), 6);
  for (auto [keep, ending] : {std::pair{"full", ".full"}, {"top_k", ".top-4"}}) {
    std::string path = folder.file(ending), whole = read_file(path);
    CHECK_NOTHROW(r.rows(keep, 4).of(theirs, Device::cpu));
    CHECK_THROWS_WITH(
        r.rows(keep, 4).of(collate(std::vector<TokenPair>{{{3}, {4, 5, 6, 7, 8, 9, 9}}},
                                   r.e.layout(), r.e.specials()),
                           Device::cpu),
        Catch::Contains("8 positions of example 0 are asked for, it has"));
    auto refused = [&](const std::string& content, const std::string& why) {
      std::ofstream(path, std::ios::binary) << content;
      INFO(why);
      CHECK_THROWS_WITH(r.rows(keep, 4).of(theirs, Device::cpu),
                        Catch::StartsWith(path) && Catch::Contains(why) &&
                            Catch::Contains("; remove the file, and it is made anew"));
      std::ofstream(path, std::ios::binary) << whole;
    };
    refused(whole.substr(0, whole.size() - 5), "the file is truncated");
    refused(whole.substr(0, 100), "it is truncated or no safetensors file");
    refused("", "is empty, not a safetensors file");
    refused(read_file(r.e.folder("teacher") + "/model.safetensors"), "does not say what made it");
    std::string flipped = whole;
    for (size_t at = whole.size() - 9000; at < whole.size(); at += 100) flipped[at] ^= 1;
    refused(flipped, "is damaged");
    std::string other = whole;  // of the same length, so that the header still fits
    other.replace(other.find(keep == std::string("full") ? "full" : "top 4"), 4, "fuel");
    refused(other, "was made with another keep");
    refused(read_file(folder.file(keep == std::string("full") ? ".top-4" : ".full")),
            "was made with another keep");
    Ready half(folder, {"dtype=bf16"}, Access::read);
    CHECK_THROWS_WITH(half.rows(keep, 4), Catch::Contains("was made with another dtype"));
  }
  // Other sequences, though made in the same way.
  std::string path = folder.file(".jsonl"), whole = read_file(path);
  std::ofstream(path) << whole << "\n";
  CHECK_THROWS_WITH(r.rows("full"), Catch::Contains("another text of the sequences"));
  std::ofstream(path) << whole;
  CHECK_NOTHROW(r.rows("full"));
  // Another teacher's; and with a teacher that is trained anew all of them go.
  std::string weights = weights_path(r.e.folder("teacher"));
  fs::copy_file(weights, weights + ".before");
  std::ofstream(weights, std::ios::app) << " ";
  CHECK_THROWS_WITH(r.rows("full"), Catch::Contains("was made with another teacher"));
  fs::rename(weights + ".before", weights);
  CHECK_NOTHROW(r.rows("full"));
  remove_teacher_sequences(r.e);
  CHECK(folder.file(".safetensors").empty());
  CHECK_THROWS_WITH(r.rows("top_k", 16), Catch::Contains("16 tokens, the vocabulary has 16"));
  CHECK_THROWS_WITH(check_room(folder.path.string(), 1e30), Catch::Contains("the disk has"));
  CHECK_NOTHROW(check_room(folder.path.string(), 1));
}

TEST_CASE("a recipe asks for rows only where they can serve, and older runs keep their names") {
  Folder folder;
  auto stage = [&](const std::vector<std::string>& overrides) {
    return load_recipe(folder.toml, overrides).students[0];
  };
  Json plain = stage_table(stage({}))["teacher_sequences"];
  CHECK(!plain.contains("keep"));
  CHECK(!plain.contains("keep_k"));
  const std::string full = kKeep + "full", top = kKeep + "top_k";
  CHECK(stage_table(stage({full}))["teacher_sequences"]["keep"] == "full");
  CHECK(!stage_table(stage({full}))["teacher_sequences"].contains("keep_k"));
  CHECK(stage_table(stage({top, kK + "5"}))["teacher_sequences"]["keep_k"] == 5);
  // What no term uses is left out.
  CHECK(stage_table(stage({full, "students.a.method=seqkd"})) ==
        stage_table(stage({"students.a.method=seqkd"})));
  std::string kept = (folder.path / "kept.toml").string();
  Recipe whole = load_recipe(folder.toml, {top, kK + "5"});
  std::ofstream(kept) << to_toml(recipe_table(whole));
  CHECK(stage_table(load_recipe(kept, {}).students[0]) == stage_table(whole.students[0]));

  auto refuses = [&](const std::string& why, std::vector<std::string> overrides) {
    INFO(why);
    CHECK_THROWS_WITH(stage(overrides),
                      Catch::Contains("students.a.teacher_sequences.keep") && Catch::Contains(why));
  };
  const std::string theirs = "students.a.teacher_sequences.";
  refuses("no \"all\"; there are: text, top_k, full", {kKeep + "all"});
  refuses("from 1 up", {kK + "0"});
  refuses("16 tokens, the vocabulary has 16", {top, kK + "16"});
  refuses("method = \"gold\"", {full, theirs + "method=gold"});
  refuses("needs offline = true", {top, kK + "4", theirs + "offline=false"});
  refuses("no hidden states", {full, "students.a.terms=[{loss = \"hidden\", on = \"teacher\"}]"});
  refuses("on mixed ones the teacher is run",
          {full, "students.a.terms=[{loss = \"kl\", on = \"mixed\"}]",
           "students.a.mix={gold = 1, teacher = 1}"});
  const std::vector<std::string> coarse{top, kK + "4"};
  auto with = [&](const std::string& more) {
    std::vector<std::string> all = coarse;
    all.push_back(more);
    return all;
  };
  refuses("which has no temperature",
          with("students.a.terms=[{loss = \"kl\", on = \"teacher\", temperature = 2.0}]"));
  refuses("probability of every token",
          with("students.a.terms=[{loss = \"skew_kl\", on = \"teacher\", mixture = \"exact\"}]"));
  CHECK_NOTHROW(
      stage(with("students.a.terms=[{loss = \"kl\", on = \"gold\", temperature = 2.0}]")));
  CHECK_NOTHROW(stage({full, "students.a.method=js", "students.a.mixture=exact"}));
}
