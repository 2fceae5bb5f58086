#include "distill/objective.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <set>

#include "distill/hidden.h"
#include "losses/coarsen.h"
#include "losses/divergence.h"
#include "losses/sequence.h"
#include "losses/squared_error.h"

namespace retort {
namespace {

// Which positions count, row by row: labels that are not ignored.
std::vector<int> valid_rows(const Batch& b, Layout layout) {
  if (layout == Layout::classify) return std::vector<int>(size_t(b.size), 1);
  std::vector<int> v(b.labels.size());
  for (size_t i = 0; i < v.size(); i++) v[i] = b.labels[i] >= 0;
  return v;
}
// The same of the source's: what an encoder reads, padding not.
std::vector<int> valid_source_rows(const Batch& b) {
  std::vector<int> v;
  for (int i = 0; i < b.size; i++)
    for (int t = 0; t < b.source_length; t++) v.push_back(t < b.source_lengths[size_t(i)]);
  return v;
}
// Where each label stands in the ascending list `among`; -1 where it does not.
std::vector<int> places(std::vector<int> labels, const std::vector<int>& among) {
  for (int& label : labels) {
    auto found = std::lower_bound(among.begin(), among.end(), label);
    label = found != among.end() && *found == label ? int(found - among.begin()) : -1;
  }
  return labels;
}
double count_of(const std::vector<int>& valid) {
  return std::accumulate(valid.begin(), valid.end(), 0.0);
}

}  // namespace

DecodeOptions decode_options(const Decoding& d) {
  DecodeOptions o;
  o.method = d.method, o.beams = d.beams, o.length_penalty = d.length_penalty;
  o.temperature = d.temperature, o.top_k = d.top_k, o.top_p = d.top_p;
  o.min_length = d.min_length;
  return o;
}

std::vector<std::vector<int>> decode_batch(const Model& model, const Batch& b, Layout layout,
                                           DecodeOptions options) {
  NoGrad quiet;
  Device device = model.device();
  Inputs in;
  if (layout == Layout::seq2seq) {
    in.source = Tensor::from(b.source, {b.size, b.source_length}, device);
    in.source_lengths = Tensor::from(b.source_lengths, {b.size}, device);
    std::vector<int> bos(size_t(b.size), model.config().bos), one(size_t(b.size), 1);
    in.target = Tensor::from(bos, {b.size, 1}, device);
    in.target_lengths = Tensor::from(one, {b.size}, device);
  } else {
    in.target = Tensor::from(b.source, {b.size, b.source_length}, device);
    in.target_lengths = Tensor::from(b.source_lengths, {b.size}, device);
  }
  return decode(model, in, options);
}

Batch with_targets(const Batch& batch, const std::vector<TokenPair>& pairs,
                   const std::vector<std::vector<int>>& targets, Layout layout, Specials specials,
                   int max_target) {
  std::vector<TokenPair> sampled;
  for (size_t i = 0; i < targets.size(); i++) {
    TokenPair p = pairs[size_t(batch.ids[i])];
    p.id = batch.ids[i], p.target = targets[i];
    if (int(p.target.size()) > max_target) p.target.resize(size_t(max_target));
    sampled.push_back(std::move(p));
  }
  Batch b = collate(sampled, layout, specials);
  for (size_t i = 0; i < targets.size(); i++)
    if (int(targets[i].size()) > max_target) {
      size_t last = size_t(b.target_length) * i + size_t(b.target_lengths[i]) - 1;
      b.labels[last] = targets[i][size_t(max_target)];
    }
  return b;
}

Objective::Objective(const Stage& stage, Layout layout, Specials specials, uint64_t seed,
                     const Model* teacher, int max_target,
                     std::vector<std::vector<int>> teacher_sequences, const TeacherRows* rows,
                     std::vector<int> answers)
    : terms_(stage.terms),
      of_teacher_(stage.teacher_sequences),
      of_student_(stage.student_sequences),
      mix_(stage.mix),
      mix_end_(stage.mix_end),
      teacher_sequences_(std::move(teacher_sequences)),
      teacher_rows_(rows),
      answers_(std::move(answers)),
      layout_(layout),
      specials_(specials),
      seed_(seed),
      teacher_(teacher),
      max_target_(max_target),
      smoothing_(stage.train.smoothing),
      reduction_(parse_reduction(stage.train.reduction)) {
  for (const Term& t : terms_) {
    bool compares = t.loss != "ce" && !(rows && t.on == "teacher"),
         draws = stage.sees("teacher") && teacher_sequences_.empty();
    if (!teacher && (compares || draws))
      throw std::runtime_error("stage " + stage.name + ": loss " + t.loss + " on " + t.on +
                               " sequences needs a teacher; add [teacher] to the recipe");
    if (t.on != "gold" && layout != Layout::seq2seq && layout != Layout::causal)
      throw std::runtime_error("stage " + stage.name +
                               ": only data.layout seq2seq and causal can be sampled");
    costs_.push_back(costs_of(t));
  }
}

std::shared_ptr<const ClassCosts> Objective::costs_of(const Term& term) const {
  if (!is_transport(term.loss)) return {};
  Transport t = parse_transport(term.loss, term.parameters);
  if (t.cost != ClassCost::matrix) return {};
  Tensor tokens = teacher_->parameters()["tokens"].value;
  if (term.vocabulary == "answers")
    tokens = embedding(tokens, Tensor::from(answers_, {int(answers_.size())}, tokens.device()));
  auto costs = std::make_shared<ClassCosts>(ClassCosts::of_embeddings(tokens));
  if (!t.top) costs->matrix(real_of(tokens.dtype), tokens.device());  // now, or too many tokens
  return costs;
}

std::vector<int> ids_in(const Json& list, int limit) {
  std::vector<int> ids;
  if (!list.is_array()) throw std::runtime_error("expected a list of whole numbers");
  for (const Json& id : list) {
    if (!id.is_number_integer()) throw std::runtime_error("expected whole numbers");
    if (id.get<int64_t>() < 0 || id.get<int64_t>() >= limit)
      throw std::runtime_error("no token " + id.dump());
    ids.push_back(id.get<int>());
  }
  return ids;
}

std::string Objective::writer_of(const std::string& on, long step, double progress) const {
  if (on != "mixed") return on;
  auto share = [&](double from, double to) { return from + progress * (to - from); };
  double gold = share(mix_.gold / mix_.sum(), mix_end_.gold / mix_end_.sum()),
         teacher = share(mix_.teacher / mix_.sum(), mix_end_.teacher / mix_end_.sum());
  double u = uniform({seed_, uint32_t(step), kMix, 0}, 0, 0);
  std::string writer = u < gold ? "gold" : u < gold + teacher ? "teacher" : "student";
  return writer == "teacher" && of_teacher_.method == "gold" ? "gold" : writer;
}

Batch Objective::sequences_of(const std::string& writer, const Batch& gold,
                              const std::vector<TokenPair>& pairs, const Model& student,
                              bool replays, Update& u) const {
  if (writer == "gold") return gold;
  long step = u.step;
  bool own = writer == "student";
  std::vector<std::vector<int>> targets;
  if (own && replays) {  // sequences of earlier updates
    Batch again;
    again.size = gold.size;
    for (int i = 0; i < gold.size; i++) {
      float u = uniform({seed_, uint32_t(step), kReplay, 0}, uint32_t(gold.ids[size_t(i)]), 0);
      const Update::Drawn& k = kept_[std::min(kept_.size() - 1, size_t(u * float(kept_.size())))];
      again.ids.push_back(k.id), targets.push_back(k.target);
    }
    return with_targets(again, pairs, targets, layout_, specials_, max_target_);
  }
  if (own || teacher_sequences_.empty()) {
    DecodeOptions o = decode_options(own ? of_student_ : of_teacher_);
    o.max_length = max_target_ + 1;
    o.key = {seed_, uint32_t(step), own ? kStudentSamples : kTeacherSamples, 0};
    o.sequences = gold.ids;
    targets = decode_batch(own ? student : *teacher_, gold, layout_, o);
  } else {
    for (int id : gold.ids) targets.push_back(teacher_sequences_[size_t(id)]);
  }
  if (own)
    for (size_t i = 0; i < targets.size(); i++) u.drawn.push_back({gold.ids[i], targets[i]});
  Batch b = with_targets(gold, pairs, targets, layout_, specials_, max_target_);
  if (own || teacher_sequences_.empty()) u.sampled += b.label_count;
  return b;
}

std::string Objective::kept() const {
  Json list = Json::array();
  for (const Update::Drawn& k : kept_) list.push_back({k.id, k.target});
  return list.dump();
}

void Objective::restore(const std::string& text, size_t examples, int vocabulary) {
  kept_.clear();
  try {
    for (const Json& k : Json::parse(text)) {
      std::vector<int> id = ids_in(Json::array({k.at(0)}), int(examples));
      kept_.push_back({id[0], ids_in(k.at(1), vocabulary)});
    }
  } catch (const std::exception&) {
    throw std::runtime_error(
        "the student's sequences that it keeps are damaged; --overwrite "
        "starts anew");
  }
}

Tensor Objective::hidden_loss_of(const Term& term, const Model& student, const Outputs& of_student,
                                 const Outputs& of_teacher, const Batch& b, const Update& u) const {
  auto counted = [&](std::vector<int> valid, double rows) {
    Tensor weights =
        reduction_weights(reduction_, valid, int(valid.size()) / b.size, rows, u.sequences,
                          real_of(student.parameters().dtype()), student.device());
    return Counted{std::move(valid), weights};
  };
  Counted of_source, of_target;
  if (!of_student.encoder_hidden.empty())
    of_source = counted(valid_source_rows(b), u.source_rows.at(term.on));
  if (!of_student.hidden.empty()) of_target = counted(valid_rows(b, layout_), u.rows.at(term.on));
  auto matches = hidden_matches(term.layers, student.config(), teacher_->config());
  return scale(
      hidden_term(matches, term.normalize, student, of_student, of_teacher, of_source, of_target),
      term.weight);
}

Tensor Objective::loss_of(const Term& term, const Tensor& student, TeacherSide teacher,
                          const Batch& b, Update& u, bool check) const {
  int vocab = student.cols(), n = student.rows();
  Device device = student.device();
  Tensor logits = reshape(student, {n, vocab});
  std::vector<int> valid = valid_rows(b, layout_);
  double total_rows = u.rows.at(term.on);
  // Masked tokens stand in no rectangle; their recipes have no reduction by sequences.
  int length = layout_ == Layout::masked ? n : n / b.size;
  Tensor weights =
      reduction_weights(reduction_, valid, length, total_rows, u.sequences, logits.dtype, device);
  auto weighted = [&](const Tensor& rows) { return scale(mul(rows, weights), term.weight); };
  if (term.loss == "ce" && b.labels.empty()) {  // a regression
    std::vector<double> values(b.values.begin(), b.values.end());
    return sum(weighted(squared_error(logits, Tensor::from(values, {n, 1}, logits.dtype, device))));
  }
  bool of_answers = term.vocabulary == "answers";
  if (of_answers) logits = columns(logits, answers_);
  Tensor labels;
  if (!b.labels.empty())
    labels = Tensor::from(of_answers ? places(b.labels, answers_) : b.labels, {n}, device);
  if (term.loss == "ce") return sum(weighted(cross_entropy(logits, labels, smoothing_)));
  double temperature = term.temperature;
  if (term.temperature_end > 0) temperature += u.progress * (term.temperature_end - temperature);
  Tensor mask = Tensor::from(valid, {n}, device),
         p = reshape(teacher.logits, {n, -1}).to(logits.dtype), q = logits;
  teacher.logits = {};  // p's alone, where this is the last term
  if (of_answers) p = columns(p, answers_);
  if (term.loss == "mse") return sum(weighted(squared_error(logits, p, temperature)));
  if (is_transport(term.loss)) {
    Transport t = parse_transport(term.loss, term.parameters);
    t.temperature = temperature;
    auto cost = costs_[size_t(&term - terms_.data())];
    TransportLoss found = transport(t, {p, logits, mask, cost, {}, check});
    u.solved.insert(u.solved.end(), found.solved.begin(), found.solved.end());
    if (t.per_row) return sum(weighted(found.loss));
    // Of the micro-batches the sum where the plan has the rows' mass, else the mean by their rows.
    double share = t.mass_of_rows() ? 1 : count_of(valid) / total_rows;
    return scale(sum(found.loss), term.weight * share);
  }
  DivergenceName name = parse_divergence(term.loss);
  DivergenceOptions o;
  o.temperature = temperature, o.check = check, o.mask = mask;
  if (teacher.ids.defined()) q = coarsen(logits, teacher.ids);
  Tensor p_nll, q_nll;  // -log-probabilities of the tokens
  if (term.mixture != "arithmetic" || term.score_term != "none")
    p_nll = cross_entropy(p, labels), q_nll = cross_entropy(logits, labels);
  if (term.mixture != "arithmetic") {
    double weight = name.name == "skew_kl" ? name.parameter : 1 - name.parameter;
    o.mixture =
        exact_mixture(weight, p_nll, term.mixture == "exact" ? q_nll : q_nll.detach(), b.size);
  }
  Tensor rows = divergence(name, std::move(p), q, o), loss = sum(weighted(rows));
  if (term.score_term == "none") return loss;
  Tensor reward = rows;
  if (term.score_term == "mc") reward = sampled_log_ratio(p_nll, q_nll, o.mixture);
  return add(loss, score_term(weighted(reward), q_nll, b.size));
}

Tensor Update::loss() const {
  NoGrad quiet;
  return sum(concat(losses, 0).to(Dtype::f64));
}

Update Objective::prepare(const Model& student, const std::vector<Batch>& batches,
                          const std::vector<TokenPair>& pairs, long step, double progress) {
  Update u;
  u.step = step, u.progress = progress;
  std::set<std::string> writers;
  for (const Term& t : terms_) writers.insert(t.on);
  auto start = std::chrono::steady_clock::now();
  bool replays = step % of_student_.every != 0 && !kept_.empty();  // for all of the update
  for (const Batch& gold : batches) {
    u.sequences += gold.size;
    u.tokens += layout_ == Layout::classify ? gold.size : gold.label_count;
    for (const std::string& on : writers) {
      std::string writer = writer_of(on, step, progress);
      Batch b = sequences_of(writer, gold, pairs, student, replays, u);
      long valid = layout_ == Layout::classify ? b.size : b.label_count;
      u.rows[on] += double(valid);
      if (layout_ != Layout::causal && layout_ != Layout::blocks)
        u.source_rows[on] += count_of(valid_source_rows(b));
      u.batches[on].push_back(std::move(b));
    }
  }
  if (of_student_.every > 1 && !u.drawn.empty()) {
    if (of_student_.replay == 0) kept_.clear();
    kept_.insert(kept_.end(), u.drawn.begin(), u.drawn.end());
    while (of_student_.replay > 0 && kept_.size() > size_t(of_student_.replay)) kept_.pop_front();
  }
  u.sample_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return u;
}

void Objective::accumulate(Model& student, Update& u, bool check) const {
  u.losses.clear(), u.solved.clear();
  uint32_t passes = 0;
  for (const auto& [writer, list] : u.batches) {
    bool wants_teacher = false, wants_hidden = false;
    const Term* last = nullptr;  // that sees logits: it may use up the teacher's
    for (const Term& t : terms_) {
      if (t.on == writer && t.loss != "hidden") last = &t;
      wants_teacher |= t.on == writer && t.loss != "ce";
      wants_hidden |= t.on == writer && t.loss == "hidden";
    }
    uint32_t first = 0;
    for (const Batch& b : list) {
      Inputs in = inputs_of(b, layout_, student.device());
      Outputs of_teacher;  // of its own encoder too, without dropout
      TeacherSide side;
      if (wants_teacher && teacher_rows_ && writer == "teacher") {
        side = teacher_rows_->of(b, student.device());
      } else if (wants_teacher) {
        NoGrad quiet;
        Pass pass;
        of_teacher = teacher_->forward(in, pass, wants_hidden);
        side.logits = std::move(of_teacher.logits);
      }
      Pass pass;
      pass.training = true;
      pass.key = {seed_, uint32_t(u.step), 0, first};
      pass.sites = passes << 12;
      Outputs of_student = student.forward(in, pass, wants_hidden);
      Tensor loss;
      for (const Term& t : terms_) {
        if (t.on != writer) continue;
        auto logit_loss = [&](TeacherSide teacher) {
          return loss_of(t, of_student.logits, std::move(teacher), b, u, check);
        };
        Tensor l = t.loss == "hidden" ? hidden_loss_of(t, student, of_student, of_teacher, b, u)
                   : &t == last       ? logit_loss(std::move(side))
                                      : logit_loss(side);
        loss = loss.defined() ? loss + l : l;
      }
      of_student = of_teacher = {}, side = {};  // frees the logits before backward needs memory
      backward(loss);
      u.losses.push_back(loss.detach());
      first += uint32_t(b.size);
    }
    passes++;
  }
}

}  // namespace retort
