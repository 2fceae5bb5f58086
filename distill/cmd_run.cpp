// retort run: a whole experiment (teacher, students, evaluation, table); what is done already is
// skipped.
#include <fmt/core.h>
#include <omp.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <set>

#include "build_commit.h"
#include "data/text.h"
#include "distill/choices.h"
#include "distill/commands.h"
#include "distill/evaluate.h"
#include "distill/figures.h"
#include "distill/inspection.h"
#include "distill/page.h"
#include "distill/progress.h"
#include "distill/trainer.h"
#include "engine/memory.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

// Whether results are whole and made by this recipe, data and teacher.
bool is_of(const Json& j, const std::string& fingerprint, const std::string& stage) {
  auto has = [&](const char* key, const std::string& value) {
    return j.contains(key) && j[key] == value;
  };
  return j.is_object() && has("fingerprint", fingerprint) && has("stage", stage);
}

// results.json of a stage where it stands and was made by this recipe and data; else null.
Json results_of(Experiment& e, const Stage& stage) {
  std::string path = e.folder(stage.name) + "/results.json";
  Json j = fs::exists(path) ? Json::parse(read_file(path), nullptr, false) : Json();
  return is_of(j, e.results_fingerprint(stage), stage.name) ? j : Json();
}

// "2 x AMD EPYC"
std::string machine(Device device) {
  if (device == Device::cuda) return "an NVIDIA GPU";
  for (const std::string& line : read_lines("/proc/cpuinfo"))
    if (line.rfind("model name", 0) == 0)
      return fmt::format("{} x {}", omp_get_max_threads(), line.substr(line.find(':') + 2));
  return fmt::format("{} threads", omp_get_max_threads());
}

// A line for each key, figures with their many numbers too.
std::string lines_of(const Json& j) {
  std::string text;
  for (const auto& [key, value] : j.items())
    text += (text.empty() ? "{\n" : ",\n") + Json(key).dump() + ": " + value.dump();
  return text + "\n}\n";
}

// Trains and evaluates one stage, the `place`-th of the recipe. Where only the evaluation differs
// the finished training is resumed, which trains nothing; where only results are there it begins
// anew.
Json run_stage(Experiment& e, const Stage& stage, size_t place, bool overwrite) {
  std::string dir = e.folder(stage.name);
  bool anew = overwrite || (!results_of(e, stage).is_null() && !fs::exists(checkpoint_path(dir)));
  auto began = std::chrono::steady_clock::now();
  TrainSummary s = train_stage(e, stage, anew ? Start::overwrite : Start::resume);
  Model model = e.load(stage.name);
  std::unique_ptr<Model> teacher;
  if (stage.name != "teacher" && e.recipe().has_teacher)
    teacher = std::make_unique<Model>(e.load("teacher"));
  Generation g;
  reset_peak_memory(e.device());
  auto evaluation = std::chrono::steady_clock::now();
  Json j = evaluate_stage(e, stage.name, model, teacher ? teacher.get() : &model, &g);
  std::chrono::duration<double> evaluated = std::chrono::steady_clock::now() - evaluation;
  std::chrono::duration<double> wall = std::chrono::steady_clock::now() - began;
  j["fingerprint"] = e.results_fingerprint(stage);
  j["recipe_fingerprint"] = e.recipe_fingerprint(stage);
  j["weights"] = checksum(weights_path(dir));
  j["recipe"] = e.recipe().name, j["seed"] = e.recipe().seed, j["place"] = place;
  j["commit"] = RETORT_COMMIT, j["machine"] = machine(e.device());
  j["method"] = stage.name == "teacher" ? "teacher" : stage.method;
  j["tokens_per_second"] = s.tokens_per_second, j["updates"] = s.steps;
  j["minutes"] = s.minutes, j["other_minutes"] = wall.count() / 60 - s.minutes_now;
  j["evaluation_minutes"] = evaluated.count() / 60;
  j["peak_bytes"] = {{"training", s.peak_bytes}, {"evaluation", memory_stats(e.device()).peak}};
  if (!g.hypotheses.empty()) {
    std::string text;
    for (const std::string& h : g.hypotheses) text += h + "\n";
    write_file_atomically(dir + "/hypotheses.txt", text);
  }
  write_file_atomically(dir + "/results.json", lines_of(j));
  return j;
}

