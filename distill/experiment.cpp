#include "distill/experiment.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "build_commit.h"
#include "data/tasks.h"
#include "data/text.h"
#include "distill/hidden.h"
#include "engine/profile.h"
#include "engine/safetensors.h"
#include "engine/suggest.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

// NAME of data/sets/NAME/...; "" of other paths.
std::string set_of(const std::string& path) {
  const std::string sets = "data/sets/";
  size_t begin = path.find(sets), end = path.find('/', begin + sets.size());
  if (begin == std::string::npos || end == std::string::npos) return "";
  return path.substr(begin + sets.size(), end - begin - sets.size());
}

std::string counts(const std::map<std::string, size_t>& dropped) {
  std::string s;
  for (const auto& [why, n] : dropped)
    if (n) s += fmt::format("{}{} {}", s.empty() ? "; left out: " : ", ", n, why);
  return s;
}

}  // namespace

ReadOptions read_options(const DataOptions& d, const std::string& split) {
  ReadOptions r;
  r.format = d.format;
  bool second = split == "second_test";
  if (second && !d.second_format.empty()) r.format = d.second_format;
  r.paths = split == "train"   ? d.train
            : split == "valid" ? d.valid
            : second           ? d.second_test
                               : d.test;
  r.source = d.source, r.target = d.target, r.header = d.header;
  r.references = split == "train" ? d.references : "together";
  r.split_names = d.split_names, r.first_turn = d.first_turn;
  r.labelled = d.layout == "classify";
  r.min_words = d.min_words, r.max_words = d.max_words, r.max_characters = d.max_characters;
  r.deduplicate = d.deduplicate;
  r.limit = split == "train"   ? d.limit
            : split == "valid" ? d.valid_limit
            : second           ? d.second_limit
                               : d.test_limit;
  return r;
}

std::string checkpoint_path(const std::string& folder) {
  return folder + "/checkpoint.safetensors";
}
std::string weights_path(const std::string& folder) { return folder + "/model.safetensors"; }

Experiment::Experiment(Recipe recipe, Access access)
    : recipe_(std::move(recipe)),
      quiet_(access == Access::read),
      layout_(layout_named(recipe_.data.layout)) {
  exactness() = recipe_.exact;
  std::string path = recipe_.tokenizer.model;
  if (access == Access::write) lock();
  if (path.empty()) {
    path = recipe_.output + "/tokenizer.model";
    if (access == Access::write) make_vocabulary(path);
    if (!fs::exists(path))
      throw std::runtime_error(path +
                               ": there is no vocabulary, so no model; train one first, or " +
                               "name the right folder with output=FOLDER");
  }
  tokenizer_ = std::make_shared<Tokenizer>(Tokenizer::load(path));
  if (layout_ == Layout::masked && tokenizer_->mask() < 0)
    throw std::runtime_error(path +
                             ": has no piece <mask>, which data.layout masked needs; without "
                             "tokenizer.model a vocabulary is trained that has");
}

Experiment::~Experiment() {
  if (lock_ >= 0) ::close(lock_);
}

void Experiment::lock() {
  std::error_code error;
  fs::create_directories(recipe_.output, error);
  std::string path = recipe_.output + "/.lock";
  if (!error) lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    throw std::runtime_error(recipe_.output + ": cannot be made or written to: " +
                             (error ? error.message() : std::strerror(errno)) +
                             "; choose another with output=FOLDER");
  if (::flock(lock_, LOCK_EX | LOCK_NB))
    throw std::runtime_error(recipe_.output +
                             ": another retort is at work in this folder; wait for it, or choose "
                             "another with output=FOLDER");
}

