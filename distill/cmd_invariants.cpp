// retort invariants: what the mathematics promises of every loss, and how far off each is.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "data/text.h"
#include "distill/commands.h"
#include "losses/invariants.h"

namespace retort {
namespace {

struct Arguments {
  std::optional<std::string> only;
  std::string dtype = "f64";
  bool json = false;
};

std::string base_of(const std::string& loss) { return loss.substr(0, loss.find(':')); }

// Whether "gjs" or "gjs:0.15" asks for a loss of this name.
bool asked(const std::optional<std::string>& only, const std::string& loss) {
  return !only || loss == *only || base_of(loss) == *only;
}

// Throws where it asks for none: of the losses, or, where its parameter is at fault, of this one's.
void check_only(const std::string& only, const std::vector<Invariant>& all) {
  std::vector<std::string> bases, own;
  auto add = [](std::vector<std::string>& names, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const Invariant& i : all) {
    if (asked(only, i.loss)) return;
    add(bases, base_of(i.loss));
    if (base_of(i.loss) == base_of(only)) add(own, i.loss);
  }
  throw std::runtime_error("--only: " + (own.empty()
                                             ? no_such(only, bases)
                                             : "\"" + only + "\" is not checked; of " +
                                                   base_of(only) + " there are: " + join(own)));
}

int check(const Arguments& a) {
  Dtype dtype = a.dtype == "f64" ? Dtype::f64 : Dtype::f32;
  size_t checked = 0, failed = 0;
  Json rows = Json::array();
  std::vector<Invariant> all = invariants();
  if (a.only) check_only(*a.only, all);
  if (!a.json)
    fmt::print("{:26} {:44} {:>8} {:>9}  {}\n", "loss", "invariant", "error", "tolerance", "");
  for (const Invariant& i : all) {
    if (!asked(a.only, i.loss)) continue;
    double error = i.error(dtype), tolerance = i.tolerance(dtype);
    bool passed = error <= tolerance;
    checked++, failed += !passed;
    rows.push_back({{"loss", i.loss},
                    {"invariant", i.property},
                    {"error", error},
                    {"tolerance", tolerance},
                    {"passed", passed}});
    if (!a.json)
      fmt::print("{:26} {:44} {:8.1e} {:9.0e}  {}\n", i.loss, i.property, error, tolerance,
                 passed ? "pass" : "FAILED");
  }
  if (a.json)
    fmt::print("{}\n", Json{{"dtype", a.dtype}, {"passed", !failed}, {"rows", rows}}.dump(2));
  else
    fmt::print("{} checked in {}: {}\n", checked, a.dtype,
               failed ? fmt::format("{} FAILED", failed) : "all pass");
  return failed ? 1 : 0;
}

}  // namespace

void add_invariants_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c =
      app.add_subcommand("invariants", "Check what the mathematics promises of every loss");
  c->add_option("--only", a->only, "Only this loss: gjs, or gjs:0.15")->type_name("LOSS");
  c->add_option("--dtype", a->dtype, "What is computed in")
      ->check(CLI::IsMember({"f64", "f32"}))
      ->capture_default_str();
  c->add_flag("--json", a->json, "One JSON object");
  c->footer("Example:  retort invariants --only kl --dtype f32");
  c->callback([a] {
    if (check(*a)) throw CLI::RuntimeError(1);
  });
}

}  // namespace retort
