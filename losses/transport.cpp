// Registry and parsing of the transport losses, and their operators.
#include "losses/transport.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "engine/suggest.h"
#include "losses/divergence.h"
#include "losses/uld.h"

namespace retort {
namespace {

constexpr const char* kPublished = "sinkhorn:published";
constexpr const char* kUnit = "sinkhorn:unit";
constexpr const char* kDebiased = "sinkhorn_debiased";
constexpr const char* kUnbalanced = "sinkhorn_unbalanced";
constexpr const char* kSample = "sinkhorn_sample";
constexpr const char* kSamplePublished = "sinkhorn_sample:published";
constexpr const char* kUld = "uld";

// ---- Names and parameters

std::vector<std::string> keys_of(const TransportInfo& info) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < info.parameters.size();) {
    size_t equals = info.parameters.find('=', i);
    keys.push_back(info.parameters.substr(i, equals - i));
    size_t space = info.parameters.find(' ', equals);
    i = space == std::string::npos ? info.parameters.size() : space + 1;
  }
  return keys;
}

const TransportInfo& find(const std::string& name) {
  std::vector<std::string> names;
  std::string list;
  for (const TransportInfo& info : transport_losses()) {
    if (info.name == name) return info;
    names.push_back(info.name);
    list += (list.empty() ? "" : ", ") + info.name;
  }
  fail("no transport loss \"" + name + "\"; there are: " + list + did_you_mean(name, names));
}