// What the vocabulary was made from stands beside it.
void Experiment::make_vocabulary(const std::string& path) {
  Json made = training_data_table(recipe_.data);
  for (const char* key : {"train", "max_source", "max_target", "truncate"}) made.erase(key);
  made["size"] = recipe_.tokenizer.size, made["type"] = recipe_.tokenizer.type;
  std::string stamp = checksum_of(made.dump() + corpus("train").checksum);
  std::string stamp_path = path + ".made-from";
  if (fs::exists(path) && fs::exists(stamp_path) && read_file(stamp_path) == stamp) return;
  for (const auto& entry : fs::directory_iterator(recipe_.output))
    if (fs::exists(path) && (fs::exists(weights_path(entry.path().string())) ||
                             fs::exists(checkpoint_path(entry.path().string()))))
      throw std::runtime_error(path + ": was made from other training text or options, and " +
                               entry.path().string() +
                               " stands on it; choose another folder with output=FOLDER");
  std::vector<std::string> lines;
  for (const Example& e : corpus("train").examples) {
    if (!e.source.empty()) lines.push_back(e.source);
    if (layout_ != Layout::classify && !e.target.empty()) lines.push_back(e.target);
  }
  TokenizerOptions options{recipe_.tokenizer.size, recipe_.tokenizer.type};
  options.mask = layout_ == Layout::masked;
  Tokenizer::train(lines, path, options);
  write_file_atomically(stamp_path, stamp);
}

bool Experiment::has(const std::string& split) const {
  return !read_options(recipe_.data, split).paths.empty();
}

const Corpus& Experiment::corpus(const std::string& split) {
  auto found = corpora_.find(split);
  if (found != corpora_.end()) return found->second;
  if (!has(split)) throw std::runtime_error("data." + split + ": the recipe names no such file");
  ReadOptions options = read_options(recipe_.data, split);
  for (const std::string& path : options.paths)
    if (std::string set = set_of(path); !set.empty() && !fs::exists(path))
      throw std::runtime_error(path + ": is not there; obtain it with: data/get " + set);
  Corpus c = read_corpus(options);
  if (!quiet_) fmt::print("{}: {} examples{}\n", split, c.examples.size(), counts(c.dropped));
  return corpora_.emplace(split, std::move(c)).first->second;
}

const Encoded& Experiment::pairs(const std::string& split) {
  auto found = encoded_.find(split);
  if (found != encoded_.end()) return found->second;
  EncodeOptions o;
  o.layout = layout_, o.max_source = recipe_.data.max_source,
  o.max_target = recipe_.data.max_target;
  o.truncate = recipe_.data.truncate;
  o.labels = labels();
  Encoded e = encode(corpus(split), *tokenizer_, o);
  if (!quiet_ && !counts(e.counts).empty())
    fmt::print("{}: {} pairs{}\n", split, e.pairs.size(), counts(e.counts));
  return encoded_.emplace(split, std::move(e)).first->second;
}

Json Experiment::left_out(const std::string& split) {
  Json all = Json::object();
  for (const auto* counts : {&corpus(split).dropped, &pairs(split).counts})
    for (const auto& [why, n] : *counts)
      if (n) all[why] = n;
  return all;
}

const std::vector<std::string>& Experiment::labels() {
  if (layout_ != Layout::classify || recipe_.data.labels != "names" || !labels_.empty())
    return labels_;
  if (const Task* task = find_task(recipe_.data.format))
    for (const Choice& answer : task->answers) labels_.push_back(answer.label);
  else
    labels_ = label_names(corpus("train"));
  return labels_;
}

const Stage& Experiment::stage(const std::string& name) const {
  if (name == "teacher" && recipe_.has_teacher) return recipe_.teacher;
  std::vector<std::string> names;
  if (recipe_.has_teacher) names.push_back("teacher");
  for (const Stage& s : recipe_.students) {
    if (s.name == name) return s;
    names.push_back(s.name);
  }
  throw std::runtime_error("no model \"" + name + "\" in this recipe; there are: " + join(names) +
                           did_you_mean(name, names));
}