// Writes inspection.json of a stage that is done, unless there is one of its and the teacher's
// weights.
void inspect(Experiment& e, const Stage& stage) {
  std::string dir = e.folder(stage.name), path = dir + "/inspection.json";
  std::string own = weights_path(dir), theirs = weights_path(e.folder("teacher"));
  bool compares = stage.name != "teacher" && e.recipe().has_teacher && fs::exists(theirs);
  if (!fs::exists(own)) return;
  Json made = {{"weights", checksum(own)}};
  if (compares) made["teacher_weights"] = checksum(theirs);
  Json j = fs::exists(path) ? Json::parse(read_file(path), nullptr, false) : Json();
  bool same = j.is_object();
  for (const auto& [key, hash] : made.items()) same = same && j.contains(key) && j[key] == hash;
  if (same) return;
  Model model = e.load(stage.name);
  std::unique_ptr<Model> teacher;
  if (compares) teacher = std::make_unique<Model>(e.load("teacher"));
  std::vector<std::string> lines;
  if (fs::exists(dir + "/hypotheses.txt")) lines = read_lines(dir + "/hypotheses.txt");
  j = inspect_stage(e, stage, model, teacher.get(), lines);
  j.update(made);
  write_file_atomically(path, j.dump() + "\n");
}

// The stages that are not done: without results, with weights that these are not of, or without
// the weights that such a one needs.
std::set<std::string> not_done(Experiment& e, const std::vector<const Stage*>& stages) {
  std::set<std::string> todo, needed;
  for (auto s = stages.rbegin(); s != stages.rend(); s++) {
    const std::string& name = (*s)->name;
    std::string weights = weights_path(e.folder(name));
    Json results = results_of(e, **s);
    if (!results.is_null() &&
        (fs::exists(weights) ? results.value("weights", "") == checksum(weights)
                             : !needed.count(name)))
      continue;
    todo.insert(name);
    for (const std::string& other : e.needs(**s)) needed.insert(other);
    needed.insert("teacher");
  }
  return todo;
}

std::string cell(const Json& j, const std::string& key, int digits) {
  if (!j.contains(key)) return "-";
  const Json& number = j[key].is_object() && j[key].contains("score") ? j[key]["score"] : j[key];
  if (!number.is_number()) return "-";
  double x = number.get<double>();
  return digits < 0 ? thousands(x) : fmt::format("{:.{}f}", x, digits);
}

std::string table(const std::vector<Json>& all) {
  struct Column {
    std::string title, key;
    int digits;
  };
  std::vector<Column> wanted{{"parameters*", "non_embedding_parameters", -1}}, columns;
  for (const Figure& f : figures())
    if (std::string(f.name).find("_entropy") == std::string::npos)
      wanted.push_back({f.title, f.name, f.decimals});
  for (Column c : std::initializer_list<Column>{{"perplexity", "perplexity", 3},
                                                {"MSE", "mean_squared_error", 4},
                                                {"training tokens/s", "tokens_per_second", -1},
                                                {"minutes", "minutes", 1}})
    wanted.push_back(c);
  for (const Column& c : wanted)
    for (const Json& j : all)
      if (j.contains(c.key)) {
        columns.push_back(c);
        break;
      }
  std::string text = "| model |", rule = "|---|";
  for (const Column& c : columns) text += fmt::format(" {} |", c.title), rule += "---:|";
  text += "\n" + rule + "\n";
  for (const Json& j : all) {
    text += fmt::format("| {} |", j["stage"].get<std::string>());
    for (const Column& c : columns) text += fmt::format(" {} |", cell(j, c.key, c.digits));
    text += "\n";
  }
  text += "\n* without embeddings\n";
  for (const Json& j : all) {  // of one data set; what was evaluated before may not say
    if (!j.contains("left_out")) continue;
    for (const auto& [split, reasons] : j["left_out"].items())
      for (const auto& [why, n] : reasons.items())
        text += fmt::format("\n{}: {} {}\n", split, n.dump(), why);
    break;
  }
  return text;
}

