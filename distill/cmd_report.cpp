// retort report: one HTML page of runs. retort watch: the same page of a run that goes on.
// docs/report.md.
#include <fmt/core.h>

#include <memory>

#include "data/text.h"
#include "distill/commands.h"
#include "distill/page.h"
#include "distill/serve.h"

namespace retort {
namespace {

struct Arguments {
  std::vector<std::string> runs;
  std::string out = "report.html";
  int port = 8770;
};

void report(const Arguments& a) {
  if (a.out.empty()) throw CLI::ValidationError("--out", "name a file");
  check_writable(a.out, kPageBegins);
  Json page = page_of(a.runs);
  for (const Json& run : page["runs"])
    if (run["stages"].empty())
      throw std::runtime_error(run["folder"].get<std::string>() +
                               ": no run's folder: no STAGE/results.json, metrics.jsonl or "
                               "manifest.json in it; give the output of a `retort run`");
  for (const char* said : {"problems", "left_out"})
    for (const Json& line : page[said]) fmt::print(stderr, "{}\n", line.get<std::string>());
  write_file_atomically(a.out, html_of(page));
  fmt::print("{}\n", a.out);
}

}  // namespace

void add_report_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand("report", "One HTML page of runs, to be opened in a browser");
  c->add_option("RUN", a->runs, "Folders of runs, finished or not")
      ->required()
      ->type_name("FOLDER");
  c->add_option("-o,--out", a->out, "File to write")->type_name("FILE")->capture_default_str();
  c->footer("Example:  retort report runs/demo -o report.html");
  c->callback([a] { report(*a); });
}

void add_watch_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand("watch", "Serves the report of runs to this machine's browsers");
  c->add_option("RUN", a->runs, "Folders of runs, finished or not")
      ->required()
      ->type_name("FOLDER");
  c->add_option("--port", a->port, "Port on 127.0.0.1; 0: any that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  c->footer("Example:  retort watch runs/demo");
  c->callback([a] { serve(a->runs, a->port); });
}

}  // namespace retort
