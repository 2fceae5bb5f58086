// Objectives: accumulation over micro-batches equals the large batch; samples that do not end.
#include "distill/objective.h"

#include <catch2/catch.hpp>

#include "tests/devices.h"

using namespace retort;

namespace {

ModelConfig small() {
  ModelConfig c = ModelConfig::preset("bart");
  c.vocab = 23, c.width = 16, c.heads = 2, c.layers = 1, c.ffn = 16, c.max_positions = 16;
  c.dropout = 0.1, c.init_std = 0.3;
  return c;
}
std::vector<TokenPair> pairs_of(int count) {
  std::vector<TokenPair> pairs(static_cast<size_t>(count));
  for (int i = 0; i < count; i++) {
    pairs[size_t(i)].id = i;
    pairs[size_t(i)].source.assign(1 + size_t(i) % 5, 5 + i);
    pairs[size_t(i)].target.assign(1 + size_t(3 * i) % 7, 6 + i);
  }
  return pairs;
}

}  // namespace

TEST_CASE("accumulated micro-batches give the large batch's loss and gradient", "[cuda]") {
  for (Device device : devices()) {
    std::vector<TokenPair> pairs = pairs_of(8);
    auto batches = [&](size_t rows) {
      std::vector<Batch> list;
      for (size_t i = 0; i < pairs.size(); i += rows)
        list.push_back(collate(
            {pairs.begin() + long(i), pairs.begin() + long(std::min(pairs.size(), i + rows))},
            Layout::seq2seq, {}));
      return list;
    };
    Model teacher(small(), 2, Dtype::f64, device);
    for (const char* method : {"mle", "kl", "rkl", "js", "tvd", "gjs:0.3", "predistil"})
      for (const char* reduction : {"tokens", "sequences", "batch"}) {
        // One of each shows what the device adds.
        if (device == Device::cuda && (std::string(method) != "js" || reduction[0] != 's'))
          continue;
        INFO(method << " by " << reduction);
        Stage stage;
        stage.name = "student", stage.terms = method_terms(method);
        if (method[0] == 'g')  // with all that makes it the sequence's
          for (Term& t : stage.terms) {
            t.mixture = "exact";
            if (t.on == "student") t.score_term = "rb";
          }
        stage.train.reduction = reduction, stage.train.smoothing = 0.1;
        Objective objective(stage, Layout::seq2seq, {}, 7, &teacher, 9);
        std::vector<double> gradient;
        double loss = 0;
        for (size_t rows : {8, 3, 1}) {
          Model student(small(), 3, Dtype::f64, device);
          Update r = objective.prepare(student, batches(rows), pairs, 5);
          objective.accumulate(student, r);
          std::vector<double> g = student.parameters().grads().values();
          if (rows == 8) gradient = g, loss = r.loss().item();
          CHECK(r.loss().item() == Approx(loss).epsilon(1e-12));
          for (size_t i = 0; i < g.size(); i++)
            REQUIRE(g[i] == Approx(gradient[i]).epsilon(1e-9).margin(1e-12));
        }
      }
  }
}

TEST_CASE("a sample that did not end is labelled as it was sampled, without an end") {
  std::vector<TokenPair> pairs = {{{11}, {12}, 0, 0}, {{13, 14}, {15}, 1, 0}};
  for (Layout layout : {Layout::seq2seq, Layout::causal}) {
    Batch prompts = collate(pairs, layout, {});
    Batch b = with_targets(prompts, pairs, {{21, 22, 23, 24}, {31, 32}}, layout, {}, 3);
    std::vector<int> kept;
    for (int label : b.labels)
      if (label >= 0) kept.push_back(label);
    CHECK(kept == std::vector<int>{21, 22, 23, 24, 31, 32, 3});
    CHECK(b.label_count == 7);
  }
}

TEST_CASE("the student's sequences are drawn every so many updates, kept, replayed, restored") {
  std::vector<TokenPair> pairs = pairs_of(8);
  Batch gold = collate(pairs, Layout::seq2seq, {});
  Model teacher(small(), 2), student(small(), 3);
  Stage stage;
  stage.name = "student", stage.terms = method_terms("rkl");
  stage.student_sequences.method = "sample", stage.student_sequences.every = 3;
  auto labels = [&](Objective& o, long step) {
    return o.prepare(student, {gold}, pairs, step).batches.at("student")[0].labels;
  };
  Objective o(stage, Layout::seq2seq, {}, 7, &teacher, 9);
  std::vector<int> first = labels(o, 0);
  CHECK(Json::parse(o.kept()).size() == 8);
  std::string kept = o.kept();
  CHECK(labels(o, 1) != labels(o, 2));  // other rows of the kept
  CHECK(o.kept() == kept);
  Objective again(stage, Layout::seq2seq, {}, 7, &teacher, 9);
  again.restore(kept, pairs.size(), small().vocab);
  CHECK(labels(again, 2) == labels(o, 2));
  CHECK(labels(again, 3) == labels(o, 3));  // drawn anew, the old ones forgotten
  CHECK(again.kept() != kept);
  stage.student_sequences.replay = 12;
  Objective replay(stage, Layout::seq2seq, {}, 7, &teacher, 9);
  labels(replay, 0), labels(replay, 3);
  CHECK(Json::parse(replay.kept()).size() == 12);
  for (const char* bad : {"[[8, [3]]]", "[[0, [999]]]", "[[0", "[[0, 3]]"})
    CHECK_THROWS_WITH(again.restore(bad, pairs.size(), small().vocab), Catch::Contains("damaged"));
}