// The first test examples with what each model made of them.
std::string samples(Experiment& e, const std::vector<Json>& all, size_t count) {
  if (has_answers(e.recipe().data) || e.layout() == Layout::blocks || e.layout() == Layout::masked)
    return "";
  std::string split = e.evaluation_split(), text;
  const std::vector<TokenPair>& pairs = e.pairs(split).pairs;
  std::vector<std::pair<std::string, std::vector<std::string>>> outputs;
  for (const Json& j : all) {
    std::string stage = j["stage"], path = e.folder(stage) + "/hypotheses.txt";
    if (!fs::exists(path)) continue;  // only its results are here
    outputs.push_back({stage, read_lines(path)});
    if (outputs.back().second.size() != pairs.size())
      throw std::runtime_error(
          fmt::format("{}: {} lines, {} were written; remove results.json beside it and run again",
                      path, outputs.back().second.size(), pairs.size()));
  }
  for (size_t i : evenly(pairs.size(), count)) {
    const Example& x = e.corpus(split).examples[size_t(pairs[i].id)];
    text += fmt::format("\n{:>10}  {}\n{:>10}  {}\n", "source", x.source, "reference", x.target);
    for (const auto& [stage, lines] : outputs) text += fmt::format("{:>10}  {}\n", stage, lines[i]);
  }
  return text;
}

void run(const RecipeArguments& a, bool overwrite) {
  Experiment e(load_recipe(a), Access::write);
  for (const std::string& split : {e.evaluation_split(), std::string("second_test")})
    if (e.has(split)) {  // what is wrong with it must not show after the training only
      e.pairs(split);
      if (has_answers(e.recipe().data)) check_answers(e, split);
    }
  std::vector<const Stage*> stages;
  if (e.recipe().has_teacher) stages.push_back(&e.recipe().teacher);
  for (const Stage& s : e.recipe().students) stages.push_back(&s);
  if (stages.empty()) throw std::runtime_error(a.path + ": has neither [teacher] nor [students]");
  std::vector<Json> all;
  std::set<std::string> todo = not_done(e, stages);
  for (size_t place = 0; place < stages.size(); place++) {
    const Stage& s = *stages[place];
    bool make = overwrite || todo.count(s.name);
    if (!make) fmt::print("{}: done already, in {}\n", s.name, e.folder(s.name));
    all.push_back(make ? run_stage(e, s, place, overwrite) : results_of(e, s));
    inspect(e, s);
  }
  std::string text = table(all), examples = samples(e, all, 10);
  write_file_atomically(e.recipe().output + "/results.md", text + "\n```" + examples + "```\n");
  write_file_atomically(e.recipe().output + "/report.html", html_of(page_of({e.recipe().output})));
  fmt::print(
      "{}\n{}\nEverything is in {}: report.html, results.md, and for each model recipe.toml, "
      "manifest.json, metrics.jsonl, checkpoint, weights, hypotheses.txt, results.json, "
      "inspection.json\n",
      examples, text, e.recipe().output);
}

}  // namespace

void add_run_command(CLI::App& app) {
  auto a = std::make_shared<RecipeArguments>();
  auto overwrite = std::make_shared<bool>(false);
  CLI::App* c =
      app.add_subcommand("run", "A whole experiment: teacher, students, evaluation, table");
  add_recipe_arguments(*c, *a);
  add_tensorboard_flag(*c, *a);
  c->add_flag("--overwrite", *overwrite, "Make anew what is done already");
  c->footer("Example:  retort run recipes/demo.toml seed=2 output=runs/demo-2");
  c->callback([a, overwrite] { run(*a, *overwrite); });
}

}  // namespace retort
