// retort gradcheck: backward passes against finite differences, operator by operator, loss by loss.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "distill/commands.h"
#include "distill/toml.h"
#include "engine/gradcheck.h"
#include "losses/gradcheck_cases.h"
#include "models/gradcheck_cases.h"

namespace retort {
namespace {

int check(const std::string& loss, Device device, bool json) {
  std::vector<GradCase> cases;
  auto take = [&](std::vector<GradCase> more) {
    for (GradCase& c : more) cases.push_back(std::move(c));
  };
  if (loss.empty()) take(operator_cases()), take(layer_cases());
  if (loss.empty() || loss == "all")
    take(loss_cases());
  else
    take(loss_cases(loss));
  // Cases of one operator or loss are one row: the worst of them.
  std::vector<std::pair<std::string, double>> worst;
  for (const GradCase& c : cases) {
    std::string family = c.name.substr(0, c.name.find(' '));
    double error = c.run(device).error;
    auto row =
        std::find_if(worst.begin(), worst.end(), [&](const auto& w) { return w.first == family; });
    if (row == worst.end()) row = worst.insert(row, {family, 0});
    if (!(error <= row->second)) row->second = error;
  }
  bool passed = true;
  Json out = {{"limit", kGradLimit}, {"errors", Json::object()}};
  for (const auto& [name, error] : worst) {
    bool ok = error <= kGradLimit;
    passed &= ok;
    out["errors"][name] = error;
    if (!json) fmt::print("{:24} {:.1e} {}\n", name, error, ok ? "" : "FAILED");
  }
  out["passed"] = passed;
  if (json) fmt::print("{}\n", out.dump(2));
  if (!json)
    fmt::print("{} checked in float64, worst relative error of each; limit {:.0e}: {}\n",
               worst.size(), kGradLimit, passed ? "passed" : "FAILED");
  return passed ? 0 : 1;
}

}  // namespace

void add_gradcheck_command(CLI::App& app) {
  auto loss = std::make_shared<std::string>();
  auto device = std::make_shared<std::string>("cpu");
  auto json = std::make_shared<bool>(false);
  CLI::App* c =
      app.add_subcommand("gradcheck", "Check every backward pass against finite differences");
  c->add_option("--loss", *loss,
                "Only this loss, or all losses; default: operators, layers and losses")
      ->type_name("LOSS");
  add_device_option(*c, *device, "Where both are computed")->capture_default_str();
  c->add_flag("--json", *json, "One JSON object");
  c->footer("Example:  retort gradcheck --loss js");
  c->callback([loss, device, json] {
    if (check(*loss, available_device(*device), *json)) throw CLI::RuntimeError(1);
  });
}

}  // namespace retort
