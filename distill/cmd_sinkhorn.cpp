// retort sinkhorn: what eps and the number of iterations do to a batch-wise Sinkhorn loss.
#include <fmt/core.h>

#include <cmath>
#include <memory>
#include <numeric>

#include "distill/commands.h"
#include "distill/logits.h"
#include "distill/toml.h"
#include "losses/pairwise.h"
#include "losses/transport.h"

namespace retort {
namespace {

struct Arguments {
  std::string in, out, device = "cpu";
  std::vector<double> eps{1, 0.1, 0.05, 0.01};
  std::vector<int> iters{5, 20, 100, 1000};
  double temperature = 2;
  bool probabilities = false, plan = false, json = false;
};

// Distributions as logits: their logarithms. Rows must add up to 1.
Tensor logarithms(const std::string& path, const char* name, const Tensor& p) {
  std::vector<double> x = p.values();
  size_t V = size_t(p.cols());
  for (size_t i = 0; i < x.size(); i++)
    if (!(x[i] >= 0))
      throw std::runtime_error(fmt::format("{}: tensor {}: row {}, class {}: {} is no probability",
                                           path, name, i / V, i % V, x[i]));
  for (size_t i = 0; i < x.size(); i += V) {
    double sum = std::accumulate(&x[i], &x[i] + V, 0.0);
    if (std::abs(sum - 1) > 1e-4)
      throw std::runtime_error(
          fmt::format("{}: tensor {}: row {} adds up to {}, not 1", path, name, i / V, sum));
  }
  return log(p);
}

struct Gradient {
  double loss;
  std::vector<double> of_logits;
  Sinkhorn solved;
};
Gradient gradient(const Tensor& teacher, const Tensor& logits, double T, double eps, int iters,
                  TransportValue value, TransportGradient mode) {
  Transport t = parse_transport("sinkhorn:unit");
  t.temperature = T;
  t.solver.eps = eps, t.solver.iters = iters, t.solver.value = value, t.solver.gradient = mode;
  TransportInputs in;
  in.teacher = teacher, in.student = parameter(logits);
  TransportLoss loss = transport(t, in);
  backward(loss.loss);
  return {loss.loss.item(), grad(in.student).values(), loss.solved[0]};
}

double cosine(const std::vector<double>& x, const std::vector<double>& y) {
  auto dot = [](const auto& a, const auto& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  return dot(x, y) / std::sqrt(dot(x, x) * dot(y, y));
}

void print_plan(const Tensor& plan) {
  std::vector<double> p = plan.values();
  int B = plan.cols();
  for (int i = 0; i < B; i++) {
    for (int j = 0; j < B; j++) fmt::print(" {:.4f}", p[size_t(i * B + j)]);
    fmt::print("\n");
  }
}

void sweep(const Arguments& a) {
  using Value = TransportValue;
  using Mode = TransportGradient;
  Device device = available_device(a.device);
  TensorFile file = load_safetensors(a.in);
  Tensor teacher = logits_in(file, a.in, "teacher", Dtype::f64, device),
         student = logits_in(file, a.in, "student", Dtype::f64, device);
  if (a.probabilities) {
    teacher = logarithms(a.in, "teacher", teacher);
    student = logarithms(a.in, "student", student);
  }
  double T = a.probabilities ? 1 : a.temperature;
  Json rows = Json::array();
  if (!a.json)
    fmt::print("{:>7} {:>6} {:>10} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "eps", "iters",
               "<P, C>", "regularised", "debiased", "rows off", "cols off", "gap", "envelope",
               "implicit");
  Tensor last;
  for (double eps : a.eps)
    for (int iters : a.iters) {
      auto of = [&](Value value, Mode mode) {
        return gradient(teacher, student, T, eps, iters, value, mode);
      };
      Gradient sharp = of(Value::sharp, Mode::unrolled),
               whole = of(Value::regularised, Mode::unrolled);
      double envelope = cosine(of(Value::regularised, Mode::envelope).of_logits, whole.of_logits),
             implicit = cosine(of(Value::sharp, Mode::implicit).of_logits, sharp.of_logits);
      Transport t = parse_transport("sinkhorn_debiased");
      t.temperature = T, t.solver.eps = eps, t.solver.iters = iters;
      TransportInputs in;
      in.teacher = teacher, in.student = student;
      double debiased = transport(t, in).loss.item();
      SinkhornReport r = report(sharp.solved);
      last = plan(sharp.solved);
      if (!a.json) {
        fmt::print("{:7} {:6} {:10.6f} {:11.6f} {:9.6f} {:9.1e} {:9.1e} {:9.1e} {:9.6f} {:9.6f}\n",
                   eps, iters, sharp.loss, whole.loss, debiased, r.row_error, r.column_error, r.gap,
                   envelope, implicit);
        if (a.plan) print_plan(last);
      }
      rows.push_back({{"eps", eps},
                      {"iters", iters},
                      {"sharp", sharp.loss},
                      {"regularised", whole.loss},
                      {"debiased", debiased},
                      {"row_error", r.row_error},
                      {"column_error", r.column_error},
                      {"gap", r.gap},
                      {"envelope_cosine", envelope},
                      {"implicit_cosine", implicit}});
      if (a.plan) rows.back()["plan"] = last.values();
    }
  if (a.json) fmt::print("{}\n", rows.dump(2));
  if (!a.out.empty()) save_safetensors(a.out, {{"plan", reshape(last, {last.dim(1), -1})}});
}

}  // namespace

void add_sinkhorn_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand("sinkhorn",
                                   "A batch-wise Sinkhorn loss over a sweep of eps and iterations");
  c->add_option("--in", a->in, "safetensors: teacher and student [N,V], logits")->required();
  c->add_flag("--probabilities", a->probabilities, "They are distributions; temperature 1");
  c->add_option("--temperature", a->temperature, "Both logits are divided by it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_option("--eps", a->eps, "Weights of the entropic term")
      ->delimiter(',')
      ->capture_default_str();
  c->add_option("--iters", a->iters, "Iterations")->delimiter(',')->capture_default_str();
  c->add_flag("--plan", a->plan, "Print each plan: students down, teachers across");
  c->add_option("--out", a->out, "safetensors: plan [N,N] of the last row of the table");
  c->add_flag("--json", a->json, "One JSON list");
  add_device_option(*c, a->device, "What computes")->capture_default_str();
  c->footer(
      "Columns: value <P, C> and with the entropic term; debiased; L1 errors of the marginals;\n"
      "duality gap; cosines to the unrolled gradient in the student's logits: envelope of the\n"
      "regularised value, implicit of <P, C>. 1: the iterations have converged.\n"
      "Example:  retort sinkhorn --in IN.safetensors --eps 0.1,0.01 --iters 20,200");
  c->callback([a] { sweep(*a); });
}

}  // namespace retort