ModelConfig Experiment::resolve(ModelConfig c) {
  c.vocab = tokenizer_->size();
  c.pad = tokenizer_->pad(), c.bos = tokenizer_->bos(), c.eos = tokenizer_->eos();
  bool classify = layout_ == Layout::classify, masked = layout_ == Layout::masked;
  const char* wanted = layout_ == Layout::seq2seq ? "encoder_decoder"
                       : classify || masked       ? "encoder"
                                                  : "decoder";
  if (c.architecture != wanted)
    throw std::runtime_error(
        fmt::format("data.layout \"{}\" needs architecture = \"{}\", the model is \"{}\"",
                    recipe_.data.layout, wanted, c.architecture));
  if (classify) c.classes = recipe_.data.labels == "numbers" ? 1 : int(labels().size());
  if (masked) c.classes = 0;
  if (classify || masked) c.token_types = std::max(c.token_types, 2);
  c.check();
  return c;
}

Model Experiment::build(const Stage& stage) {
  ModelConfig config = resolve(stage.model);
  Profile::mark("data");
  Model model = initial(stage, config);
  const ModelConfig& teacher = recipe_.teacher.model;
  auto hidden = [](const Term& t) { return t.loss == "hidden"; };
  auto term = std::find_if(stage.terms.begin(), stage.terms.end(), hidden);
  if (term == stage.terms.end()) return model;
  std::vector<HiddenMatch> matches = hidden_matches(term->layers, config, teacher);
  Model with(config, recipe_.seed, dtype_of(recipe_), device(), [&](Parameters& parameters) {
    add_projections(parameters, matches, config.width, teacher.width);
  });
  with.parameters().load(model.parameters().values(), true);
  return with;
}

std::string Experiment::trained(const std::string& name) const {
  std::string path = weights_path(folder(stage(name).name));
  if (!fs::exists(path))
    throw std::runtime_error(
        path + ": no trained model here; make it with: retort " +
        (name == "teacher" ? "train RECIPE" : "distill RECIPE --student " + name));
  return path;
}

Model Experiment::load(const std::string& name) {
  const Stage& s = stage(name);
  std::string path = trained(name);
  TensorFile file = load_safetensors(path);
  std::string hash = file.metadata.count("tokenizer") ? file.metadata.at("tokenizer") : "";
  if (hash != tokenizer_->hash())
    throw std::runtime_error(path + ": was trained with another vocabulary than " + recipe_.output +
                             "/tokenizer.model; remove the folder or set output=FOLDER");
  Model model(resolve(s.model), recipe_.seed, dtype_of(recipe_), device());
  if (file.metadata["stage"] != name)
    throw std::runtime_error(path + ": these are the weights of \"" + file.metadata["stage"] +
                             "\", not of \"" + name + "\"");
  std::string other = model.config().difference(file.metadata["config"]);
  if (!other.empty())
    throw std::runtime_error(path + ": was trained with another " + name + ".model: " + other +
                             "; use its recipe, or train anew");
  try {
    model.parameters().load(file.tensors);
  } catch (const std::exception& e) {
    throw std::runtime_error(path + ": " + e.what());
  }
  model.parameters().drop_grads();  // who loads a model asks it
  return model;
}

// All but weights.
Json Experiment::made_by(const Stage& stage) {
  Json t = stage_table(stage);
  for (const char* key : {"log_every", "save_every", "valid_every", "graph", "tensorboard"})
    t["train"].erase(key);
  t["data"] = training_data_table(recipe_.data);
  t["seed"] = recipe_.seed;
  t["terms"] = terms_table(stage.terms);  // a method's name may come to stand for others
  // Another device or type rounds differently. What is usual is left out: runs from before there
  // was a choice go on.
  if (recipe_.device != "cpu") t["device"] = recipe_.device;
  if (recipe_.dtype != "f32") t["dtype"] = recipe_.dtype;
  if (recipe_.exact.tf32) t["tf32"] = true;
  t["train_checksum"] = corpus("train").checksum;
  t["tokenizer_hash"] = tokenizer_->hash();
  if (std::string file = init_file(stage.init).path; fs::is_regular_file(file))
    t["init_hash"] = checksum(file);
  return t;
}

