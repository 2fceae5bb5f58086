// The subcommands of `retort`. Each callback throws on errors; main prints one line and exits
// with 1.
#pragma once
#include <CLI/CLI.hpp>

namespace retort {

void add_train_command(CLI::App& app);
void add_distill_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_run_command(CLI::App& app);
void add_score_command(CLI::App& app);
void add_loss_command(CLI::App& app);
void add_gradcheck_command(CLI::App& app);

/// The recipe file and key=value overrides every recipe command takes.
struct RecipeArguments {
  std::string path;
  std::vector<std::string> overrides;
};
void add_recipe_arguments(CLI::App& command, RecipeArguments& arguments);

}  // namespace retort
