// Transport losses as terms of an objective: on the valid positions of a micro-batch, with their
// own temperature, annealed; what recipes may say of them.
#include "losses/transport.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "distill/objective.h"
#include "tests/devices.h"

namespace fs = std::filesystem;
using namespace retort;
using Catch::Contains;
using Numbers = std::vector<double>;

namespace {

ModelConfig small(const std::string& architecture) {
  ModelConfig c = ModelConfig::preset(architecture == "encoder" ? "bert" : "bart");
  c.architecture = architecture;
  c.vocab = 13, c.width = 16, c.heads = 2, c.layers = 1, c.ffn = 16, c.max_positions = 32;
  c.dropout = c.attention_dropout = 0, c.init_std = 0.4, c.classes = 3;
  return c;
}

Term term(const std::string& loss, double weight = 1, double temperature = 1) {
  return {loss, "gold", weight, temperature};
}

double loss_of(Model& student, const Model& teacher, const std::vector<Term>& terms,
               const std::vector<std::vector<TokenPair>>& micro, Layout layout,
               double progress = 0) {
  Stage stage;
  stage.name = "student", stage.terms = terms;
  Objective o(stage, layout, {}, 7, &teacher, 9);
  std::vector<Batch> batches;
  for (const auto& pairs : micro) batches.push_back(collate(pairs, layout, {}));
  Update u = o.prepare(student, batches, {}, 0, progress);
  student.parameters().zero_grads();
  o.accumulate(student, u);
  for (const Term& t : terms)
    if (t.loss.rfind("sinkhorn:", 0) == 0) CHECK(report(u.solved.at(0)).column_error < 1e-6);
  return u.loss().item();
}

const std::vector<TokenPair> kPairs = {
    {{5, 6, 7}, {8}, 0, 0}, {{9}, {10, 11, 12, 5, 6}, 1, 0}, {{7, 7}, {5, 9, 8}, 2, 0}};

// Logits at the positions that count, each pair by itself, without padding.
Tensor valid_logits(const Model& m) {
  NoGrad quiet;
  std::vector<Tensor> rows;
  for (const TokenPair& pair : kPairs) {
    Pass pass;
    Tensor z =
        m.forward(inputs_of(collate({pair}, Layout::seq2seq, {}), Layout::seq2seq, m.device()),
                  pass)
            .logits;
    rows.push_back(reshape(z, {z.rows(), z.cols()}));
  }
  return concat(rows, 0);
}

}  // namespace

TEST_CASE("a batch-wise transport loss is over all valid positions, softmax over the vocabulary",
          "[cuda]") {
  for (Device device : devices()) {
    Model teacher(small("encoder_decoder"), 2, Dtype::f64, device),
        student(small("encoder_decoder"), 3, Dtype::f64, device);
    Tensor p = valid_logits(teacher), q = valid_logits(student);
    for (const char* name : {"sinkhorn:published", "sinkhorn:unit", "sinkhorn_debiased"}) {
      Transport t = parse_transport(name);
      CHECK(t.temperature == 2);
      double expected = transport(t, {p, q, {}, {}, {}, true}).loss.item();
      INFO(name);
      CHECK(expected > 0);
      CHECK(loss_of(student, teacher, {term(name, 0.5, 2)}, {kPairs}, Layout::seq2seq) ==
            Approx(0.5 * expected).epsilon(1e-9));
    }
    for (const char* name : {"sinkhorn_sample:published", "uld"}) {  // a loss of each row
      Tensor rows = transport(parse_transport(name), {p, q, {}, {}, {}, true}).loss;
      CHECK(loss_of(student, teacher, {term(name)}, {kPairs}, Layout::seq2seq) ==
            Approx(sum(rows).item() / rows.dim(0)).epsilon(1e-9));
    }
  }
}