std::vector<std::string> Experiment::needs(const Stage& stage) const {
  std::vector<std::string> stages;
  bool teacher = stage.init.rfind("teacher:", 0) == 0;
  for (const Term& term : stage.terms) teacher |= term.loss != "ce" || stage.sees("teacher");
  if (teacher) stages.push_back("teacher");
  if (stage.init.rfind("student:", 0) == 0) stages.push_back(stage.init.substr(8));
  return stages;
}

std::string Experiment::fingerprint(const Stage& stage) {
  Json t = made_by(stage);
  for (const std::string& name : needs(stage))
    if (std::string file = weights_path(folder(name)); fs::exists(file))
      t[name == "teacher" ? "teacher_hash" : "init_hash"] = checksum(file);
  return t.dump();
}

std::string Experiment::results_of(const Stage& s, bool any_seed) {
  Json made = made_by(s), how = {{"evaluate", evaluate_table(recipe_.evaluate)},
                                 {"limit", evaluation_split() == "test" ? recipe_.data.test_limit
                                                                        : recipe_.data.valid_limit},
                                 {"checksum", corpus(evaluation_split()).checksum}};
  if (has("second_test"))
    how["second"] = {corpus("second_test").checksum, recipe_.data.second_limit,
                     recipe_.data.second_format};
  if (any_seed) made.erase("seed");
  std::vector<std::string> others = needs(s);
  if (s.name != "teacher" && recipe_.has_teacher) others.push_back("teacher");  // it judges
  std::string text = made.dump() + how.dump();
  for (const std::string& name : others) text += results_of(stage(name), any_seed);
  return checksum_of(text);
}

std::string Experiment::results_fingerprint(const Stage& s) { return results_of(s, false); }
std::string Experiment::recipe_fingerprint(const Stage& s) { return results_of(s, true); }

std::string Experiment::evaluation_split() const {
  if (!has("test") && !has("valid"))
    throw std::runtime_error("data.test: name a test file (or data.valid) to evaluate on");
  return has("test") ? "test" : "valid";
}

void Experiment::write_manifest(const Stage& stage) {
  std::string dir = folder(stage.name);
  fs::create_directories(dir);
  write_file_atomically(dir + "/recipe.toml", to_toml(recipe_table(recipe_)));
  Json m = {{"stage", stage.name},
            {"seed", recipe_.seed},
            {"commit", RETORT_COMMIT},
            {"version", RETORT_VERSION},
            {"tokenizer", tokenizer_->hash()},
            {"fingerprint", Json::parse(fingerprint(stage))}};
  for (const char* split : {"train", "valid", "test", "second_test"})
    if (has(split)) m["checksums"][split] = corpus(split).checksum;
  write_file_atomically(dir + "/manifest.json", m.dump(2) + "\n");
}

Inputs inputs_of(const Batch& b, Layout layout, Device device) {
  Inputs in;
  bool encoder = layout == Layout::classify || layout == Layout::masked;
  if (layout == Layout::seq2seq || encoder) {
    in.source = Tensor::from(b.source, {b.size, b.source_length}, device);
    in.source_lengths = Tensor::from(b.source_lengths, {b.size}, device);
    if (!b.token_types.empty())
      in.token_types = Tensor::from(b.token_types, {b.size, b.source_length}, device);
    if (layout == Layout::masked)
      in.positions = Tensor::from(b.positions, {int(b.positions.size())}, device);
  }
  if (!encoder) {
    in.target = Tensor::from(b.decoder_input, {b.size, b.target_length}, device);
    in.target_lengths = Tensor::from(b.target_lengths, {b.size}, device);
  }
  return in;
}

}  // namespace retort
