// retort generate: outputs of a trained model for lines of text. retort eval: its figures on the
// test split.
#include <fmt/core.h>

#include <filesystem>
#include <iostream>
#include <memory>

#include "data/text.h"
#include "distill/commands.h"
#include "distill/evaluate.h"
#include "distill/figures.h"

namespace retort {
namespace {

struct Arguments : RecipeArguments {
  std::string model = "teacher", input, output, method;
  int beams = 0;
  bool json = false;
};

std::vector<std::string> input_lines(const std::string& path) {
  if (!path.empty() && path != "-") return read_lines(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    size_t bad = find_invalid_utf8(line);
    if (bad != std::string::npos)
      throw std::runtime_error(
          fmt::format("standard input:{}: byte {} is not UTF-8", lines.size() + 1, bad + 1));
    lines.push_back(line);
  }
  return lines;
}

void generate(const Arguments& a) {
  Experiment experiment(load_recipe(a), Access::read);
  Model model = experiment.load(a.model);
  DecodeOptions options = decode_options(experiment.recipe());
  if (!a.method.empty()) options.method = a.method;
  if (a.beams) options.method = "beam", options.beams = a.beams;
  std::string text;
  for (const std::string& line : generate_texts(experiment, model, input_lines(a.input), options))
    text += line + "\n";
  if (a.output.empty())
    fmt::print("{}", text);
  else
    write_file_atomically(a.output, text);
}

void evaluate(const Arguments& a) {
  Experiment experiment(load_recipe(a), Access::read);
  Model model = experiment.load(a.model);
  std::unique_ptr<Model> teacher;
  if (a.model != "teacher" && experiment.recipe().has_teacher &&
      std::filesystem::exists(weights_path(experiment.folder("teacher"))))
    teacher = std::make_unique<Model>(experiment.load("teacher"));
  const Model* judge = a.model == "teacher" ? &model : teacher.get();
  Json j = evaluate_stage(experiment, a.model, model, judge, nullptr);
  for (Json& figure : j)
    if (figure.is_object()) figure.erase("segments");  // results.json keeps them
  if (a.json) {
    fmt::print("{}\n", j.dump(2));
    return;
  }
  for (const auto& [key, value] : j.items())
    fmt::print("{:26} {}\n", key,
               value.is_object() && value.contains("score")
                   ? fmt::format("{:.{}f}", value["score"].get<double>(), find_figure(key).decimals)
                   : value.dump());
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c =
      app.add_subcommand("generate", "Outputs of a trained model, one line for each line of input");
  add_recipe_arguments(*c, *a);
  c->add_option("--model", a->model, "teacher, or a student's name")->capture_default_str();
  c->add_option("--input", a->input, "Text file; default: standard input")->type_name("FILE");
  c->add_option("--output", a->output, "File to write; default: standard output")
      ->type_name("FILE");
  c->add_option("--method", a->method, "greedy, beam or sample; default: the recipe's")
      ->check(CLI::IsMember({"greedy", "beam", "sample"}));
  c->add_option("--beams", a->beams, "Beam search with so many")->check(CLI::Range(1, 1000));
  c->footer("Example:  echo 'Open the file' | retort generate recipes/demo.toml --model js");
  c->callback([a] { generate(*a); });
}

void add_eval_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand("eval", "Figures of a trained model on the test split");
  add_recipe_arguments(*c, *a);
  c->add_option("--model", a->model, "teacher, or a student's name")->capture_default_str();
  c->add_flag("--json", a->json, "One JSON object");
  c->footer("Example:  retort eval recipes/demo.toml --model js --json");
  c->callback([a] { evaluate(*a); });
}

}  // namespace retort