TEST_CASE("tokens cost what their embeddings are apart") {
  Model teacher(small("encoder_decoder"), 2, Dtype::f64),
      student(small("encoder_decoder"), 3, Dtype::f64);
  auto costs =
      std::make_shared<ClassCosts>(ClassCosts::of_embeddings(teacher.parameters()["tokens"].value));
  Numbers c = costs->matrix(Dtype::f64, Device::cpu).values(),
          e = teacher.parameters()["tokens"].value.values();
  auto distance = [&](size_t i, size_t j) {
    double square = 0;
    for (size_t d = 0; d < 16; d++) square += std::pow(e[i * 16 + d] - e[j * 16 + d], 2);
    return std::sqrt(square);
  };
  CHECK(*std::max_element(c.begin(), c.end()) == 1);
  CHECK(c[3 * 13 + 3] == 0);
  CHECK(c[3 * 13 + 5] == c[5 * 13 + 3]);
  CHECK(c[3 * 13 + 5] / c[2 * 13 + 7] == Approx(distance(3, 5) / distance(2, 7)));
  Term moved = term("sinkhorn_sample");
  moved.parameters = {"cost=matrix", "iters=5"};
  Tensor rows = transport(parse_transport("sinkhorn_sample", moved.parameters),
                          {valid_logits(teacher), valid_logits(student), {}, costs, {}, true})
                    .loss;
  CHECK(loss_of(student, teacher, {moved}, {kPairs}, Layout::seq2seq) ==
        Approx(sum(rows).item() / rows.dim(0)).epsilon(1e-9));
  // Of two terms each has its own: the likeliest tokens of each row, and all.
  Term few = moved;
  few.parameters = {"cost=matrix", "iters=5", "top=3"};
  double alone = loss_of(student, teacher, {few}, {kPairs}, Layout::seq2seq);
  CHECK(std::abs(alone - sum(rows).item() / rows.dim(0)) > 1e-6);
  CHECK(loss_of(student, teacher, {term("kl"), few, moved}, {kPairs}, Layout::seq2seq) ==
        Approx(loss_of(student, teacher, {term("kl")}, {kPairs}, Layout::seq2seq) + alone +
               sum(rows).item() / rows.dim(0))
            .epsilon(1e-9));
}

TEST_CASE("SinKD's objective: cross-entropy, annealed distillation and transport of one batch") {
  Model teacher(small("encoder"), 2, Dtype::f64), student(small("encoder"), 3, Dtype::f64);
  std::vector<TokenPair> pairs;
  for (int i = 0; i < 6; i++) pairs.push_back({{5 + i % 3, 6 + i}, {i % 3}, i, 0});
  auto loss = [&](std::vector<Term> terms, double progress = 0,
                  std::vector<std::vector<TokenPair>> micro = {}) {
    if (micro.empty()) micro = {pairs};
    return loss_of(student, teacher, terms, micro, Layout::classify, progress);
  };
  Term annealed = term("kl", 0.9, 3);
  annealed.temperature_end = 1;
  double all = loss({term("ce", 0.1), annealed, term("sinkhorn:published", 0.8, 2)}, 0.5);
  CHECK(all == Approx(0.1 * loss({term("ce")}) + 0.9 * loss({term("kl", 1, 2)}) +
                      0.8 * loss({term("sinkhorn:published", 1, 2)})));
  CHECK(loss({annealed}, 1) == Approx(0.9 * loss({term("kl")})));
  CHECK(loss({annealed}) == Approx(0.9 * loss({term("kl", 1, 3)})));
  // Of micro-batches the mean by their rows.
  std::vector<TokenPair> first(pairs.begin(), pairs.begin() + 2),
      rest(pairs.begin() + 2, pairs.end());
  Term unit = term("sinkhorn:unit", 1, 2);
  CHECK(loss({unit}, 0, {first, rest}) ==
        Approx(loss({unit}, 0, {first}) * 2 / 6 + loss({unit}, 0, {rest}) * 4 / 6));
  // What has the rows' mass adds up.
  Term published = term("sinkhorn:published", 1, 2);
  CHECK(loss({published}, 0, {first, rest}) ==
        Approx(loss({published}, 0, {first}) + loss({published}, 0, {rest})));
  // Its gradient is that of the numbers.
  loss({unit});
  Numbers gradient = student.parameters().grads().values();
  const Parameter& head = student.parameters().list().back();
  Numbers w = head.value.values(), analytic = grad(head.value).values();
  CHECK(gradient.size() > w.size());
  auto at = [&](double h) {
    Numbers moved = w;
    moved[0] += h;
    student.parameters().load({{head.name, Tensor::from(moved, head.value.shape, Dtype::f64)}},
                              true);
    return loss({unit});
  };
  CHECK(analytic[0] == Approx((at(1e-5) - at(-1e-5)) / 2e-5).epsilon(1e-5).margin(1e-9));
}

