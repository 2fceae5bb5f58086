// retort exact: sequence-level divergences beside their step-wise estimates, of tables or of
// models.
#include <fmt/core.h>

#include <memory>

#include "distill/commands.h"
#include "distill/lab.h"
#include "distill/oracle.h"
#include "distill/page.h"
#include "distill/progress.h"

namespace retort {
namespace {

constexpr double kNormal95 = 1.959964;  // standard errors from the mean to an end of its interval

Json or_null(const std::optional<double>& x) { return x ? Json(*x) : Json(); }
std::string or_dash(const std::optional<double>& x) { return x ? fmt::format("{:.4f}", *x) : "-"; }

Json to_json(const Divergences& of) {
  Json j;
  for (const auto& [name, d] : of.all) {
    j[name] = {{"exact", d.exact},
               {"stepwise", d.stepwise},
               {"grad_cosine", or_null(d.grad_cosine)},
               {"grad_norm_ratio", or_null(d.grad_norm_ratio)}};
    if (d.stepwise_exact_mixture) j[name]["stepwise_exact_mixture"] = *d.stepwise_exact_mixture;
    auto interval = [&](const std::string& of, double mean, const std::optional<double>& error) {
      if (error) j[name][of + "low"] = mean - kNormal95 * *error;
      if (error) j[name][of + "high"] = mean + kNormal95 * *error;
    };
    interval("", d.exact, d.error), interval("stepwise_", d.stepwise, d.stepwise_error);
  }
  for (const Estimator& e : of.estimators)
    j["estimators"].push_back({{"target", e.target},
                               {"name", e.name},
                               {"exact", e.truth},
                               {"mean", e.mean},
                               {"bias", e.mean - e.truth},
                               {"std", e.std},
                               {"rows", e.rows},
                               {"sampled_mean", e.sampled}});
  return j;
}

void print_exact(const std::map<std::string, ExactDivergence>& all) {
  fmt::print("{:18} {:>11} {:>11} {:>11}  {:>9} {:>10}\n", "divergence", "exact", "step-wise",
             "difference", "cosine", "norm ratio");
  auto line = [](const std::string& name, const ExactDivergence& d, double step) {
    fmt::print("{:18} {:11.6f} {:11.6f} {:11.2e}", name, d.exact, step, step - d.exact);
  };
  for (const char* name : {"kl", "rkl", "js", "tvd"}) {
    const ExactDivergence& d = all.at(name);
    line(name, d, d.stepwise);
    fmt::print("  {:>9} {:>10}\n", or_dash(d.grad_cosine), or_dash(d.grad_norm_ratio));
    if (d.stepwise_exact_mixture) {
      line("js, exact mixture", d, *d.stepwise_exact_mixture);
      fmt::print("\n");
    }
  }
}

void print_sampled(const std::map<std::string, ExactDivergence>& all) {
  fmt::print("{:18} {:>11} {:>11}   95 % interval\n", "divergence", "estimate", "std error");
  auto line = [](const std::string& name, double mean, double error) {
    fmt::print("{:18} {:11.6f} {:11.6f}   {:.6f} to {:.6f}\n", name, mean, error,
               mean - kNormal95 * error, mean + kNormal95 * error);
  };
  for (std::string name : {"kl", "rkl", "js", "tvd"}) {
    const ExactDivergence& d = all.at(name);
    line(name, d.exact, *d.error);
    if (name == "js" || name == "tvd") line(name + ", step-wise", d.stepwise, *d.stepwise_error);
  }
}

void print_estimators(const std::vector<Estimator>& estimators, const std::string& drawn) {
  fmt::print("\n{:8} {:16} {:>10} {:>10} {:>11} {:>9} {:>8}{}\n", "target", "estimator",
             drawn.empty() ? "estimate" : "exact", "mean", "bias", "std", "rows", drawn);
  for (const Estimator& e : estimators) {
    fmt::print("{:8} {:16} {:10.4f} {:10.4f} {:11.2e} {:9.4f} {:8.2f}", e.target, e.name, e.truth,
               e.mean, e.mean - e.truth, e.std, e.rows);
    fmt::print("{}\n", drawn.empty() ? "" : fmt::format("  {:.4f}", e.sampled));
  }
}

struct Arguments : RecipeArguments, OracleOptions {
  std::string in, student, page;
  bool json = false;
};

// The page of the divergences, with what they are of.
void show(const Arguments& a, const std::string& facts, const Divergences& of, bool enumerated) {
  Json page = {{"title", "Exact"}, {"facts", facts}, {"enumerated", enumerated}};
  page["divergences"] = to_json(of);
  page["estimators"] = page["divergences"].value("estimators", Json::array());
  page["divergences"].erase("estimators");
  for (Json& e : page["estimators"]) {
    double mean = e["mean"], std = e["std"];
    e["low"] = mean - std, e["high"] = mean + std;
  }
  write_page(a.page, "exact", page);
}

// One table of logits in a file.
void of_tables(const Arguments& a) {
  SequenceTables t = load_sequence_tables(a.in);
  Divergences d;
  try {
    d.all = exact_divergences(t);
    if (a.estimators) d.estimators = compare_estimators(t, d.all, a.estimators, a.seed);
  } catch (const std::exception& e) {
    throw std::runtime_error(a.in + ": " + e.what());
  }
  std::string facts = fmt::format("{} letters, length {}: {} prefixes, {} rows of the student",
                                  t.vocab, t.length, t.prefixes(), t.student.dim(0));
  if (a.json) {
    fmt::print("{}\n", to_json(d).dump(2));
  } else {
    fmt::print("{}\n", facts);
    print_exact(d.all);
    if (a.estimators)
      print_estimators(d.estimators, fmt::format("  mean of {} drawn", a.estimators));
  }
  show(a, facts, d, true);
}

// The teacher and a student of a recipe.
void of_models(const Arguments& a) {
  Experiment experiment(load_recipe(a), Access::read);
  Oracle o = oracle(experiment, a.student, a);
  double ended = 1, cut = 1;  // sequences that end within L tokens, and all others
  for (int t = 1; t < o.length; t++) cut *= o.vocab - 1, ended += cut;
  cut *= o.vocab - 1;
  std::string count = o.enumerated ? "all " + thousands(ended + cut) + " sequences"
                                   : thousands(a.samples) + " sequences drawn from each";
  std::string facts =
      fmt::format("{} tokens, at most {} in a sequence: {}{}", o.vocab, o.length, count,
                  a.examples == 1 ? "" : fmt::format(", means over {} examples", a.examples));
  if (a.json) {
    Json j = to_json(o);
    j["sequences"] = {{"tokens", o.vocab},
                      {"length", o.length},
                      {"examples", a.examples},
                      {"drawn", o.enumerated ? 0 : a.samples}};
    fmt::print("{}\n", j.dump(2));
  } else {
    fmt::print("{}\n", facts);
    o.enumerated ? print_exact(o.all) : print_sampled(o.all);
    if (!o.estimators.empty())
      print_estimators(o.estimators,
                       o.enumerated ? fmt::format("  mean of {} drawn", a.estimators) : "");
  }
  show(a, facts, o, o.enumerated);
}

}  // namespace

void add_exact_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand(
      "exact",
      "Sequence-level divergences of two models or tables, beside what step-wise training "
      "computes");
  add_recipe_arguments(*c, *a);
  auto* student = c->add_option("--student", a->student, "Which student of the recipe");
  c->get_option("recipe")->required(false)->needs(student);
  c->add_option("--length", a->length,
                "Sequences are cut after so many tokens; default: as many as can be enumerated")
      ->check(CLI::Range(1, 1'000'000));
  c->add_option("--examples", a->examples, "Means over the first so many of the evaluation split")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  c->add_option("--samples", a->samples,
                "Sequences drawn from each model where they are too many to enumerate")
      ->check(CLI::Range(2, 100'000'000))
      ->capture_default_str();
  auto* in = c->add_option("--in", a->in,
                           "Instead of a recipe, safetensors: F64 logits teacher and student [P,V] "
                           "of all prefixes of length 0 to L-1, by length, then lexicographic; tie "
                           "[P] (optional; equal numbers share a row of the student's parameters)")
                 ->type_name("FILE");
  for (const char* o : {"recipe", "--student", "--length", "--examples", "--samples", "--device"})
    in->excludes(c->get_option(o));
  c->add_option("--estimators", a->estimators,
                "Also compare estimators, drawing so many sequences for each")
      ->check(CLI::Range(1, 100'000'000));
  c->add_option("--seed", a->seed, "Of the draws")->capture_default_str();
  c->add_flag("--json", a->json, "One JSON object");
  add_page_option(*c, a->page);
  c->footer(
      "Example:  retort exact --in tests/references/exact.safetensors --estimators 1000 -o "
      "exact.html\n"
      "          retort exact recipes/demo.toml --student js --length 8");
  c->callback([a] {
    if (a->in.empty() && a->path.empty()) throw CLI::RequiredError("RECIPE or --in");
    check_distinct({{"--in", a->in}, {"--page", a->page}});
    check_writable(a->page, kPageBegins);
    a->in.empty() ? of_models(*a) : of_tables(*a);
  });
}

}  // namespace retort
