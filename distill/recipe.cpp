#include "distill/recipe.h"

#include <filesystem>
#include <set>

#include "engine/suggest.h"
#include "losses/divergence.h"

namespace retort {

template <class V>
void visit(V& v, DataOptions& o) {
  v("format", o.format), v("layout", o.layout);
  v("train", o.train), v("valid", o.valid), v("test", o.test);
  v("source", o.source), v("target", o.target), v("header", o.header);
  v("deduplicate", o.deduplicate), v("truncate", o.truncate);
  v("min_words", o.min_words), v("max_words", o.max_words), v("max_characters", o.max_characters);
  v("limit", o.limit), v("valid_limit", o.valid_limit), v("test_limit", o.test_limit);
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
  v("save_every", o.save_every);
}
template <class V>
void visit(V& v, Term& o) {
  v("loss", o.loss), v("on", o.on), v("weight", o.weight), v("temperature", o.temperature);
}
template <class V>
void visit(V& v, EvaluateOptions& o) {
  v("method", o.method), v("beams", o.beams), v("length_penalty", o.length_penalty);
  v("temperature", o.temperature), v("top_k", o.top_k), v("top_p", o.top_p);
  v("min_length", o.min_length), v("max_length", o.max_length), v("rows", o.rows);
  v("risks", o.risks);
}

namespace {

template <class T>
Json table_of(T options) {
  Writer w;
  visit(w, options);
  return w.table;
}

const std::vector<std::string> kMethods = {"mle", "kl", "rkl", "js", "tvd", "terms"};

template <class T>
void read(const TomlFile& file, Json table, const std::string& path, T& options) {
  Reader r(file, std::move(table), path);
  visit(r, options);
  r.finish();
}

void one_of(const Reader& r, const char* key, const std::string& value,
            const std::vector<std::string>& names) {
  for (const std::string& n : names)
    if (n == value) return;
  std::string list;
  for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
  std::string near = nearest(value, names);
  throw std::runtime_error(r.where(key) + ": no \"" + value + "\"; there are: " + list +
                           (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

void positive(const TomlFile& file, const std::string& path, const char* key, double value) {
  if (!(value > 0)) {
    Reader r(file, nullptr, path);
    throw std::runtime_error(r.where(key) + ": must be positive");
  }
}

void check_train(const TomlFile& file, const std::string& path, const TrainOptions& t) {
  Reader r(file, nullptr, path);
  one_of(r, "optimizer", t.optimizer.name, {"adamw", "adafactor"});
  one_of(r, "schedule", t.schedule, {"constant", "linear", "cosine", "inverse_sqrt"});
  one_of(r, "reduction", t.reduction, {"tokens", "sequences", "batch"});
  positive(file, path, "tokens", t.tokens);
  positive(file, path, "accumulate", t.accumulate);
  if (t.steps <= 0) positive(file, path, "epochs", t.epochs);
  positive(file, path, "learning_rate", t.learning_rate);
}

Term read_term(const TomlFile& file, const Json& table, const std::string& path) {
  Term term;
  read(file, table, path, term);
  Reader r(file, nullptr, path);
  one_of(r, "on", term.on, {"gold", "teacher", "student"});
  try {
    if (term.loss != "ce") parse_divergence(term.loss);
  } catch (const std::exception& e) {
    throw std::runtime_error(r.where("loss") + ": " + e.what());
  }
  if (term.loss == "ce" && term.on == "student")
    throw std::runtime_error(
        r.where("loss") +
        ": cross-entropy on the student's own samples makes it collapse; use gold or "
        "teacher sequences");
  positive(file, path, "temperature", term.temperature);
  return term;
}

// [teacher], [student] (what all students share) and [students.NAME] (over it).
Stage read_stage(const TomlFile& file, const std::string& name, Json table, const std::string& path,
                 const TrainOptions& shared) {
  Stage s;
  s.name = name, s.train = shared;
  Reader r(file, std::move(table), path);
  r("init", s.init), r("method", s.method);
  Json terms = r.take("terms"), train = r.take("train"), model = r.take("model");
  r.finish();
  read(file, train, path + ".train", s.train);
  check_train(file, path + ".train", s.train);
  if (!terms.is_null()) s.method = "terms";
  one_of(r, "method", s.method, kMethods);
  if (s.method == "terms") {
    if (!terms.is_array() || terms.empty())
      throw std::runtime_error(r.where("terms") +
                               ": expected a list of {loss, on, weight, temperature}");
    for (size_t i = 0; i < terms.size(); i++)
      s.terms.push_back(read_term(file, terms[i], path + ".terms." + std::to_string(i)));
  } else {
    s.terms = method_terms(s.method);
  }
  try {
    Json config = Json::parse(ModelConfig().to_json());
    if (model.is_object() && model.contains("preset")) {
      config = Json::parse(ModelConfig::preset(model["preset"].get<std::string>()).to_json());
      model.erase("preset");
    }
    if (model.is_object())
      for (const auto& [key, value] : model.items()) config[key] = value;
    s.model = ModelConfig::from_json(config.dump());
  } catch (const std::exception& e) {
    Reader m(file, nullptr, path + ".model");
    throw std::runtime_error(m.where("") + ": " + e.what());
  }
  return s;
}

void merge(Json& base, const Json& over) {
  for (const auto& [key, value] : over.items())
    if (value.is_object() && base.contains(key) && base[key].is_object())
      merge(base[key], value);
    else
      base[key] = value;
}

}  // namespace

std::vector<Term> method_terms(const std::string& method) {
  if (method == "mle") return {{"ce", "gold"}};
  if (method == "kl") return {{"kl", "gold"}};
  if (method == "rkl") return {{"rkl", "student"}};
  if (method == "js") return {{"skew_kl:0.5", "gold", 0.5}, {"skew_rkl:0.5", "student", 0.5}};
  if (method == "tvd") return {{"tvd", "gold", 0.5}, {"tvd", "student", 0.5}};
  throw std::runtime_error("no method \"" + method + "\"; did you mean \"" +
                           nearest(method, kMethods) + "\"?");
}

Recipe load_recipe(const std::string& path, const std::vector<std::string>& overrides) {
  TomlFile file = load_toml(path, overrides);
  Recipe recipe;
  recipe.name = std::filesystem::path(path).stem().string();
  Reader r(file, file.root, "");
  r("name", recipe.name), r("output", recipe.output), r("seed", recipe.seed),
      r("device", recipe.device);
  Json data = r.take("data"), tokenizer = r.take("tokenizer"), train = r.take("train"),
       evaluate = r.take("evaluate"), teacher = r.take("teacher"), student = r.take("student"),
       students = r.take("students"), order = r.take("order");
  r.finish();
  one_of(r, "device", recipe.device, {"cpu"});
  if (recipe.output.empty()) recipe.output = "runs/" + recipe.name;
  read(file, data, "data", recipe.data);
  read(file, tokenizer, "tokenizer", recipe.tokenizer);
  read(file, evaluate, "evaluate", recipe.evaluate);
  Reader e(file, nullptr, "evaluate"), d(file, nullptr, "data");
  one_of(e, "method", recipe.evaluate.method, {"greedy", "beam", "sample"});
  one_of(d, "format", recipe.data.format, {"tsv", "parallel", "jsonl", "text"});
  one_of(d, "layout", recipe.data.layout, {"seq2seq", "causal", "blocks", "classify"});
  one_of(d, "labels", recipe.data.labels, {"names", "numbers"});
  if (recipe.data.train.empty())
    throw std::runtime_error(d.where("train") + ": name the training file");
  TrainOptions shared;
  read(file, train, "train", shared);
  check_train(file, "train", shared);
  recipe.has_teacher = !teacher.is_null();
  recipe.teacher = read_stage(file, "teacher", teacher, "teacher", shared);
  if (student.is_null()) student = Json::object();
  if (students.is_null()) students = Json::object();
  if (students.empty() && !student.empty()) students["student"] = Json::object();
  std::vector<std::string> names;
  for (const auto& [name, table] : students.items()) names.push_back(name);
  if (order.is_array()) {
    std::vector<std::string> wanted = order.get<std::vector<std::string>>();
    if (std::set<std::string>(wanted.begin(), wanted.end()) !=
        std::set<std::string>(names.begin(), names.end()))
      throw std::runtime_error(r.where("order") + ": must list each of [students] once");
    names = wanted;
  }
  for (const std::string& name : names) {
    if (name == "teacher") throw std::runtime_error("students.teacher: this name is the teacher's");
    Json table = student;
    merge(table, students[name]);
    std::string at = "students." + name;
    for (const auto& [key, place] : std::map<std::string, std::string>(file.where))
      if (key.rfind("student.", 0) == 0) file.where.try_emplace(at + key.substr(7), place);
    recipe.students.push_back(read_stage(file, name, table, at, shared));
  }
  return recipe;
}

Json data_table(const DataOptions& o) { return table_of(o); }
Json evaluate_table(const EvaluateOptions& o) { return table_of(o); }

Json stage_table(const Stage& s) {
  Json t = {{"init", s.init},
            {"method", s.method},
            {"train", table_of(s.train)},
            {"model", Json::parse(s.model.to_json())}};
  if (s.method == "terms") {
    t["terms"] = Json::array();
    for (const Term& term : s.terms) t["terms"].push_back(table_of(term));
  }
  return t;
}

Json recipe_table(const Recipe& r) {
  Json t = {{"name", r.name},
            {"output", r.output},
            {"seed", r.seed},
            {"device", r.device},
            {"data", table_of(r.data)},
            {"tokenizer", table_of(r.tokenizer)},
            {"evaluate", table_of(r.evaluate)}};
  if (r.has_teacher) t["teacher"] = stage_table(r.teacher);
  for (const Stage& s : r.students) {
    t["students"][s.name] = stage_table(s);
    t["order"].push_back(s.name);
  }
  return t;
}

}  // namespace retort
