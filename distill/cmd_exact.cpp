// retort exact: sequence-level divergences by enumeration beside their step-wise estimates.
#include <fmt/core.h>

#include <memory>

#include "distill/commands.h"
#include "distill/estimators.h"
#include "distill/toml.h"

namespace retort {
namespace {

Json or_null(const std::optional<double>& x) { return x ? Json(*x) : Json(); }
std::string or_dash(const std::optional<double>& x) { return x ? fmt::format("{:.4f}", *x) : "-"; }

Json to_json(const std::map<std::string, ExactDivergence>& all,
             const std::vector<Estimator>& estimators) {
  Json j;
  for (const auto& [name, d] : all) {
    j[name] = {{"exact", d.exact},
               {"stepwise", d.stepwise},
               {"grad_cosine", or_null(d.grad_cosine)},
               {"grad_norm_ratio", or_null(d.grad_norm_ratio)}};
    if (d.stepwise_exact_mixture) j[name]["stepwise_exact_mixture"] = *d.stepwise_exact_mixture;
  }
  for (const Estimator& e : estimators)
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

void print(const SequenceTables& t, const std::map<std::string, ExactDivergence>& all) {
  fmt::print("{} letters, length {}: {} prefixes, {} rows of the student\n", t.vocab, t.length,
             t.prefixes(), t.student.dim(0));
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

void print(const std::vector<Estimator>& estimators, int samples) {
  fmt::print("\n{:8} {:16} {:>10} {:>10} {:>11} {:>9} {:>8}  mean of {} drawn\n", "target",
             "estimator", "exact", "mean", "bias", "std", "rows", samples);
  for (const Estimator& e : estimators)
    fmt::print("{:8} {:16} {:10.4f} {:10.4f} {:11.2e} {:9.4f} {:8.2f}  {:.4f}\n", e.target, e.name,
               e.truth, e.mean, e.mean - e.truth, e.std, e.rows, e.sampled);
}

}  // namespace

void add_exact_command(CLI::App& app) {
  struct Arguments {
    std::string in;
    int samples = 0;
    uint64_t seed = 1;
    bool json = false;
  };
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand(
      "exact",
      "Sequence-level divergences by enumeration, beside what step-wise training computes");
  c->add_option("--in", a->in,
                "safetensors: F64 logits teacher and student [P,V] of all prefixes of length 0 to "
                "L-1, by length, then lexicographic; tie [P] (optional; equal numbers share a row "
                "of the student's parameters)")
      ->required();
  c->add_option("--estimators", a->samples,
                "Also compare estimators, drawing so many sequences for each")
      ->check(CLI::Range(1, 100'000'000));
  c->add_option("--seed", a->seed, "Of the draws")->capture_default_str();
  c->add_flag("--json", a->json, "One JSON object");
  c->footer("Example:  retort exact --in tests/references/exact.safetensors");
  c->callback([a] {
    SequenceTables t = load_sequence_tables(a->in);
    std::map<std::string, ExactDivergence> all;
    std::vector<Estimator> estimators;
    try {
      all = exact_divergences(t);
      if (a->samples) estimators = compare_estimators(t, all, a->samples, a->seed);
    } catch (const std::exception& e) {
      throw std::runtime_error(a->in + ": " + e.what());
    }
    if (a->json) {
      fmt::print("{}\n", to_json(all, estimators).dump(2));
      return;
    }
    print(t, all);
    if (!estimators.empty()) print(estimators, a->samples);
  });
}

}  // namespace retort
