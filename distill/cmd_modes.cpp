// retort modes: which divergence averages two modes and which collapses onto one.
#include <fmt/core.h>

#include <cmath>
#include <memory>

#include "distill/commands.h"
#include "distill/lab.h"
#include "distill/page.h"
#include "engine/safetensors.h"
#include "losses/divergence.h"

namespace retort {
namespace {

struct Arguments {
  ModesOptions options;
  std::vector<double> weights{0.55, 0.40};
  std::vector<std::string> losses{"kl", "rkl", "js", "tvd"};
  std::string init, page;
  int starts = 20;
  uint64_t seed = 1;
  bool json = false;
};

// Starts (N, L) from a file: its tensor "starts", or the only one it has.
Tensor load_starts(const std::string& path, int length) {
  TensorFile file = load_safetensors(path);
  auto found = file.tensors.find("starts");
  if (found == file.tensors.end() && file.tensors.size() == 1) found = file.tensors.begin();
  if (found == file.tensors.end())
    throw std::runtime_error(path + ": has no tensor \"starts\"; store F64 [N,L] under this name");
  const Tensor& t = found->second;
  std::string at = fmt::format("{}: tensor {}", path, found->first);
  if (t.rank() != 2 || t.dim(1) != length || t.dim(0) < 1 || t.dtype != Dtype::f64)
    throw std::runtime_error(
        fmt::format("{} must be F64 of shape (N, {}), one start a row, it is {} {}; --length says "
                    "how many letters",
                    at, length, name_of(t.dtype), text(t.shape)));
  for (double x : t.values())
    if (!std::isfinite(x)) throw std::runtime_error(at + fmt::format(": a number is {}", x));
  return t;
}

void line(const std::string& name, const ModesEnd& e, const std::string& counts) {
  fmt::print("{:12} {:10.4f} {:10.3g} {:10.4f} {:10.4f} {:10.4f}{}\n", name, e.mass[0], e.mass[1],
             e.off_mode(), e.coverage_risk, e.likelihood_risk, counts);
}

void compare(Arguments& a) {
  ModesOptions& o = a.options;
  o.weights = {a.weights[0], a.weights[1]};
  check_distinct({{"--init", a.init}, {"--page", a.page}});
  check_writable(a.page, kPageBegins);
  for (const std::string& loss : a.losses) parse_divergence(loss);
  ModesEnd teacher = modes_teacher(o);
  Tensor starts =
      a.init.empty() ? modes_starts(a.starts, o.length, a.seed) : load_starts(a.init, o.length);
  Json out = {{"teacher", json_of(teacher)}};
  if (!a.json) {
    fmt::print("teacher {} A^{} + {} B^{} + {:.3g} uniform; means over {} starts, {} steps\n",
               o.weights[0], o.length, o.weights[1], o.length, 1 - o.weights[0] - o.weights[1],
               starts.dim(0), o.steps);
    fmt::print("{:12} {:>10} {:>10} {:>10} {:>10} {:>10}  {}\n", "", "big mode", "small mode",
               "off-mode", "coverage", "likelihood", "starts on big/small/neither");
    line("teacher", teacher, "");
  }
  std::vector<long> frames = a.page.empty() ? std::vector<long>{o.steps} : frames_of(o.steps);
  std::vector<ModesPath> paths;
  for (const std::string& loss : a.losses) {
    paths.push_back(modes_path(loss, starts, o, frames));
    const std::vector<ModesEnd>& ends = paths.back().back();
    std::array<int, 3> count = outcomes(ends);
    out[loss] = json_of(ends);
    if (!a.json)
      line(loss, mean(ends), fmt::format("  {} / {} / {}", count[0], count[1], count[2]));
  }
  if (a.json) fmt::print("{}\n", out.dump(2));
  if (!a.page.empty()) write_page(a.page, "modes", page_of_modes(o, a.losses, paths));
}

}  // namespace

void add_modes_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand(
      "modes", "A teacher of two modes and a student too small for it, under each divergence");
  ModesOptions& o = a->options;
  c->add_option("--loss", a->losses, "Divergences, as retort loss names them")
      ->delimiter(',')
      ->type_name("LOSS")
      ->capture_default_str();
  c->add_option("--weights", a->weights,
                "The teacher's mass on A...A and B...B; the rest is uniform")
      ->delimiter(',')
      ->expected(2)
      ->capture_default_str();
  c->add_option("--length", o.length, "Letters of a sequence, 1 to 16")->capture_default_str();
  c->add_option("--steps", o.steps, "Updates of Adam")->capture_default_str();
  c->add_option("--rate", o.rate, "Its learning rate")->capture_default_str();
  c->add_option("--starts", a->starts, "How many starts")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  c->add_option("--seed", a->seed, "Of the starts")->capture_default_str();
  c->add_option(
       "--init", a->init,
       "safetensors: the starts themselves, F64 starts [N,L], logits of B at each position")
      ->type_name("FILE");
  c->add_flag("--json", a->json, "One JSON object");
  add_page_option(*c, a->page);
  c->footer(
      "Example:  retort modes --init tests/references/exact.safetensors --json\n"
      "          retort modes -o modes.html");
  c->callback([a] { compare(*a); });
}

}  // namespace retort
