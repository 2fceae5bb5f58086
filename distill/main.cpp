// retort: the program. Exit status 0; 1 on an error (one line on standard error); 2 on wrong usage;
// 130 when stopped by a signal after saving.
#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>

#include "build_commit.h"
#include "distill/commands.h"
#include "distill/progress.h"
#include "distill/recipe.h"
#include "engine/profile.h"

namespace {

// A descriptor that is closed would be given to the next file opened, and messages go into it.
void open_standard_streams() {
  for (int stream : {0, 1, 2})
    if (::fcntl(stream, F_GETFD) < 0) ::open("/dev/null", O_RDWR);
}

// The first word when it is no command: its error, and true.
bool is_unknown_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return false;
  std::vector<std::string> names;
  for (const CLI::App* c : app.get_subcommands(nullptr)) names.push_back(c->get_name());
  if (std::find(names.begin(), names.end(), argv[1]) != names.end()) return false;
  fmt::print(stderr, "retort: {}\n", retort::no_such(argv[1], names));
  return true;
}

// --profile, for every command.
void add_profile_option(CLI::App& app) {
  for (CLI::App* c : app.get_subcommands(nullptr))
    c->add_option_function<std::string>(
         "--profile", [](const std::string& file) { retort::Profile::start(file); },
         "Operators by time on standard error, and a Chrome trace in this file")
        ->type_name("FILE");
}
// At the end, whatever it was.
struct ProfileReport {
  ~ProfileReport() {
    if (!retort::Profile::on()) return;
    try {
      fmt::print(stderr, "{}", retort::Profile::finish());
    } catch (const std::exception& e) {
      fmt::print(stderr, "retort: {}\n", e.what());
    }
  }
};

// What was printed has to arrive: a full disk behind standard output is an error.
int flushed(int status) {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return status;
  fmt::print(stderr, "retort: standard output cannot be written: {}\n", std::strerror(errno));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  std::signal(SIGPIPE, SIG_DFL);
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the size limit is an error to report, not a death
  CLI::App app(
      "Retort distils teacher transformers into students and shows what each divergence does.\n"
      "First steps:  data/get l10n-en-ro && retort run recipes/demo.toml");
  app.name("retort");
  app.set_version_flag("--version",
                       std::string("retort ") + RETORT_VERSION + " (" + RETORT_COMMIT + ")");
  app.require_subcommand(1);
  retort::add_train_command(app);
  retort::add_distill_command(app);
  retort::add_generate_command(app);
  retort::add_eval_command(app);
  retort::add_run_command(app);
  retort::add_score_command(app);
  retort::add_compare_command(app);
  retort::add_report_command(app);
  retort::add_watch_command(app);
  retort::add_loss_command(app);
  retort::add_gradcheck_command(app);
  retort::add_exact_command(app);
  retort::add_modes_command(app);
  retort::add_sinkhorn_command(app);
  add_profile_option(app);
  if (is_unknown_command(app, argc, argv)) return 2;
  ProfileReport profile;
  try {
    app.parse(argc, argv);
    return flushed(0);
  } catch (const CLI::Success& e) {
    return flushed(app.exit(e));
  } catch (const CLI::RuntimeError& e) {
    return flushed(e.get_exit_code());  // the command has said why
  } catch (const CLI::ParseError& e) {
    fmt::print(stderr, "retort: {}\nSee: retort {}--help\n", e.what(),
               app.get_subcommands().empty() ? "" : app.get_subcommands()[0]->get_name() + " ");
    return 2;
  } catch (const retort::Interrupted& e) {
    fmt::print(stderr, "retort: {}\n", e.message);
    return 130;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr,
               "retort: out of memory; use smaller batches (train.tokens) or a smaller model\n");
    return 1;
  } catch (const std::filesystem::filesystem_error& e) {
    fmt::print(stderr, "retort: {}: {}\n", e.path1().string(), e.code().message());
    return 1;
  } catch (const std::exception& e) {
    fmt::print(stderr, "retort: {}\n", e.what());
    return 1;
  }
}