template <class T>
T number(const std::string& at, const std::string& text) {
  T x{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
  ENSURE(error == std::errc() && end == text.data() + text.size(),
         at + ": \"" + text + "\" is not a " + (std::is_integral_v<T> ? "whole " : "") + "number");
  return x;
}

template <class T>
T one_of(const std::string& at, const std::string& text,
         const std::vector<std::pair<const char*, T>>& choices) {
  std::string list;
  std::vector<std::string> names;
  for (const auto& [name, value] : choices) {
    if (text == name) return value;
    list += (list.empty() ? "" : ", ") + std::string(name);
    names.push_back(name);
  }
  fail(at + ": no \"" + text + "\"; there are " + list + did_you_mean(text, names));
}

void set(Transport& t, const std::string& key, const std::string& text) {
  std::string at = t.name + ": " + key;
  SinkhornOptions& o = t.solver;
  using Value = TransportValue;
  using Gradient = TransportGradient;
  if (key == "eps") o.eps = number<double>(at, text);
  if (key == "eps_start") o.eps_start = number<double>(at, text);
  if (key == "tol") o.tol = number<double>(at, text);
  if (key == "rho") o.rho = number<double>(at, text);
  if (key == "scale") t.scale = number<double>(at, text);
  if (key == "iters") o.iters = number<int>(at, text);
  if (key == "top") t.top = number<int>(at, text);
  if (key == "value")
    o.value =
        one_of<Value>(at, text, {{"sharp", Value::sharp}, {"regularised", Value::regularised}});
  if (key == "gradient")
    o.gradient = one_of<Gradient>(at, text,
                                  {{"unrolled", Gradient::unrolled},
                                   {"envelope", Gradient::envelope},
                                   {"implicit", Gradient::implicit}});
  if (key == "ground")
    t.ground = one_of<Ground>(at, text, {{"l1", Ground::l1}, {"squared_l2", Ground::squared_l2}});
  if (key == "cost")
    t.cost = one_of<ClassCost>(at, text,
                               {{"zero_one", ClassCost::zero_one},
                                {"abs", ClassCost::abs},
                                {"matrix", ClassCost::matrix}});
}

void check_ranges(const Transport& t) {
  const SinkhornOptions& o = t.solver;
  auto positive = [&](const char* key, double x) {
    ENSURE(x > 0 && std::isfinite(x),
           fmt::format("{}: {} must be positive, got {}", t.name, key, x));
  };
  positive("eps", o.eps);
  ENSURE(o.eps_start == 0 || (o.eps_start > o.eps && std::isfinite(o.eps_start)),
         fmt::format("{}: eps_start must be above eps, {}, to which it is halved, or 0, got {}",
                     t.name, o.eps, o.eps_start));
  if (t.name == kUnbalanced) positive("rho", o.rho);
  ENSURE(std::isfinite(t.scale), fmt::format("{}: scale must be finite, got {}", t.name, t.scale));
  ENSURE(o.iters >= 1, fmt::format("{}: iters must be at least 1, got {}", t.name, o.iters));
  ENSURE(t.top >= 0, fmt::format("{}: top must not be negative, got {}", t.name, t.top));
  ENSURE(o.tol >= 0 && std::isfinite(o.tol),
         fmt::format("{}: tol must not be negative, got {}", t.name, o.tol));
  ENSURE(t.name != kDebiased || o.value == TransportValue::regularised,
         t.name +
             ": value must be regularised: the halves that are taken off are its values at "
             "equal sides");
  check_gradient(t.name, o.value, o.gradient);
}

// ---- The losses

[[noreturn]] void explain(const std::string& name, const TransportInputs& in,
                          const std::vector<int>& kept) {
  NoGrad quiet;
  for (int row : kept)
    for (auto [who, logits] : {std::pair<const char*, const Tensor*>{"teacher", &in.teacher},
                               {"student", &in.student}}) {
      std::vector<double> x = slice(*logits, 0, row, 1).values();
      std::string at = fmt::format("{}: row {}", name, row);
      for (size_t v = 0; v < x.size(); v++)
        if (std::isnan(x[v]) || x[v] == INFINITY)
          fail(fmt::format("{}, token {}: the {}'s logit is {}", at, v, who,
                           std::isnan(x[v]) ? "NaN" : "+inf"));
      if (*std::max_element(x.begin(), x.end()) == -INFINITY)
        fail(fmt::format("{}: all logits of the {} are -inf", at, who));
    }
  fail(name + ": the loss overflows; use a larger eps or float64");
}

// Rows that count.
std::vector<int> kept_rows(const std::string& name, const Tensor& mask, int N) {
  std::vector<int> kept;
  if (mask.defined()) {
    ENSURE(mask.shape == Shape{N} && mask.dtype == Dtype::i32,
           name + ": expected an i32 mask (N), got " + text(mask.shape));
    std::vector<int> m = mask.ints();
    for (int row = 0; row < N; row++)
      if (m[size_t(row)]) kept.push_back(row);
  } else {
    kept.resize(size_t(N));
    std::iota(kept.begin(), kept.end(), 0);
  }
  return kept;
}

// Transport between the rows of a batch, each of weight `mass`.
Sinkhorn between_rows(const Tensor& cost, double mass, const SinkhornOptions& o) {
  Tensor weights = Tensor::full({1, cost.dim(0)}, std::log(mass), cost.dtype, cost.device());
  return sinkhorn(cost, weights, weights, o);
}

TransportLoss of_batch(const Transport& t, const TransportInputs& in,
                       const std::vector<int>& kept) {
  ENSURE(!kept.empty(), t.name + ": a batch of 0 rows" +
                            (in.mask.defined() && in.student.dim(0) ? ": all are masked" : ""));
  auto cost = [&](const Tensor& student, const Tensor& teacher) {
    return pairwise_cost(t.ground, student, teacher, t.temperature, kept);
  };
  SinkhornOptions o = t.solver;
  o.start = in.start;
  bool published = t.name == kPublished;
  TransportLoss out;
  out.solved.push_back(
      between_rows(cost(in.student, in.teacher), published ? 1 : 1.0 / double(kept.size()), o));
  out.loss = out.solved[0].value;
  if (published) out.loss = scale(out.loss, t.scale);
  if (t.name != kDebiased) return out;
  o.start = {};
  for (const Tensor& side : {in.student, in.teacher}) {
    out.solved.push_back(between_rows(cost(side, {}), 1.0 / double(kept.size()), o));
    out.loss = out.loss - scale(out.solved.back().value, 0.5);
  }
  return out;
}

TransportLoss of_rows(const Transport& t, const TransportInputs& in) {
  if (t.name == kUld) return {sorted_distance(in.student, in.teacher, t.temperature), {}};
  if (t.name == kSamplePublished) {  // the published solver on batches of one: scale |q - p|_1
    DivergenceOptions o;
    o.temperature = t.temperature, o.check = false;
    return {scale(divergence({"tvd"}, in.teacher, in.student, o), 2 * t.scale), {}};
  }
  auto log_probabilities = [&](const Tensor& x) {
    return log_softmax(scale(x, 1 / t.temperature));
  };
  Tensor q = log_probabilities(in.student), p = log_probabilities(in.teacher);
  bool given = t.cost == ClassCost::matrix;
  ENSURE(!given || (in.cost && in.cost->size() == q.cols()),
         fmt::format("{}: cost=matrix: expected costs ({}, {}), got {}", t.name, q.cols(), q.cols(),
                     in.cost ? fmt::format("({0}, {0})", in.cost->size()) : "none"));
  ClassCosts named(given ? ClassCost::zero_one : t.cost, given ? 0 : q.cols());
  const ClassCosts& costs = given ? *in.cost : named;
  Coarse c = t.top ? coarse(q, p, t.top, costs) : Coarse{q, p, costs.matrix(q.dtype, q.device())};
  Sinkhorn solved = sinkhorn(c.cost, c.student, c.teacher, t.solver);
  return {solved.value, {solved}};
}

// `f` on the rows that count; the others get the loss 0.
TransportLoss on_kept_rows(const Transport& t, const TransportInputs& in,
                           const std::vector<int>& kept) {
  int N = in.student.dim(0), K = int(kept.size());
  ENSURE(N > 0, t.name + ": a batch of 0 rows");
  if (K == N) return of_rows(t, in);
  if (K == 0) return {Tensor::zeros({N}, in.student.dtype, in.student.device()), {}};
  Tensor index = Tensor::from(kept, {K}, in.student.device());
  TransportInputs some = in;
  some.student = embedding(in.student, index), some.teacher = embedding(in.teacher, index);
  TransportLoss out = of_rows(t, some);
  std::vector<int> place(size_t(N), K);  // of each row among the kept ones, behind which stands a 0
  for (int i = 0; i < K; i++) place[size_t(kept[size_t(i)])] = i;
  Tensor table = concat(
      {reshape(out.loss, {K, 1}), Tensor::zeros({1, 1}, out.loss.dtype, out.loss.device())}, 0);
  out.loss = reshape(embedding(table, Tensor::from(place, {N}, table.device())), {N});
  return out;
}

}  // namespace

