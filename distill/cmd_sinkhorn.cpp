// retort sinkhorn: what eps, the number of iterations and a warm start do to a batch-wise Sinkhorn
// loss.
#include <fmt/core.h>

#include <cmath>
#include <memory>
#include <numeric>

#include "distill/commands.h"
#include "distill/lab.h"
#include "distill/logits.h"
#include "distill/page.h"
#include "losses/pairwise.h"
#include "losses/transport.h"

namespace retort {
namespace {

struct Arguments {
  std::string in, out, page, device = "cpu";
  std::vector<double> eps{1, 0.1, 0.05, 0.01};
  std::vector<int> iters{5, 20, 100, 1000};
  double temperature = 2, warm = 0;
  bool probabilities = false, plan = false, json = false;
};

// Distributions as logits: their logarithms. Rows that count must add up to 1.
Tensor logarithms(const std::string& path, const char* name, const Tensor& p, const Tensor& mask) {
  std::vector<double> x = p.values();
  std::vector<int> counts = mask.defined() ? mask.ints() : std::vector<int>(size_t(p.rows()), 1);
  size_t V = size_t(p.cols());
  for (size_t i = 0; i < x.size(); i++)
    if (counts[i / V] && !(x[i] >= 0))
      throw std::runtime_error(fmt::format("{}: tensor {}: row {}, class {}: {} is no probability",
                                           path, name, i / V, i % V, x[i]));
  for (size_t i = 0; i < x.size(); i += V) {
    if (!counts[i / V]) continue;
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
Gradient gradient(const Transport& t, TransportInputs in) {
  in.student = parameter(in.student);
  TransportLoss loss = transport(t, in);
  backward(loss.loss);
  return {loss.loss.item(), grad(in.student).values(), loss.solved[0]};
}

// Iterations until both marginals are within a tolerance, 10,000 at most.
struct Counts {
  int cold = 0, warm = 0;  // from zeros; from what the eps before led to
};
Counts count_iterations(Transport t, TransportInputs in, double tol, Tensor& potential) {
  t.solver.tol = tol, t.solver.iters = 10000;
  Counts c;
  c.cold = transport(t, in).solved[0].iterations;
  in.start = potential;
  Sinkhorn warm = transport(t, in).solved[0];
  c.warm = warm.iterations, potential = warm.g;
  return c;
}

double cosine(const std::vector<double>& x, const std::vector<double>& y) {
  auto dot = [](const auto& a, const auto& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  double norms = std::sqrt(dot(x, x) * dot(y, y));
  return norms > 0 ? dot(x, y) / norms : double(NAN);
}

void print_plan(const Tensor& plan) {
  std::vector<double> p = plan.values();
  int B = plan.cols();
  for (int i = 0; i < B; i++) {
    for (int j = 0; j < B; j++) fmt::print(" {:.4f}", p[size_t(i * B + j)]);
    fmt::print("\n");
  }
}

// Of each plan a page shows the first rows and columns: a screen has room for no more.
constexpr int most_rows = 32;

// The page of a sweep: the table's rows in its order, each with its plan.
void show(const Arguments& a, const TransportInputs& in, const Json& rows,
          const std::vector<Tensor>& plans) {
  if (a.page.empty()) return;
  int B = plans.at(0).cols(), n = std::min(B, most_rows);
  Json page = {{"title", "Sinkhorn"}, {"rows", rows}, {"eps", a.eps}, {"iters", a.iters}};
  page["facts"] = fmt::format("{} rows, {} classes, temperature {}; cost: L1 distances of rows", B,
                              in.student.cols(), a.probabilities ? 1 : a.temperature);
  page["batch"] = B;
  double most = 0;
  for (size_t r = 0; r < plans.size(); r++) {
    std::vector<double> p = plans[r].values();
    Json& row = page["rows"][r];
    row["gap_size"] = std::abs(row["gap"].get<double>());
    Json& plan = row["plan"] = Json::array();
    for (int i = 0; i < n; i++) {
      plan.push_back(Json::array());
      for (int j = 0; j < n; j++) {
        double mass = p[size_t(i * B + j)];
        plan.back().push_back(rounded(mass)), most = std::max(most, mass);
      }
    }
  }
  page["most"] = rounded(most);
  write_page(a.page, "sinkhorn", page);
}

void sweep(const Arguments& a) {
  check_distinct({{"--in", a.in}, {"--out", a.out}, {"--page", a.page}});
  check_writable(a.page, kPageBegins);
  using Value = TransportValue;
  using Mode = TransportGradient;
  Device device = available_device(a.device);
  TensorFile file = load_safetensors(a.in);
  TransportInputs in;
  in.teacher = logits_in(file, a.in, "teacher", Dtype::f64, device);
  in.student = logits_in(file, a.in, "student", Dtype::f64, device);
  in.mask = mask_in(file, a.in, in.student.dim(0), device);
  if (a.probabilities) {
    in.teacher = logarithms(a.in, "teacher", in.teacher, in.mask);
    in.student = logarithms(a.in, "student", in.student, in.mask);
  }
  Json rows = Json::array();
  if (!a.json)
    fmt::print("{:>7} {:>6} {:>10} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "eps", "iters",
               "<P, C>", "regularised", "debiased", "rows off", "cols off", "gap", "envelope",
               "implicit");
  Tensor last, potential;
  std::vector<Tensor> plans;
  std::string table =
      fmt::format("\nIterations until both marginals are within {}\n{:>7} {:>10} {:>10} {:>6}\n",
                  a.warm, "eps", "from 0", "warm start", "saved");
  for (double eps : a.eps) {
    auto named = [&](const char* name) {
      Transport t = parse_transport(name);
      t.temperature = a.probabilities ? 1 : a.temperature, t.solver.eps = eps;
      return t;
    };
    Counts counts;
    if (a.warm > 0) counts = count_iterations(named("sinkhorn:unit"), in, a.warm, potential);
    table += fmt::format("{:7} {:10} {:10} {:6}\n", eps, counts.cold, counts.warm,
                         counts.cold - counts.warm);
    for (int iters : a.iters) {
      auto of = [&](Value value, Mode mode) {
        Transport t = named("sinkhorn:unit");
        t.solver.iters = iters, t.solver.value = value, t.solver.gradient = mode;
        return gradient(t, in);
      };
      Gradient sharp = of(Value::sharp, Mode::unrolled),
               whole = of(Value::regularised, Mode::unrolled);
      double envelope = cosine(of(Value::regularised, Mode::envelope).of_logits, whole.of_logits),
             implicit = NAN;
      try {
        implicit = cosine(of(Value::sharp, Mode::implicit).of_logits, sharp.of_logits);
      } catch (const std::invalid_argument&) {  // it has not converged; the others are right
      }
      Transport t = named("sinkhorn_debiased");
      t.solver.iters = iters;
      double debiased = transport(t, in).loss.item();
      SinkhornReport r = report(sharp.solved);
      last = plan(sharp.solved);
      if (!a.page.empty()) plans.push_back(last);
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
      if (a.warm > 0)
        rows.back()["iterations"] = counts.cold, rows.back()["warm_iterations"] = counts.warm;
    }
  }
  if (a.warm > 0 && !a.json) fmt::print("{}", table);
  if (a.json) fmt::print("{}\n", rows.dump(2));
  if (!a.out.empty()) save_safetensors(a.out, {{"plan", reshape(last, {last.dim(1), -1})}});
  show(a, in, rows, plans);
}

}  // namespace

void add_sinkhorn_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand("sinkhorn",
                                   "A batch-wise Sinkhorn loss over a sweep of eps and iterations");
  c->add_option(
       "--in", a->in,
       "safetensors: teacher and student [N,V], logits; mask [N] (optional; non-zero = kept)")
      ->required()
      ->type_name("FILE");
  c->add_flag("--probabilities", a->probabilities, "They are distributions; temperature 1");
  c->add_option("--temperature", a->temperature, "Both logits are divided by it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_option("--eps", a->eps, "Weights of the entropic term")
      ->delimiter(',')
      ->capture_default_str();
  c->add_option("--iters", a->iters, "Iterations")->delimiter(',')->capture_default_str();
  c->add_option(
       "--warm-start", a->warm,
       "Also count the iterations until both marginals are within this tolerance, each eps "
       "begun with the potentials of the one before")
      ->check(CLI::PositiveNumber)
      ->type_name("TOL");
  c->add_flag("--plan", a->plan, "Print each plan: students down, teachers across");
  c->add_option("--out", a->out, "safetensors: plan [N,N] of the last row of the table")
      ->type_name("FILE");
  c->add_flag("--json", a->json, "One JSON list");
  add_page_option(*c, a->page);
  add_device_option(*c, a->device, "What computes")->capture_default_str();
  c->footer(
      "Columns: value <P, C> and with the entropic term; debiased; L1 errors of the marginals;\n"
      "duality gap; cosines to the unrolled gradient in the student's logits: envelope of the\n"
      "regularised value, implicit of <P, C>. 1: the iterations have converged;\n"
      "nan: the implicit gradient has not, or a gradient is 0.\n"
      "Example:  retort sinkhorn --in IN.safetensors --eps 1,0.1,0.01 --iters 20,200 --warm-start "
      "1e-6 -o sinkhorn.html");
  c->callback([a] { sweep(*a); });
}

}  // namespace retort
