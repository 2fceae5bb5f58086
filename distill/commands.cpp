// The program's subcommands, in the order --help lists them in.
#include "distill/commands.h"

#include <filesystem>

#include "build_commit.h"
#include "data/text.h"
#include "engine/profile.h"

namespace retort {
namespace {

// Throws unless the trace can be written, to a file that nothing else of the command line names.
void check_profile(const CLI::App& command, const std::string& file) {
  if (file.empty()) throw CLI::ValidationError("--profile", "name a file");
  for (const CLI::Option* o : command.get_options())
    for (const std::string& value : o->results())
      if (!o->check_lname("profile")) check_distinct({{o->get_name(), value}, {"--profile", file}});
  check_writable(file, "{\"traceEvents\"");
}

}  // namespace

void add_commands(CLI::App& app) {
  app.description(
      "Retort distils teacher transformers into students and shows what each divergence does.\n"
      "First steps:  data/get l10n-en-ro && retort run recipes/demo.toml");
  app.name("retort");
  app.set_version_flag("--version",
                       std::string("retort ") + RETORT_VERSION + " (" + RETORT_COMMIT + ")");
  app.require_subcommand(1);
  add_train_command(app);
  add_distill_command(app);
  add_generate_command(app);
  add_eval_command(app);
  add_run_command(app);
  add_score_command(app);
  add_compare_command(app);
  add_report_command(app);
  add_watch_command(app);
  add_inspect_command(app);
  add_loss_command(app);
  add_gradcheck_command(app);
  add_invariants_command(app);
  add_exact_command(app);
  add_modes_command(app);
  add_sinkhorn_command(app);
  add_completion_command(app);
  add_man_command(app);
  for (CLI::App* command : app.get_subcommands(nullptr))
    command
        ->add_option_function<std::string>(
            "--profile",
            [command](const std::string& file) {
              check_profile(*command, file);
              Profile::start();
            },
            "Operators by time on standard error, and a Chrome trace in this file")
        ->type_name("FILE");
}

void check_distinct(const std::vector<std::pair<std::string, std::string>>& files) {
  namespace fs = std::filesystem;
  std::error_code none;
  for (size_t i = 0; i < files.size(); i++)
    for (size_t k = 0; k < i; k++) {
      const auto& [first, one] = files[k];
      const auto& [second, other] = files[i];
      if (one.empty() || other.empty()) continue;
      if (fs::equivalent(one, other, none) ||
          fs::weakly_canonical(fs::absolute(one, none), none) ==
              fs::weakly_canonical(fs::absolute(other, none), none))
        throw std::runtime_error(second + " " + other + ": is the file of " + first +
                                 "; name another");
    }
}

}  // namespace retort