const std::vector<TransportInfo>& transport_losses() {
  static const std::vector<TransportInfo> infos = {
      {kPublished, "scale <P, C>, C_ij = |q_i - p_j|_1, P of mass N as SinKD's code computes it",
       "eps=0.1 iters=20 scale=0.001 gradient=unrolled"},
      {kUnit, "<P, C>, or <P, C> + eps KL(P | a b^T), weights 1/N",
       "ground=l1 eps=0.1 eps_start=0 iters=20 tol=0 value=sharp gradient=unrolled"},
      {kDebiased, "OT(q, p) - OT(q, q) / 2 - OT(p, p) / 2",
       "ground=l1 eps=0.1 eps_start=0 iters=20 tol=0 value=regularised gradient=unrolled"},
      {kUnbalanced, "... + rho KL(P 1 | a) + rho KL(P^T 1 | b)",
       "ground=l1 eps=0.1 eps_start=0 iters=20 tol=0 value=sharp gradient=unrolled rho=1"},
      {kSample, "transport of each q to its p over the classes",
       "cost=zero_one eps=0.1 eps_start=0 iters=20 value=sharp gradient=unrolled top=0", true, 1},
      {kSamplePublished, "0.001 |q - p|_1", "", true, 1},
      {kUld, "sum |q_(r) - p_(r)| of sorted probabilities", "", true, 1},
  };
  return infos;
}

bool is_transport(const std::string& name) {
  const std::vector<TransportInfo>& all = transport_losses();
  return std::any_of(all.begin(), all.end(),
                     [&](const TransportInfo& info) { return info.name == name; });
}

Transport parse_transport(const std::string& name, const std::vector<std::string>& parameters) {
  const TransportInfo& info = find(name);
  Transport t;
  t.name = name, t.temperature = info.temperature, t.per_row = info.per_row;
  if (name == kSamplePublished) t.scale = 0.001;
  t.solver.symmetric = name == kDebiased;
  std::vector<std::string> keys = keys_of(info);
  auto take = [&](const std::string& parameter) {
    size_t equals = parameter.find('=');
    std::string key = parameter.substr(0, equals);
    if (equals == std::string::npos || std::find(keys.begin(), keys.end(), key) == keys.end())
      fail(name + ": no parameter \"" + parameter + "\"; " +
           (keys.empty() ? "it takes none" : "it takes, with their defaults, " + info.parameters) +
           did_you_mean(key, keys));
    set(t, key, parameter.substr(equals + 1));
    return key;
  };
  for (size_t i = 0; i < info.parameters.size();) {
    size_t space = std::min(info.parameters.find(' ', i), info.parameters.size());
    take(info.parameters.substr(i, space - i));
    i = space + 1;
  }
  bool iters = false;
  for (const std::string& p : parameters) iters |= take(p) == "iters";
  if (t.solver.tol > 0 && !iters) t.solver.iters = 10000;
  check_ranges(t);
  return t;
}

TransportLoss transport(const Transport& t, const TransportInputs& given) {
  TransportInputs in = given;
  const std::string& name = t.name;
  in.teacher = contiguous(cast(in.teacher.detach(), real_of(in.teacher.dtype)));
  in.student = contiguous(cast(in.student, real_of(in.student.dtype)));
  ENSURE(in.teacher.rank() == 2 && in.student.rank() == 2 && in.teacher.dtype == in.student.dtype &&
             in.teacher.dim(0) == in.student.dim(0) &&
             (name == kUld || in.teacher.cols() == in.student.cols()),
         name + ": expected teacher and student logits (N, V) of one type, got " +
             text(in.teacher.shape) + " and " + text(in.student.shape));
  ENSURE(in.student.cols() > 1 && in.teacher.cols() > 1,
         name +
             ": logits of one class (a regression head?): their softmax is 1 and the loss 0, "
             "whatever they are; match the outputs themselves");
  ENSURE(t.temperature > 0 && std::isfinite(t.temperature),
         fmt::format("{}: the temperature must be positive, got {}", name, t.temperature));
  check_ranges(t);
  std::vector<int> kept = kept_rows(name, in.mask, in.student.dim(0));
  TransportLoss out = find(name).per_row ? on_kept_rows(t, in, kept) : of_batch(t, in, kept);
  if (!in.check) return out;
  for (double x : out.loss.values())
    if (!std::isfinite(x)) explain(name, in, kept);
  return out;
}

}  // namespace retort
