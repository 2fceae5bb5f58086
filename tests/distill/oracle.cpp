// The oracle of models: its enumeration against one that walks the tree of sequences that end where
// they end, its samples against its enumeration, and the program on a trained experiment.
#include "distill/oracle.h"

#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "data/text.h"
#include "distill/toml.h"
#include "distill/trainer.h"

namespace fs = std::filesystem;
using namespace retort;

namespace {

using Numbers = std::vector<double>;
using Values = std::map<std::string, double>;
using Rows = std::map<std::vector<int>, Numbers>;  // a gradient: prefix -> its row

Model small(const std::string& architecture, uint64_t seed) {
  ModelConfig c;
  c.architecture = architecture, c.vocab = 6;
  c.width = 16, c.heads = 2, c.layers = 1, c.ffn = 16, c.max_positions = 16, c.init_std = 0.4;
  return Model(c, seed, Dtype::f64);
}

double sign(double x) { return double((x > 0) - (x < 0)); }

// All sequences one by one, each ended by the end token or cut after L; gradients by hand.
struct Walk {
  const Model &teacher, &student;
  TokenPair example;
  int L, V = 6, end = 3;
  Values exact, step;
  std::map<std::string, Rows> exact_gradient, step_gradient;
  double cross_entropy = 0, mode = 0, nll_of_mode = 0, length = 0, sequences = 0;

  Numbers next(const Model& model, const std::vector<int>& prefix) const {
    bool decoder = model.config().architecture == "decoder";
    NoGrad quiet;
    std::vector<int> source = example.source, target = {2};
    source.push_back(end);
    if (decoder) target = example.source, target.push_back(2);
    target.insert(target.end(), prefix.begin(), prefix.end());
    auto row = [](const std::vector<int>& ids) { return Tensor::from(ids, {1, int(ids.size())}); };
    Inputs in{{}, {}, row(target), row({int(target.size())}), {}};
    in.target_lengths = Tensor::from(std::vector<int>{int(target.size())}, {1});
    if (!decoder) {
      in.source = row(source);
      in.source_lengths = Tensor::from(std::vector<int>{int(source.size())}, {1});
    }
    Tensor logits;
    model.start(in, int(target.size()), &logits);
    Numbers z = logits.values();
    double sum = 0;
    for (double& x : z) sum += x = std::exp(x);
    for (double& x : z) x /= sum;
    return z;
  }

  // A whole sequence: prefixes with the student's rows and what followed each.
  struct Step {
    std::vector<int> prefix;
    Numbers q;
    int token;
  };
  void finish(const std::vector<Step>& path, double P, double Q) {
    double M = (P + Q) / 2;
    sequences++, length += P * double(path.size());
    exact["kl"] += P * std::log(P / Q), exact["rkl"] += Q * std::log(Q / P);
    exact["js"] += (P * std::log(P / M) + Q * std::log(Q / M)) / 2;
    exact["tvd"] += std::abs(P - Q) / 2;
    cross_entropy -= P * std::log(Q);
    if (P > mode) mode = P, nll_of_mode = -std::log(Q);
    Values slope = {{"kl", -P / Q},
                    {"rkl", std::log(Q / P) + 1},
                    {"js", std::log(Q / M) / 2},
                    {"tvd", sign(Q - P) / 2}};
    for (const auto& [name, s] : slope)
      for (const Step& at : path) {
        Numbers& row = exact_gradient[name].try_emplace(at.prefix, V, 0).first->second;
        for (int v = 0; v < V; v++) row[size_t(v)] += s * Q * ((v == at.token) - at.q[size_t(v)]);
      }
  }

  void walk(std::vector<Step> path, std::vector<int> prefix, double P, double Q) {
    if (int(prefix.size()) == L || (!prefix.empty() && prefix.back() == end))
      return finish(path, P, Q);
    Numbers p = next(teacher, prefix), q = next(student, prefix);
    std::map<std::string, Numbers> slope;
    for (size_t v = 0; v < p.size(); v++) {
      double m = (p[v] + q[v]) / 2, half = std::log(q[v] / m) + 1 - q[v] / m / 2;
      step["kl"] += P * p[v] * std::log(p[v] / q[v]);
      step["rkl"] += Q * q[v] * std::log(q[v] / p[v]);
      step["js"] += (P * p[v] * std::log(p[v] / m) + Q * q[v] * std::log(q[v] / m)) / 2;
      step["tvd"] += (P + Q) / 2 * std::abs(p[v] - q[v]) / 2;
      slope["kl"].push_back(-P * p[v] / q[v]);
      slope["rkl"].push_back(Q * (std::log(q[v] / p[v]) + 1));
      slope["js"].push_back((Q * half - P * p[v] / m / 2) / 2);
      slope["tvd"].push_back((P + Q) / 2 * sign(q[v] - p[v]) / 2);
    }
    for (const auto& [name, s] : slope) {
      double mean = 0;
      for (size_t v = 0; v < q.size(); v++) mean += q[v] * s[v];
      for (size_t v = 0; v < q.size(); v++)
        step_gradient[name][prefix].push_back(q[v] * (s[v] - mean));
    }
    path.push_back({prefix, q, 0}), prefix.push_back(0);
    for (int v = 0; v < V; v++) {
      path.back().token = prefix.back() = v;
      walk(path, prefix, P * p[size_t(v)], Q * q[size_t(v)]);
    }
  }
};

double dot(const Rows& a, const Rows& b) {
  double sum = 0;
  for (const auto& [prefix, row] : a)
    for (size_t v = 0; v < row.size(); v++) sum += row[v] * b.at(prefix)[v];
  return sum;
}

const TokenPair kExamples[] = {{{4, 5, 4}, {}, 0, 0}, {{}, {}, 0, 0}};

}  // namespace

