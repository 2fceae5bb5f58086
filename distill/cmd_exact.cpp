// retort exact: sequence-level divergences by enumeration beside their step-wise estimates.
#include <fmt/core.h>

#include <memory>

#include "distill/commands.h"
#include "distill/exact.h"
#include "distill/toml.h"

namespace retort {
namespace {

Json or_null(const std::optional<double>& x) { return x ? Json(*x) : Json(); }
std::string or_dash(const std::optional<double>& x) { return x ? fmt::format("{:.4f}", *x) : "-"; }

Json to_json(const std::map<std::string, ExactDivergence>& all) {
  Json j;
  for (const auto& [name, d] : all) {
    j[name] = {{"exact", d.exact},
               {"stepwise", d.stepwise},
               {"grad_cosine", or_null(d.grad_cosine)},
               {"grad_norm_ratio", or_null(d.grad_norm_ratio)}};
    if (d.stepwise_exact_mixture) j[name]["stepwise_exact_mixture"] = *d.stepwise_exact_mixture;
  }
  return j;
}

void print(const SequenceTables& t, const std::map<std::string, ExactDivergence>& all) {
  fmt::print("{} letters, length {}: {} prefixes, {} rows of the student\n", t.vocab, t.length,
             t.prefixes(), t.student.dim(0));
  fmt::print("{:18} {:>11} {:>11} {:>11}  {:>9} {:>10}\n", "divergence", "exact", "step-wise",
             "difference", "cosine", "norm ratio");
  auto line = [](const std::string& name, const ExactDivergence& d, double step) {
    fmt::print("{:18} {:11.6f} {:11.6f} {:11.2e}  ", name, d.exact, step, step - d.exact);
  };
  for (const char* name : {"kl", "rkl", "js", "tvd"}) {
    const ExactDivergence& d = all.at(name);
    line(name, d, d.stepwise);
    fmt::print("{:>9} {:>10}\n", or_dash(d.grad_cosine), or_dash(d.grad_norm_ratio));
    if (d.stepwise_exact_mixture) {
      line("js, exact mixture", d, *d.stepwise_exact_mixture);
      fmt::print("\n");
    }
  }
}

}  // namespace

void add_exact_command(CLI::App& app) {
  auto in = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  CLI::App* c = app.add_subcommand(
      "exact",
      "Sequence-level divergences by enumeration, beside what step-wise training computes");
  c->add_option("--in", *in,
                "safetensors: F64 logits teacher and student [P,V] of all prefixes of length 0 to "
                "L-1, by length, then lexicographic; tie [P] (optional; equal numbers share a row "
                "of the student's parameters)")
      ->required();
  c->add_flag("--json", *json, "One JSON object");
  c->footer("Example:  retort exact --in tests/references/exact.safetensors");
  c->callback([in, json] {
    SequenceTables t = load_sequence_tables(*in);
    std::map<std::string, ExactDivergence> all;
    try {
      all = exact_divergences(t);
    } catch (const std::exception& e) {
      throw std::runtime_error(*in + ": " + e.what());
    }
    if (*json)
      fmt::print("{}\n", to_json(all).dump(2));
    else
      print(t, all);
  });
}

}  // namespace retort
