#include "distill/recipe.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "data/tasks.h"
#include "distill/presets.h"
#include "distill/recipe_keys.h"
#include "losses/divergence.h"
#include "losses/transport.h"

namespace retort {

template <class V>
void visit(V& v, DataOptions& o) {
  v("format", o.format), v("layout", o.layout);
  v("train", o.train), v("valid", o.valid), v("test", o.test);
  v("source", o.source), v("target", o.target), v("header", o.header);
  v("deduplicate", o.deduplicate), v("truncate", o.truncate);
  v("references", o.references), v("split_names", o.split_names), v("first_turn", o.first_turn);
  v("min_words", o.min_words), v("max_words", o.max_words), v("max_characters", o.max_characters);
  v("limit", o.limit), v("valid_limit", o.valid_limit), v("test_limit", o.test_limit);
  v("second_test", o.second_test), v("second_format", o.second_format),
      v("second_limit", o.second_limit);
  v("max_source", o.max_source), v("max_target", o.max_target), v("labels", o.labels);
}
template <class V>
void visit(V& v, VocabularyOptions& o) {
  v("model", o.model), v("size", o.size), v("type", o.type);
}
template <class V>
void visit(V& v, TrainOptions& o) {
  v("steps", o.steps), v("epochs", o.epochs), v("tokens", o.tokens), v("rows", o.rows);
  v("accumulate", o.accumulate), v("optimizer", o.optimizer.name);
  v("beta1", o.optimizer.beta1), v("beta2", o.optimizer.beta2), v("eps", o.optimizer.eps);
  v("weight_decay", o.optimizer.weight_decay);
  v("learning_rate", o.learning_rate), v("floor", o.floor), v("schedule", o.schedule);
  v("warmup", o.warmup), v("clip", o.clip), v("smoothing", o.smoothing);
  v("reduction", o.reduction), v("log_every", o.log_every), v("valid_every", o.valid_every);
  v("save_every", o.save_every), v("graph", o.graph), v("tensorboard", o.tensorboard);
}
template <class V>
void visit(V& v, Term& o) {
  v("loss", o.loss), v("on", o.on), v("weight", o.weight), v("temperature", o.temperature);
  v("temperature_end", o.temperature_end), v("parameters", o.parameters);
  v("vocabulary", o.vocabulary);
  v("mixture", o.mixture), v("score_term", o.score_term);
  v("layers", o.layers), v("normalize", o.normalize);
}
template <class V>
void visit(V& v, Decoding& o) {
  v("method", o.method), v("beams", o.beams), v("length_penalty", o.length_penalty);
  v("temperature", o.temperature), v("top_k", o.top_k), v("top_p", o.top_p);
  v("min_length", o.min_length);
}
template <class V>
void visit(V& v, TeacherSequences& o) {
  visit(v, static_cast<Decoding&>(o));
  v("offline", o.offline), v("keep", o.keep), v("keep_k", o.keep_k);
}
template <class V>
void visit(V& v, StudentSequences& o) {
  visit(v, static_cast<Decoding&>(o));
  v("every", o.every), v("replay", o.replay);
}
template <class V>
void visit(V& v, Mix& o) {
  v("gold", o.gold), v("teacher", o.teacher), v("student", o.student);
}
template <class V>
void visit(V& v, EvaluateOptions& o) {
  visit(v, static_cast<Decoding&>(o));
  v("max_length", o.max_length), v("rows", o.rows);
  v("risks", o.risks), v("metrics", o.metrics);
}
// What stands beside the tables of [teacher], [student], [students.NAME], and of a recipe.
template <class V>
void visit(V& v, Stage& o) {
  v("init", o.init), v("method", o.method);
  v("mixture", o.mixture), v("score_term", o.score_term);
}
template <class V>
void visit(V& v, Recipe& o) {
  v("name", o.name), v("output", o.output), v("seed", o.seed), v("device", o.device);
  v("dtype", o.dtype), v("tf32", o.exact.tf32), v("deterministic", o.exact.deterministic);
}

namespace {

template <class T>
Json table_of(T options) {
  Writer w;
  visit(w, options);
  return w.table;
}

// Fields of a model that its vocabulary decides.
const char* const kOfVocabulary[] = {"vocab", "pad", "bos", "eos"};

template <class T>
void read(const TomlFile& file, Json table, const std::string& path, T& options) {
  Reader r(file, std::move(table), path);
  visit(r, options);
  r.finish();
}

double own_temperature(const std::string& loss) {
  for (const TransportInfo& t : transport_losses())
    if (t.name == loss) return t.temperature;
  return 1;
}

// [teacher], [student] (what all students share) and [students.NAME] (over it).
Stage read_stage(const TomlFile& file, const std::string& name, Json table, const std::string& path,
                 const TrainOptions& shared) {
  Stage s;
  s.name = name, s.train = shared;
  Reader r(file, std::move(table), path);
  visit(r, s);
  Json terms = r.take("terms"), train = r.take("train"), model = r.take("model"),
       of_teacher = r.take("teacher_sequences"), of_student = r.take("student_sequences"),
       mix = r.take("mix"), mix_end = r.take("mix_end");
  if (model.is_null()) model = Json::object();
  // Fields of the model may stand in the stage's own table: student.layers = 2.
  Json fields = Json::parse(ModelConfig().to_json());
  for (const auto& [field, standard] : fields.items())
    if (Json value = r.take(field.c_str()); !value.is_null() && model.is_object())
      model[field] = value;
  r.finish();
  read(file, train, path + ".train", s.train);
  if (!terms.is_null()) s.method = "terms";
  s.teacher_sequences.method = s.method == "seqkd" ? "beam" : "sample";
  s.student_sequences.method = "sample";
  read(file, of_teacher, path + ".teacher_sequences", s.teacher_sequences);
  read(file, of_student, path + ".student_sequences", s.student_sequences);
  read(file, mix, path + ".mix", s.mix);
  if (mix_end.is_null())
    s.mix_end = s.mix;
  else
    read(file, mix_end, path + ".mix_end", s.mix_end);
  const std::vector<std::string>& names = method_names();
  std::string base = s.method.substr(0, s.method.find(':'));
  if (std::find(names.begin(), names.end(), base) == names.end() ||
      (base != s.method && base != "gjs"))
    throw std::runtime_error(r.where("method") + ": " + no_such(s.method, names));
  if (s.method == "terms") {
    if (!terms.is_array() || terms.empty())
      throw std::runtime_error(r.where("terms") +
                               ": expected a list of {loss, on, weight, temperature}");
    for (size_t i = 0; i < terms.size(); i++) {
      Term& term = s.terms.emplace_back();
      if (terms[i].is_object() && terms[i].value("loss", Json()).is_string())
        term.temperature = own_temperature(terms[i]["loss"]);
      read(file, terms[i], path + ".terms." + std::to_string(i), term);
    }
  } else {
    try {
      s.terms = method_terms(s.method);
    } catch (const std::exception& e) {
      throw std::runtime_error(r.where("method") + ": " + e.what());
    }
    // Whether a term can take them is checked with all terms (recipe_check.cpp).
    if (s.mixture != "arithmetic" && base != "js" && base != "gjs")
      throw std::runtime_error(r.where("mixture") + ": " + s.method +
                               " mixes nothing; js and gjs do");
    for (Term& t : s.terms) {
      t.mixture = s.mixture;
      if (t.on == "student") t.score_term = s.score_term;
    }
    bool takes = base == "rkl" || ((base == "js" || base == "gjs") && s.mixture != "arithmetic");
    if (s.score_term != "none" && !takes)
      throw std::runtime_error(r.where("score_term") + ": is for rkl, and for js and gjs with " +
                               "mixture = \"exact\", not for " + s.method);
  }
  if (s.method == "terms" && (s.mixture != "arithmetic" || s.score_term != "none"))
    throw std::runtime_error(r.where(s.mixture != "arithmetic" ? "mixture" : "score_term") +
                             ": say it in each of the terms");
  if (s.teacher_sequences.method == "gold")
    for (Term& t : s.terms)
      if (t.on == "teacher") t.on = "gold";
  Reader m(file, model, path + ".model");  // a table, or this says so
  for (const char* key : kOfVocabulary)
    if (!m.take(key).is_null())
      throw std::runtime_error(m.where(key) + ": follows from the vocabulary; leave it out");
  try {
    Json config = Json::parse(ModelConfig().to_json());
    if (model.is_object() && model.contains("preset")) {
      config = Json::parse(ModelConfig::preset(model["preset"].is_string()
                                                   ? model["preset"].get<std::string>()
                                                   : model["preset"].dump())
                               .to_json());
      model.erase("preset");
    }
    if (model.is_object())
      for (const auto& [key, value] : model.items()) config[key] = value;
    s.model = ModelConfig::from_json(config.dump());
  } catch (const std::exception& e) {
    throw std::runtime_error(m.where("") + ": " + e.what());
  }
  return s;
}

// Keys that a table takes over from another stand where they stood there.
void inherit_places(TomlFile& file, const std::string& from, const std::string& to) {
  for (const auto& [key, place] : std::map<std::string, std::string>(file.where))
    if (key.rfind(from, 0) == 0) file.where.try_emplace(to + key.substr(from.size()), place);
}

}  // namespace

Recipe load_recipe(const std::string& path, const std::vector<std::string>& overrides,
                   std::map<std::string, std::string>* places) {
  Recipe recipe;
  TomlFile file = load_with_preset(path, overrides, recipe.preset);
  recipe.name = std::filesystem::path(path).stem().string();
  Reader r(file, file.root, "");
  visit(r, recipe);
  Json data = r.take("data"), tokenizer = r.take("tokenizer"), train = r.take("train"),
       evaluate = r.take("evaluate"), teacher = r.take("teacher"), student = r.take("student"),
       students = r.take("students"), order = r.take("order");
  r.finish();
  if (recipe.output.empty()) recipe.output = "runs/" + recipe.name;
  read(file, data, "data", recipe.data);
  read(file, tokenizer, "tokenizer", recipe.tokenizer);
  read(file, evaluate, "evaluate", recipe.evaluate);
  if (const Task* task = find_task(recipe.data.format); task && !file.where.count("data.labels"))
    recipe.data.labels = task->numbers ? "numbers" : "names";
  if (!file.where.count("evaluate.metrics")) recipe.evaluate.metrics = usual_metrics(recipe.data);
  TrainOptions shared;
  read(file, train, "train", shared);
  recipe.has_teacher = !teacher.is_null();
  inherit_places(file, "train.", "teacher.train.");
  recipe.teacher = read_stage(file, "teacher", teacher, "teacher", shared);
  for (auto [key, table] : {std::pair{"student", &student}, {"students", &students}}) {
    if (table->is_null()) *table = Json::object();
    if (!table->is_object()) throw std::runtime_error(r.where(key) + ": must be a table");
  }
  if (students.empty() && !student.empty()) students["student"] = Json::object();
  std::vector<std::string> names;
  for (const auto& [name, table] : students.items()) names.push_back(name);
  if (!order.is_null()) {
    std::vector<std::string> wanted;
    for (const Json& name : order)
      wanted.push_back(name.is_string() ? name.get<std::string>() : "");
    std::vector<std::string> sorted = wanted;
    std::sort(sorted.begin(), sorted.end());
    if (!order.is_array() || sorted != names)
      throw std::runtime_error(r.where("order") + ": must list each of [students] once");
    names = wanted;
  }
  for (const std::string& name : names) {
    std::string at = "students." + name;
    if (!students[name].is_object()) throw std::runtime_error(r.where(at) + ": must be a table");
    if (students.size() > 1 && !file.where.count(at)) {  // only the command line names it
      std::vector<std::string> others;
      for (const std::string& n : names)
        if (n != name) others.push_back(n);
      throw std::runtime_error(r.where(at) + ": " + no_such(name, others));
    }
    Json table = student;
    merge(table, students[name]);
    inherit_places(file, "student.", at + ".");
    inherit_places(file, "train.", at + ".train.");
    recipe.students.push_back(read_stage(file, name, table, at, shared));
  }
  // One decision, or one for each masked token: no prefix that somebody wrote.
  if (recipe.data.layout == "classify" || recipe.data.layout == "masked")
    for (Stage& s : recipe.students)
      for (Term& t : s.terms) t.on = "gold";
  check_recipe(file, recipe);
  if (places) *places = file.where;
  return recipe;
}

bool has_answers(const DataOptions& o) { return o.layout == "classify" || find_task(o.format); }
std::vector<std::string> usual_metrics(const DataOptions& o) {
  if (const Task* task = find_task(o.format)) return task->metrics;
  if (o.layout != "classify") return EvaluateOptions().metrics;
  if (o.labels == "numbers") return {"pearson", "spearman"};
  return {"accuracy"};
}

Device device_of(const Recipe& r) { return r.device == "cuda" ? Device::cuda : Device::cpu; }
Dtype dtype_of(const Recipe& r) { return r.dtype == "bf16" ? Dtype::bf16 : Dtype::f32; }

// What came later is left out where it is usual: runs from before there was a choice go on.
Json data_table(const DataOptions& o) {
  Json t = table_of(o), usual = table_of(DataOptions{});
  for (const char* key :
       {"references", "split_names", "first_turn", "second_test", "second_format", "second_limit"})
    if (t[key] == usual[key]) t.erase(key);
  return t;
}
Json training_data_table(const DataOptions& o) {
  Json t = data_table(o);
  for (const char* key : {"valid", "test", "valid_limit", "test_limit", "second_test",
                          "second_format", "second_limit"})
    t.erase(key);
  return t;
}
// Leaves out what the method does not use.
Json used(const Decoding& d, Json t) {
  bool beam = d.method.rfind("beam", 0) == 0, sample = d.method == "sample";
  auto unless = [&](bool is_used, std::initializer_list<const char*> keys) {
    for (const char* key : keys)
      if (!is_used) t.erase(key);
  };
  unless(beam, {"beams", "length_penalty"});
  unless(sample, {"temperature", "top_p"});
  unless(sample || d.method == "beam_sample", {"top_k"});
  unless(d.min_length > 0, {"min_length"});
  return t;
}
Json decoding_table(const Decoding& d) { return used(d, table_of(d)); }
Json evaluate_table(const EvaluateOptions& o) {
  Json t = used(o, table_of(o));
  if (o.metrics == EvaluateOptions().metrics) t.erase("metrics");  // as before there was a choice
  return t;
}

Json terms_table(const std::vector<Term>& terms) {
  Json list = Json::array();
  for (const Term& term : terms) {
    list.push_back(table_of(term));
    auto unless = [&](bool used, std::initializer_list<const char*> keys) {
      for (const char* key : keys)
        if (!used) list.back().erase(key);
    };
    unless(term.loss == "hidden", {"layers", "normalize"});
    unless(!term.parameters.empty(), {"parameters"});
    unless(term.vocabulary != "all", {"vocabulary"});
    unless(term.temperature_end > 0, {"temperature_end"});
  }
  return list;
}

Json stage_table(const Stage& s) {
  Json model = Json::parse(s.model.to_json());
  for (const char* key : kOfVocabulary) model.erase(key);
  Json t = table_of(s);
  t["train"] = table_of(s.train), t["model"] = model;
  // What no term uses is left out, of runs and of what they are compared by.
  if (s.mixture == "arithmetic") t.erase("mixture");
  if (s.score_term == "none") t.erase("score_term");
  if (s.sees("teacher") || s.teacher_sequences.method == "gold") {
    Json& how = t["teacher_sequences"] = used(s.teacher_sequences, table_of(s.teacher_sequences));
    if (!s.uses_kept()) how.erase("keep");
    if (!s.uses_kept() || s.teacher_sequences.keep != "top_k") how.erase("keep_k");
  }
  if (s.sees("student"))
    t["student_sequences"] = used(s.student_sequences, table_of(s.student_sequences));
  if (s.mix.sum() > 0) t["mix"] = table_of(s.mix), t["mix_end"] = table_of(s.mix_end);
  if (s.method == "terms") t["terms"] = terms_table(s.terms);
  return t;
}

Json recipe_table(const Recipe& r) {
  Json t = table_of(r);
  t["data"] = table_of(r.data), t["tokenizer"] = table_of(r.tokenizer);
  t["evaluate"] = used(r.evaluate, table_of(r.evaluate));
  if (r.has_teacher) t["teacher"] = stage_table(r.teacher);
  for (const Stage& s : r.students) {
    t["students"][s.name] = stage_table(s);
    t["order"].push_back(s.name);
  }
  return t;
}

std::vector<std::string> recipe_keys() {
  Recipe r;
  Stage s;
  Json model = Json::parse(s.model.to_json()), stage = table_of(s), all = table_of(r);
  for (const char* key : kOfVocabulary) model.erase(key);
  stage.update(model);
  model["preset"] = "";
  stage["model"] = model, stage["train"] = table_of(s.train);
  stage["teacher_sequences"] = table_of(s.teacher_sequences);
  stage["student_sequences"] = table_of(s.student_sequences);
  stage["mix"] = stage["mix_end"] = table_of(s.mix), stage["terms"]["0"] = table_of(Term());
  all["data"] = table_of(r.data), all["tokenizer"] = table_of(r.tokenizer);
  all["evaluate"] = table_of(r.evaluate), all["train"] = stage["train"];
  all["teacher"] = all["student"] = all["students"]["NAME"] = stage;
  all["order"] = all["preset"] = "";
  std::vector<std::string> keys;
  auto walk = [&](auto self, const Json& table, const std::string& above) -> void {
    for (const auto& [key, value] : table.items())
      value.is_object() ? self(self, value, above + key + ".") : keys.push_back(above + key);
  };
  walk(walk, all, "");
  return keys;
}

}  // namespace retort