TEST_CASE("recipes: transport terms have their own temperature; what does not fit is refused") {
  std::string path =
      (fs::temp_directory_path() / ("retort-transport-" + std::to_string(::getpid()))).string();
  auto load = [&](const std::string& terms, const std::string& more = "") {
    std::ofstream(path) << "[data]\ntrain = \"t.tsv\"\n"
                        << more << "[teacher]\n[students.a]\nterms = [\n"
                        << terms << "]\n";
    return load_recipe(path, {}).students[0];
  };
  Stage s = load(
      "{loss = \"sinkhorn:unit\", parameters = [\"eps=0.2\", \"iters=5\"]},\n"
      "{loss = \"sinkhorn:published\", temperature = 1.5},\n"
      "{loss = \"kl\", temperature = 3, temperature_end = 1}, {loss = \"uld\"}\n");
  CHECK(s.terms[0].temperature == 2);
  CHECK(s.terms[0].parameters == std::vector<std::string>{"eps=0.2", "iters=5"});
  CHECK(s.terms[1].temperature == 1.5);
  CHECK(s.terms[2].temperature == 3);
  CHECK(s.terms[3].temperature == 1);
  CHECK(terms_table(s.terms)[0]["parameters"][1] == "iters=5");
  CHECK_FALSE(terms_table(s.terms)[1].contains("temperature_end"));
  auto refused = [&](const std::string& terms, const std::string& why) {
    CHECK_THROWS_WITH(load(terms), Contains(path + ":") && Contains(why));
  };
  refused("{loss = \"sinkhorn:unt\"}", "did you mean \"sinkhorn:unit\"?");
  refused("{loss = \"sinkhorn:unit\", parameters = \"eps=0\"}", "eps must be positive, got 0");
  refused("{loss = \"sinkhorn:unit\", parameters = \"iters=0\"}", "iters must be at least 1");
  refused("{loss = \"sinkhorn:unit\", parameters = \"ep=1\"}", "no parameter \"ep=1\"; it takes");
  std::string matrix = "{loss = \"sinkhorn_sample\", parameters = \"cost=matrix\"}";
  CHECK_THROWS_WITH(load(matrix, "layout = \"classify\"\n"), Contains("classes have none"));
  refused("{loss = \"kl\", parameters = \"eps=1\"}", "are for transport losses");
  refused("{loss = \"kl\", temperature_end = -1}", "temperature_end: must be a number from 0");
  refused("{loss = \"ce\", temperature_end = 2}", "cross-entropy on labels takes none");
  refused("{loss = \"uld\", mixture = \"exact\"}", "uld mixes nothing");
  CHECK_THROWS_WITH(
      load("{loss = \"sinkhorn:unit\"}", "layout = \"classify\"\nlabels = \"numbers\"\n"),
      Contains("a regression has no distributions for sinkhorn:unit to compare"));
  CHECK_THROWS_WITH(load("{loss = \"uld\"}", "[train]\ngraph = true\n"),
                    Contains("uld looks at numbers on its way, which a graph cannot"));
  fs::remove(path);
}
