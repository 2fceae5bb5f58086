// retort train: a model on gold text. retort distill: students from the teacher.
#include <fmt/core.h>

#include <memory>

#include "distill/commands.h"
#include "distill/presets.h"
#include "distill/progress.h"
#include "distill/trainer.h"

namespace retort {
namespace {

struct Arguments : RecipeArguments {
  std::string stage;
  bool resume = false, overwrite = false;
};

void train(const Arguments& a, const std::string& name) {
  Experiment experiment(load_recipe(a), Access::write);
  Start start = a.resume ? Start::resume : a.overwrite ? Start::overwrite : Start::fresh;
  TrainSummary s = train_stage(experiment, experiment.stage(name), start);
  fmt::print("{}: {} updates, {} tokens/s, {:.1f} minutes; weights in {}\n", name, s.steps,
             thousands(s.tokens_per_second), s.minutes, weights_path(experiment.folder(name)));
}

CLI::App* add(CLI::App& app, const char* name, const char* what, std::shared_ptr<Arguments> a) {
  CLI::App* c = app.add_subcommand(name, what);
  add_recipe_arguments(*c, *a);
  add_tensorboard_flag(*c, *a);
  auto* resume = c->add_flag("--resume", a->resume, "Go on from the last checkpoint, bit for bit");
  c->add_flag("--overwrite", a->overwrite, "Start anew over what is there")->excludes(resume);
  return c;
}

}  // namespace

void add_recipe_arguments(CLI::App& command, RecipeArguments& a) {
  command.add_option("recipe", a.path, "TOML file, one experiment")
      ->required()
      ->type_name("RECIPE");
  command
      .add_option("overrides", a.overrides,
                  "Keys of the recipe, over the file: student.model.layers=2")
      ->type_name("KEY=VALUE");
  add_device_option(command, a.device, "Over the recipe's");
  command.add_flag("--nondeterministic", a.nondeterministic,
                   "CUDA: faster sums whose order, and last bits, are left to chance");
}

void add_tensorboard_flag(CLI::App& command, RecipeArguments& a) {
  command.add_flag("--tensorboard", a.tensorboard,
                   "TensorBoard's event file beside metrics.jsonl; train.tensorboard=true");
}

CLI::Option* add_device_option(CLI::App& command, std::string& device, const std::string& what) {
  return command.add_option("--device", device, what)->check(CLI::IsMember({"cpu", "cuda"}));
}

Device available_device(const std::string& name) {
  if (name != "cuda") return Device::cpu;
  if (!cuda_missing().empty()) no_cuda();
  return Device::cuda;
}

Recipe load_recipe(const RecipeArguments& a) {
  std::vector<std::string> overrides = a.overrides;
  if (!a.device.empty()) overrides.push_back("device=" + a.device);
  if (a.nondeterministic) overrides.push_back("deterministic=false");
  if (a.tensorboard) overrides.push_back("train.tensorboard=true");
  Recipe recipe = load_recipe(a.path, overrides);
  if (!recipe.preset.empty())
    fmt::print(stderr, "preset {}; the presets of {} differ in\n{}", recipe.preset, a.path,
               preset_differences(a.path));
  return recipe;
}

void add_train_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = add(app, "train", "Train the teacher (or --model NAME) of a recipe on its text", a);
  a->stage = "teacher";
  c->add_option("--model", a->stage, "Which model of the recipe")->capture_default_str();
  c->footer("Example:  retort train recipes/demo.toml train.learning_rate=0.001");
  c->callback([a] { train(*a, a->stage); });
}

void add_distill_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = add(app, "distill", "Distil the trained teacher of a recipe into its students", a);
  c->add_option("--student", a->stage, "Which student; default: all in turn");
  c->footer("Example:  retort distill recipes/demo.toml --student js");
  c->callback([a] {
    if (a->stage == "teacher")
      throw std::runtime_error("--student teacher: no student; retort train makes the teacher");
    if (!a->stage.empty()) return train(*a, a->stage);
    std::vector<Stage> students = load_recipe(*a).students;
    if (students.empty())
      throw std::runtime_error(a->path + ": has no [student] or [students.NAME]");
    for (const Stage& s : students) train(*a, s.name);
  });
}

}  // namespace retort
