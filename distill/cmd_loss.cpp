// retort loss: one loss over rows of logits in a file, with its gradient.
#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <map>
#include <memory>
#include <optional>

#include "distill/commands.h"
#include "distill/logits.h"
#include "engine/safetensors.h"
#include "losses/divergence.h"
#include "losses/names.h"
#include "losses/transport.h"

namespace retort {
namespace {

struct Arguments {
  std::string name, dtype = "f32", device = "cpu", in, out, zero = "error";
  std::vector<std::string> params;
  std::optional<double> temperature;
};

double number(const std::string& what, const std::string& text) {
  double x = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::runtime_error(what + ": \"" + text + "\" is not a number");
  return x;
}

DivergenceName name_of(const Arguments& a) {
  DivergenceName d = parse_divergence(a.name);
  if (a.params.size() > 1) throw std::runtime_error("--param " + a.params[1] + ": one is enough");
  for (const DivergenceInfo& info : divergences())
    for (const std::string& p : a.params) {
      if (info.name != d.name) continue;
      size_t equals = p.find('=');
      if (info.parameter.empty() || equals == std::string::npos ||
          p.substr(0, equals) != info.parameter)
        throw std::runtime_error("--param " + p + ": loss " + d.name +
                                 (info.parameter.empty()
                                      ? " takes no parameter"
                                      : " takes --param " + info.parameter + "=NUMBER"));
      d.parameter = number("--param " + p, p.substr(equals + 1));
    }
  check_parameter(d);
  return d;
}

using Metadata = std::map<std::string, std::string>;

struct Loss {
  Tensor value;
  Metadata notes;
};

Loss divergence_of(const Arguments& a, const DivergenceName& name, const Tensor& teacher,
                   const Tensor& student, const Tensor& mask) {
  DivergenceOptions o;
  o.temperature = a.temperature.value_or(1);
  o.mask = mask;
  if (a.zero == "ignore") {
    o.zero = ZeroPolicy::ignore;
  } else if (a.zero.rfind("floor:", 0) == 0) {
    o.zero = ZeroPolicy::floor;
    o.floor = number("--zero", a.zero.substr(6));
    if (!(o.floor <= 0 && o.floor > -INFINITY))
      throw std::runtime_error("--zero " + a.zero + ": log p is floored at a number below 0");
  } else if (a.zero != "error") {
    throw std::runtime_error("--zero " + a.zero + ": expected error, floor:-30 or ignore");
  }
  return {divergence(name, teacher, student, o), {}};
}

// With what the solver found: printed, and beside the numbers in the file.
Loss transport_of(const Transport& t, const TransportInputs& in) {
  TransportLoss loss = transport(t, in);
  Loss out{loss.loss, {}};
  if (loss.solved.empty()) return out;
  SinkhornReport r = report(loss.solved[0]);
  fmt::print("{}: {} iterations, marginal errors {:.1e} (rows) {:.1e} (columns), gap {:.1e}\n",
             t.name, r.iterations, r.row_error, r.column_error, r.gap);
  out.notes = {{"iterations", fmt::format("{}", r.iterations)},
               {"row_error", fmt::format("{}", r.row_error)},
               {"column_error", fmt::format("{}", r.column_error)},
               {"gap", fmt::format("{}", r.gap)}};
  return out;
}

void compute(const Arguments& a) {
  check_distinct({{"--in", a.in}, {"--out", a.out}});
  check_loss_name(a.name, logit_losses());
  std::optional<Transport> t;
  DivergenceName name;
  if (is_transport(a.name))
    t = parse_transport(a.name, a.params);
  else
    name = name_of(a);
  if (t && a.zero != "error")
    throw std::runtime_error("--zero: " + a.name + " divides by no probability");
  if (t && a.temperature) t->temperature = *a.temperature;
  Device device = available_device(a.device);
  TensorFile file = load_safetensors(a.in);
  Dtype dtype = a.dtype == "f64" ? Dtype::f64 : Dtype::f32;
  Tensor teacher = logits_in(file, a.in, "teacher", dtype, device),
         student = parameter(logits_in(file, a.in, "student", dtype, device));
  Tensor mask = mask_in(file, a.in, student.dim(0), device), cost;
  if (t && t->cost == ClassCost::matrix) cost = logits_in(file, a.in, "cost", dtype, device);
  Loss loss;
  try {
    if (t) {
      TransportInputs in;
      in.teacher = teacher, in.student = student, in.mask = mask;
      if (cost.defined()) in.cost = std::make_shared<ClassCosts>(cost);
      loss = transport_of(*t, in);
    } else {
      loss = divergence_of(a, name, teacher, student, mask);
    }
    if (loss.value.node && loss.value.size()) backward(sum(loss.value));
  } catch (const std::exception& e) {
    throw std::runtime_error(a.in + ": " + e.what());
  }
  Metadata notes = loss.notes;
  notes["loss"] = a.name;
  notes["temperature"] = fmt::format("{}", t ? t->temperature : a.temperature.value_or(1));
  save_safetensors(a.out, {{"loss", loss.value.detach()}, {"grad", grad(student)}}, notes);
}

}  // namespace

void add_loss_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c =
      app.add_subcommand("loss", "A loss between teacher and student logits, with its gradient");
  std::string names;
  for (const DivergenceInfo& d : divergences())
    names += fmt::format("\n  {:18} {}", d.name + (d.parameter.empty() ? "" : ":" + d.parameter),
                         d.formula);
  for (const TransportInfo& t : transport_losses())
    names += fmt::format("\n  {:25} {}{}", t.name, t.formula,
                         t.parameters.empty() ? "" : "\n" + std::string(28, ' ') + t.parameters);
  c->add_option("--name", a->name, "Which one; p teacher, q student, at the temperature:" + names)
      ->required()
      ->type_name("LOSS");
  c->add_option("--param", a->params, "A parameter by name: beta=0.15; sinkhorn takes several")
      ->type_name("NAME=VALUE");
  c->add_option(
      "--temperature", a->temperature,
      "Both logits are divided by it; no T^2 is applied. Default: 1; of losses of a batch "
      "2");
  c->add_option("--dtype", a->dtype, "What is computed in")
      ->check(CLI::IsMember({"f32", "f64"}))
      ->capture_default_str();
  add_device_option(*c, a->device, "What computes")->capture_default_str();
  c->add_option(
       "--in", a->in,
       "safetensors: teacher and student [N,V], mask [N] (optional; non-zero = kept), cost "
       "[V,V] where it is a parameter")
      ->required()
      ->type_name("FILE");
  c->add_option("--out", a->out,
                "safetensors: loss [N] (of the batch: [1]) and grad [N,V] of its sum")
      ->required()
      ->type_name("FILE");
  c->add_option(
       "--zero", a->zero,
       "Where the teacher's probability is 0 and the loss divides by it: error, floor:-30, ignore")
      ->capture_default_str();
  c->footer(
      "Example:  retort loss --name gjs:0.15 --temperature 2 --dtype f64 --in IN.safetensors --out "
      "OUT.safetensors");
  c->callback([a] { compute(*a); });
}

}  // namespace retort
