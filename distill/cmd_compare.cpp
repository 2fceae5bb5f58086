// retort compare: runs of recipes under several seeds, what each student is worth, which of them
// differ, and which of the papers' claims hold. docs/compare.md.
#include <fmt/core.h>

#include <filesystem>
#include <memory>

#include "data/text.h"
#include "distill/commands.h"
#include "distill/report.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

struct Arguments {
  std::vector<std::string> runs;
  std::string out;
  Resampling resampling;
  bool json = false;
};

// RECIPE.md for each recipe, and README.md with the claims.
void write_reports(const std::string& folder, const std::vector<Study>& studies,
                   const std::vector<Claim>& claims, int times) {
  for (const Study& s : studies)
    if (s.recipe.empty() || s.recipe[0] == '.' || s.recipe == "README" ||
        s.recipe.find('/') != std::string::npos)
      throw std::runtime_error(fmt::format(
          "--out: recipe \"{}\" cannot name a file; give it another `name` and run it again",
          s.recipe));
  fs::create_directories(folder);
  std::string text = "# Results\n\nMade by `retort compare`; each recipe has its tables.\n\n";
  for (const Study& s : studies) {
    write_file_atomically(folder + "/" + s.recipe + ".md", report_of(s, times));
    text += fmt::format("- [{}]({}.md): {}\n", s.recipe, s.recipe, facts_of(s));
  }
  if (!claims.empty()) text += "\n" + report_of(claims);
  write_file_atomically(folder + "/README.md", text);
}

void run(const Arguments& a) {
  int times = a.resampling.times;
  std::vector<Study> studies = study(a.runs, a.resampling);
  std::vector<Claim> claims = claims_of(studies);
  if (!a.out.empty()) write_reports(a.out, studies, claims, times);
  if (a.json) {
    fmt::print("{}\n", json_of(studies, claims, times).dump());
  } else {
    for (const Study& s : studies) fmt::print("{}\n", report_of(s, times));
    fmt::print("{}", report_of(claims));
  }
}

}  // namespace

void add_compare_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand(
      "compare", "Runs of several seeds and recipes: tables, paired tests, papers' claims");
  c->add_option("RUN", a->runs, "Folders of finished runs")->required()->type_name("FOLDER");
  c->add_option("--resamples", a->resampling.times, "Bootstrap resamples")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  c->add_option("--seed", a->resampling.seed, "Seed of the resampling")->capture_default_str();
  c->add_option("--out", a->out, "Folder to write RECIPE.md and README.md into")
      ->type_name("FOLDER");
  c->add_flag("--json", a->json, "One JSON object");
  c->footer("Example:  retort compare runs/demo-1 runs/demo-2 runs/demo-3 --out results");
  c->callback([a] { run(*a); });
}

}  // namespace retort
