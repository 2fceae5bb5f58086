// The subcommands of `retort`. Each callback throws on errors; main prints one line and exits
// with 1.
#pragma once
#include <CLI/CLI.hpp>

#include "distill/recipe.h"

namespace retort {

void add_train_command(CLI::App& app);
void add_distill_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_run_command(CLI::App& app);
void add_score_command(CLI::App& app);
void add_compare_command(CLI::App& app);
void add_report_command(CLI::App& app);
void add_watch_command(CLI::App& app);
void add_loss_command(CLI::App& app);
void add_gradcheck_command(CLI::App& app);
void add_exact_command(CLI::App& app);
void add_modes_command(CLI::App& app);
void add_sinkhorn_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_invariants_command(CLI::App& app);
void add_completion_command(CLI::App& app);
void add_man_command(CLI::App& app);

/// The whole program: its name, version and all subcommands.
void add_commands(CLI::App& app);

/// The recipe file, key=value overrides and the device, which every recipe command takes.
struct RecipeArguments {
  std::string path;
  std::vector<std::string> overrides;
  std::string device;  ///< "": the recipe's
  bool nondeterministic = false, tensorboard = false;
};
void add_recipe_arguments(CLI::App& command, RecipeArguments& arguments);
/// Of commands that train.
void add_tensorboard_flag(CLI::App& command, RecipeArguments& arguments);
CLI::Option* add_device_option(CLI::App& command, std::string& device, const std::string& what);
/// The device of this name; throws, saying why, where it cannot be used here.
Device available_device(const std::string& name);
/// Throws, before anything is computed, where two of a command's files are one: each by its option,
/// those that are read first; "" is none.
void check_distinct(const std::vector<std::pair<std::string, std::string>>& files);
/// The recipe that is asked for.
Recipe load_recipe(const RecipeArguments& arguments);

}  // namespace retort
