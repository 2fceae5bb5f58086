// retort completion: scripts for bash and zsh. retort man: the man page. Both of the list of
// options.
#include <fmt/core.h>

#include <memory>

#include "distill/cli.h"
#include "distill/commands.h"

namespace retort {

void add_completion_command(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* c = app.add_subcommand("completion", "A script that completes arguments, for a shell");
  c->add_option("shell", *shell, "Which")
      ->required()
      ->type_name("SHELL")
      ->check(CLI::IsMember({"bash", "zsh"}));
  c->footer("Example:  source <(retort completion bash)");
  c->callback([shell, &app] {
    std::vector<Command> commands = commands_of(app);
    fmt::print("{}", *shell == "bash" ? bash_completion(commands) : zsh_completion(commands));
  });
}

void add_man_command(CLI::App& app) {
  CLI::App* c = app.add_subcommand("man", "The man page");
  c->footer("Example:  retort man | man -l -");
  c->callback([&app] { fmt::print("{}", man_page(commands_of(app))); });
}

}  // namespace retort
