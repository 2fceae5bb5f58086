// retort: the program. Exit status 0; 1 on an error (one line on standard error); 2 on wrong usage;
// 130 when stopped by a signal after saving.
#include <fmt/core.h>

#include <csignal>
#include <new>

#include "build_commit.h"
#include "distill/commands.h"
#include "distill/progress.h"

int main(int argc, char** argv) {
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
  retort::add_loss_command(app);
  retort::add_gradcheck_command(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::RuntimeError& e) {
    return e.get_exit_code();  // the command has said why
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
  } catch (const std::exception& e) {
    fmt::print(stderr, "retort: {}\n", e.what());
    return 1;
  }
}