TEST_CASE("the tables of two models have the divergences of sequences that end where they end") {
  for (std::string architecture : {"encoder_decoder", "decoder"})
    for (const TokenPair& example : kExamples)
      for (int L : {1, 4}) {
        INFO(architecture << " source " << example.source.size() << " L " << L);
        Model teacher = small(architecture, 1), student = small(architecture, 2);
        Layout layout = architecture == "decoder" ? Layout::causal : Layout::seq2seq;
        SequenceTables t = model_tables(teacher, student, example, layout, L);
        CHECK(t.length == L);
        Walk walk{teacher, student, example, L, 6, 3, {}, {}, {}, {}};
        walk.walk({}, {}, 1, 1);
        CHECK(walk.sequences == (L == 1 ? 6 : 1 + 5 + 25 + 125 + 625));
        auto got = exact_divergences(t);
        for (const char* name : {"kl", "rkl", "js", "tvd"}) {
          INFO(name);
          const ExactDivergence& d = got.at(name);
          CHECK(std::abs(d.exact - walk.exact[name]) < 1e-9);
          CHECK(std::abs(d.stepwise - walk.step[name]) < 1e-9);
          const Rows &exact = walk.exact_gradient[name], &step = walk.step_gradient[name];
          double x = std::sqrt(dot(exact, exact)), y = std::sqrt(dot(step, step));
          CHECK(std::abs(*d.grad_cosine - dot(exact, step) / x / y) < 1e-9);
          CHECK(std::abs(*d.grad_norm_ratio - y / x) < 1e-9);
        }
        CHECK(std::abs(*got["js"].stepwise_exact_mixture - walk.exact["js"]) < 1e-9);
        for (const Estimator& e : compare_estimators(t, got, 1, 1)) {
          INFO(e.target << " " << e.name);
          if (e.target == "seqkd") CHECK(std::abs(e.truth - walk.cross_entropy) < 1e-9);
          if (e.name == "mode") CHECK(std::abs(e.mean - walk.nll_of_mode) < 1e-9);
          if (e.target == "kl" && e.name == "full vocabulary")
            CHECK(std::abs(e.rows - walk.length) < 1e-9);
        }
      }
}

TEST_CASE("what is sampled agrees with what is enumerated, in as many intervals as it should") {
  Model teacher = small("decoder", 1), student = small("decoder", 2);
  SequenceTables t = model_tables(teacher, student, kExamples[0], Layout::causal, 4);
  auto exact = exact_divergences(t);
  std::vector<Estimator> estimators = compare_estimators(t, exact, 1, 1);
  const int seeds = 40, samples = 200;
  int inside = 0, all = 0;
  for (uint32_t seed = 0; seed < seeds; seed++) {
    Divergences d =
        sampled_divergences(teacher, student, kExamples[0], Layout::causal, 4, samples, {seed, 0});
    for (const auto& [name, x] : d.all) {
      INFO(name << " seed " << seed);
      double far = std::abs(x.exact - exact[name].exact) / *x.error,
             step = std::abs(x.stepwise - exact[name].stepwise) / *x.stepwise_error;
      CHECK(far < 5);
      CHECK(step < 5);
      CHECK_FALSE(x.grad_cosine);
      inside += (far < 1.96) + (step < 1.96), all += 2;
    }
    for (const Estimator& e : d.estimators)
      for (const Estimator& want : estimators)
        if (e.name == want.name && e.target == want.target && e.name != "k3") {
          INFO(e.target << " " << e.name);
          CHECK(std::abs(e.mean - want.mean) < 5 * want.std / std::sqrt(samples));
          CHECK(e.std == Approx(want.std).epsilon(0.5));
          CHECK(e.rows == Approx(want.rows).epsilon(0.2));
        }
  }
  CHECK(double(inside) / all == Approx(0.95).margin(0.04));
}

