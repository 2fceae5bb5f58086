#include "distill/inspection.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "distill/scores.h"
#include "engine/sample.h"
#include "losses/divergence.h"
#include "losses/transport.h"

namespace retort {
namespace {

// Five digits, as a report needs them.
double rounded(double x) { return std::stod(fmt::format("{:.5g}", x)); }

Tensor real(const Tensor& logits) { return logits.to(real_of(logits.dtype)); }

// Both models' next-token distributions at the positions of some pairs.
struct Rows {
  Batch batch;
  Tensor student, teacher;  // (N, V); teacher undefined where there is none
  std::vector<int> labels;
};

Rows rows_of(Experiment& e, const Batch& batch, const Model& model, const Model* teacher) {
  Rows r{batch, real(row_logits(model, batch, e.layout())), {}, batch.labels};
  if (teacher) r.teacher = real(row_logits(*teacher, batch, e.layout()));
  return r;
}

Json positions(Experiment& e, const Model& model, const Model* teacher,
               const std::vector<TokenPair>& pairs, size_t most) {
  std::vector<double> count, own, theirs;
  each_batch(e, pairs, [&](const Batch& b) {
    Rows r = rows_of(e, b, model, teacher);
    std::vector<double> of_student = entropies(r.student), of_teacher;
    if (teacher) of_teacher = entropies(r.teacher);
    size_t length = r.labels.size() / size_t(b.size), at = 0;
    for (size_t row = 0; row < r.labels.size(); row++) {
      if (row % length == 0) at = 0;
      if (r.labels[row] < 0 || at >= most) continue;
      if (at == count.size()) count.push_back(0), own.push_back(0), theirs.push_back(0);
      count[at] += 1, own[at] += of_student[row];
      if (teacher) theirs[at] += of_teacher[row];
      at++;
    }
  });
  Json j = {{"count", count}};
  for (size_t i = 0; i < count.size(); i++) {
    j["student_entropy"].push_back(rounded(own[i] / count[i]));
    if (teacher) j["teacher_entropy"].push_back(rounded(theirs[i] / count[i]));
  }
  return j;
}

// The likeliest tokens of each row, as [piece, probability].
std::vector<Json> likeliest(const Tensor& logits, int count, const Tokenizer& tokenizer) {
  BestTokens best_tokens = best(log_softmax(logits), count);
  std::vector<int> ids = best_tokens.ids.ints();
  std::vector<double> lp = best_tokens.values.values();
  std::vector<Json> rows(size_t(logits.rows()));
  for (size_t i = 0; i < ids.size(); i++)
    rows[i / size_t(count)].push_back({tokenizer.piece(ids[i]), rounded(std::exp(lp[i]))});
  return rows;
}

Json sentence(Experiment& e, const Model& model, const Model* teacher, const TokenPair& pair,
              const InspectOptions& o) {
  Rows r = rows_of(e, collate({pair}, e.layout(), e.specials()), model, teacher);
  int count = std::min(o.likeliest, r.student.cols());
  std::vector<Json> own = likeliest(r.student, count, e.tokenizer()), theirs;
  std::map<std::string, std::vector<double>> apart;
  if (teacher) {
    theirs = likeliest(r.teacher, count, e.tokenizer());
    for (const char* name : {"kl", "rkl", "js", "tvd"})
      apart[name] = divergence(parse_divergence(name), r.teacher, r.student).values();
  }
  Json tokens = Json::array();
  for (size_t row = 0; row < r.labels.size() && tokens.size() < o.tokens; row++) {
    if (r.labels[row] < 0) continue;
    Json t = {{"token", e.tokenizer().piece(r.labels[row])}, {"student", own[row]}};
    if (teacher) t["teacher"] = theirs[row];
    for (const auto& [name, values] : apart) t[name] = rounded(values[row]);
    tokens.push_back(std::move(t));
  }
  return tokens;
}

// The first rows that count of these pairs, which are taken one after the other.
Json transport_plan(Experiment& e, const Stage& stage, const Model& model, const Model& teacher,
                    const std::vector<TokenPair>& pairs, size_t most) {
  Transport loss = parse_transport("sinkhorn:unit");
  for (const Term& term : stage.terms)
    if (is_transport(term.loss))
      if (Transport t = parse_transport(term.loss, term.parameters); !t.per_row)
        t.temperature = term.temperature, loss = t;
  std::vector<double> student, theirs;
  Json rows = Json::array();
  bool classes = e.layout() == Layout::classify;
  for (size_t i = 0; i < pairs.size() && rows.size() < most; i++) {
    Rows r = rows_of(e, collate({pairs[i]}, e.layout(), e.specials()), model, &teacher);
    std::vector<double> q = r.student.values(), p = r.teacher.values();
    size_t vocabulary = size_t(r.student.cols());
    for (size_t row = 0; row < r.labels.size() && rows.size() < most; row++) {
      if (r.labels[row] < 0) continue;
      auto append = [&](std::vector<double>& to, const std::vector<double>& from) {
        to.insert(to.end(), from.begin() + long(row * vocabulary),
                  from.begin() + long((row + 1) * vocabulary));
      };
      append(student, q), append(theirs, p);
      rows.push_back(classes ? e.labels().at(size_t(r.labels[row]))
                             : e.tokenizer().piece(r.labels[row]));
    }
  }
  if (rows.size() < 2) return Json();
  int n = int(rows.size()), vocabulary = int(student.size()) / n;
  auto tensor = [&](const std::vector<double>& x) {
    return Tensor::from(x, {n, vocabulary}, Dtype::f32, e.device());
  };
  TransportLoss found = transport(loss, {tensor(theirs), tensor(student), {}, {}, {}, true});
  if (found.solved.empty()) return Json();
  SinkhornReport how = report(found.solved[0]);
  std::vector<double> p = plan(found.solved[0]).values();
  Json matrix = Json::array();
  for (size_t i = 0; i < p.size(); i++) {
    if (i % size_t(n) == 0) matrix.push_back(Json::array());
    matrix.back().push_back(rounded(p[i]));
  }
  return {{"loss", loss.name},
          {"eps", loss.solver.eps},
          {"temperature", loss.temperature},
          {"value", rounded(found.loss.values()[0])},
          {"rows", rows},
          {"plan", matrix},
          {"row_error", how.row_error},
          {"column_error", how.column_error},
          {"gap", how.gap},
          {"iterations", how.iterations}};
}

}  // namespace

std::vector<size_t> evenly(size_t size, size_t count) {
  std::vector<size_t> chosen;
  size_t step = std::max<size_t>(1, size / std::max<size_t>(1, count));
  for (size_t k = 0; k < count && k * step < size; k++) chosen.push_back(k * step);
  return chosen;
}

Json inspect_stage(Experiment& e, const Stage& stage, const Model& model, const Model* teacher,
                   const std::vector<std::string>& outputs, const InspectOptions& o) {
  NoGrad quiet;
  std::string split = e.evaluation_split();
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  if (teacher == &model) teacher = nullptr;
  Json j = {{"split", split}};
  std::vector<size_t> chosen = evenly(pairs.size(), o.samples);
  for (size_t i : chosen)
    if (outputs.size() == pairs.size()) {
      const Example& x = e.corpus(split).examples[size_t(pairs[i].id)];
      j["samples"].push_back(
          {{"source", x.source}, {"reference", x.target}, {"output", outputs[i]}});
    }
  bool classes = e.layout() == Layout::classify, masked = e.layout() == Layout::masked;
  std::vector<TokenPair> some;
  for (size_t i : evenly(pairs.size(), o.examples)) some.push_back(pairs[i]);
  if (!classes && !masked) {
    j["positions"] = positions(e, model, teacher, some, o.positions);
    for (size_t k = 0; k < std::min(o.sentences, chosen.size()); k++)
      j["sentences"].push_back(sentence(e, model, teacher, pairs[chosen[k]], o));
  }
  bool regression = classes && e.recipe().data.labels == "numbers";
  if (teacher && !masked && !regression)
    if (Json plan = transport_plan(e, stage, model, *teacher, some, o.plan_rows); !plan.is_null())
      j["transport"] = plan;
  return j;
}

}  // namespace retort