TEST_CASE("mixed sequences are whose the shares say, on a schedule") {
  std::vector<TokenPair> pairs = pairs_of(2);
  Batch gold = collate(pairs, Layout::seq2seq, {});
  Model teacher(small(), 2), student(small(), 3);
  Stage stage;
  stage.name = "student", stage.terms = {{"kl", "mixed"}};
  stage.student_sequences.method = "sample";
  stage.mix = {3, 0, 1}, stage.mix_end = {0, 0, 1};
  Objective o(stage, Layout::seq2seq, {}, 7, &teacher, 9);
  auto share = [&](double progress) {
    int own = 0;
    for (long step = 0; step < 400; step++)
      own += o.prepare(student, {gold}, pairs, step, progress).sampled > 0;
    return own / 400.0;
  };
  CHECK(share(0) == Approx(0.25).margin(0.07));
  CHECK(share(0.5) == Approx(0.625).margin(0.07));
  CHECK(share(1) == 1);
}

TEST_CASE("replayed sequences of micro-batches are the large batch's") {
  std::vector<TokenPair> pairs = pairs_of(8);
  Model teacher(small(), 2), student(small(), 3);
  Stage stage;
  stage.name = "student", stage.terms = method_terms("rkl");
  stage.student_sequences.method = "sample", stage.student_sequences.every = 2;
  for (long step : {4, 5}) {
    std::vector<std::vector<int>> expected;
    for (size_t rows : {8, 3}) {
      Objective o(stage, Layout::seq2seq, {}, 7, &teacher, 9);
      std::vector<Batch> list;
      for (size_t i = 0; i < pairs.size(); i += rows)
        list.push_back(collate(
            {pairs.begin() + long(i), pairs.begin() + long(std::min(pairs.size(), i + rows))},
            Layout::seq2seq, {}));
      if (step == 5) o.prepare(student, list, pairs, 4);
      Update u = o.prepare(student, list, pairs, step);
      std::vector<std::vector<int>> seen;  // each sequence with its source
      for (const Batch& b : u.batches.at("student"))
        for (int row = 0; row < b.size; row++) {
          seen.push_back({b.ids[size_t(row)]});
          for (int t = 0; t < b.target_length; t++)
            if (int label = b.labels[size_t(row * b.target_length + t)]; label >= 0)
              seen.back().push_back(label);
        }
      if (rows == 8) expected = seen;
      CHECK(seen == expected);
    }
  }
}

TEST_CASE("gjs with the exact mixture, from its formula") {
  const double beta = 0.15;
  ModelConfig config = small();
  config.dropout = config.attention_dropout = 0;
  std::vector<TokenPair> pairs = pairs_of(5);
  Batch gold = collate(pairs, Layout::seq2seq, {});
  Model teacher(config, 2, Dtype::f64), student(config, 3, Dtype::f64);
  std::vector<std::vector<int>> written;
  for (int i = 0; i < 5; i++) written.push_back(std::vector<int>(size_t(1 + i), 6 + i));
  for (std::string mixture : {"arithmetic", "exact", "exact_detached"}) {
    Stage stage;
    stage.name = "student", stage.terms = method_terms("gjs:0.15");
    stage.train.reduction = "batch", stage.student_sequences.method = "sample";
    for (Term& t : stage.terms) t.mixture = mixture;
    Objective o(stage, Layout::seq2seq, {}, 7, &teacher, 9, written);
    Update u = o.prepare(student, {gold}, pairs, 0);
    o.accumulate(student, u);
    double expected = 0;
    for (auto [writer, list] : u.batches) {
      const Batch& b = list[0];
      Pass pass;
      NoGrad quiet;
      auto rows = [&](const Model& m) {
        return softmax(m.forward(inputs_of(b, Layout::seq2seq, Device::cpu), pass).logits).values();
      };
      std::vector<double> p = rows(teacher), q = rows(student);
      for (int row = 0; row < b.size; row++) {
        double odds = beta / (1 - beta);  // P(y_<t) beta over Q(y_<t) (1 - beta)
        for (int t = 0; t < b.target_length; t++) {
          int at = row * b.target_length + t, label = b.labels[size_t(at)];
          if (label < 0) continue;
          double w = mixture == "arithmetic" ? beta : odds / (1 + odds);
          for (int v = 0; v < config.vocab; v++) {
            double a = p[size_t(at * config.vocab + v)], c = q[size_t(at * config.vocab + v)],
                   m = w * a + (1 - w) * c;
            expected += (writer == "teacher" ? beta * a * std::log(a / m)
                                             : (1 - beta) * c * std::log(c / m)) /
                        5;
          }
          odds *= p[size_t(at * config.vocab + label)] / q[size_t(at * config.vocab + label)];
        }
      }
    }
    INFO(mixture);
    CHECK(u.loss().item() == Approx(expected).epsilon(1e-10));
  }
}