TEST_CASE("retort exact on a trained experiment: enumerated, sampled, averaged, refused") {
  fs::path folder = fs::temp_directory_path() / ("retort-oracle-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::string text, toml = (folder / "r.toml").string();
  for (int i = 0; i < 120; i++)
    text += fmt::format("{}\t{}\n", i % 3 ? "ab" : "ba", i % 2 ? "ba" : i % 5 ? "b" : "ab");
  std::ofstream(folder / "d.tsv") << text;
  std::ofstream(toml) << fmt::format(
      "output = \"{0}/run\"\n[data]\ntrain = \"{0}/d.tsv\"\ntest = \"{0}/d.tsv\"\n"
      "max_target = 8\n[tokenizer]\nsize = 7\n[train]\nsteps = 30\ntokens = 200\n"
      "learning_rate = 0.01\n[teacher.model]\narchitecture = \"encoder_decoder\"\nwidth = 16\n"
      "heads = 2\nlayers = 1\n[student.model]\narchitecture = \"encoder_decoder\"\nwidth = 8\n"
      "heads = 2\nlayers = 1\n[students.kl]\nmethod = \"kl\"\n[students.none]\nmethod = \"kl\"\n",
      folder.string());
  {
    Experiment e(load_recipe(toml, {}), Access::write);
    for (const char* name : {"teacher", "kl"}) train_stage(e, e.stage(name), Start::fresh);
  }
  Experiment e(load_recipe(toml, {}), Access::read);
  const int V = e.tokenizer().size();
  REQUIRE(V == 7);
  OracleOptions o;
  o.length = 4, o.examples = 2, o.estimators = 1;
  Oracle exact = oracle(e, "kl", o);
  Model teacher = e.load("teacher"), student = e.load("kl");
  ExactDivergence one[2];
  for (size_t i = 0; i < 2; i++)
    one[i] = exact_divergences(
        model_tables(teacher, student, e.pairs("test").pairs[i], Layout::seq2seq, 4))["js"];
  CHECK(exact.all["js"].exact == Approx((one[0].exact + one[1].exact) / 2).epsilon(1e-12));
  CHECK(exact.all["js"].exact > 1e-4);
  o.most = 1, o.samples = 2000;
  Oracle drawn = oracle(e, "kl", o);
  CHECK(exact.enumerated);
  CHECK_FALSE(drawn.enumerated);
  for (const auto& [name, d] : drawn.all) {
    INFO(name);
    CHECK(std::abs(d.exact - exact.all[name].exact) < 1.96 * *d.error);
    CHECK(std::abs(d.stepwise - exact.all[name].stepwise) < 1.96 * *d.stepwise_error);
    CHECK(*d.error < 0.1 * d.exact);
  }

  const char* program = std::getenv("RETORT");
  auto run = [&](const std::string& arguments) {
    std::string log = (folder / "log").string();
    int status = std::system(
        fmt::format("{} exact {} > {} 2>&1", program ? program : "build/retort", arguments, log)
            .c_str());
    return std::pair(WEXITSTATUS(status), read_file(log));
  };
  auto [status, out] = run(toml + " --student kl --length 4 --examples 2 --json");
  INFO(out);
  REQUIRE(status == 0);
  Json j = Json::parse(out);
  CHECK(j["tvd"]["exact"] == Approx(exact.all["tvd"].exact).epsilon(1e-12));
  CHECK(j["sequences"] == Json{{"tokens", 7}, {"length", 4}, {"examples", 2}, {"drawn", 0}});
  Json s = Json::parse(run(toml + " --student kl --length 9 --samples 50 --json").second);
  for (const char* name : {"kl", "rkl", "js", "tvd"}) {
    for (const auto& [key, x] : j[name].items()) CHECK(s[name].contains(key));
    CHECK(s[name]["low"] < s[name]["high"]);
    CHECK(s[name]["grad_cosine"].is_null());
  }
  CHECK(s["sequences"]["drawn"] == 50);
  CHECK(run(toml + " --student kl --length 3")
            .second.starts_with("7 tokens, at most 3 in a sequence: all 259 sequences\n"));
  auto fails = [&](const std::string& arguments, const std::string& says, int expected = 1) {
    auto [status, out] = run(arguments);
    INFO(arguments << "\n" << out);
    CHECK(status == expected);
    CHECK(out.find(says) != std::string::npos);
    if (expected == 1) CHECK(std::count(out.begin(), out.end(), '\n') == 1);
  };
  fails(toml + " --student kll", "no model \"kll\" in this recipe; there are: teacher, kl, none");
  fails(toml + " --student none", "none/model.safetensors: no trained model here");
  fails(toml + " --student kl --length 10", "length 10: the models write at most 9 tokens");
  fails(toml + " --student kl --examples 121", "data.test: 121 examples are asked for");
  fails(toml + " --student kl data.layout=blocks students.kl.method=kd students.none.method=kd",
        "data.layout blocks: only seq2seq and causal");
  fails(toml + " --student kl --length 0", "--length", 2);
  fails(toml, "requires --student", 2);
  fails(toml + " --student kl --in t", "excludes --in", 2);
  fails("--in t --length 3", "excludes --in", 2);
  fails("", "RECIPE or --in is required", 2);
  fs::remove_all(folder);
}
