// What a recipe may say: ranges and names, so that a mistake ends before any training begins.
#include <fmt/core.h>

#include <cmath>

#include "data/metrics.h"
#include "data/tasks.h"
#include "data/text.h"
#include "distill/checks.h"
#include "distill/hidden.h"
#include "engine/suggest.h"
#include "losses/divergence.h"
#include "losses/transport.h"

namespace retort {
namespace {

void check(const Table& t, const DataOptions& o) {
  t.one_of("format", o.format, format_names());
  t.one_of("references", o.references, {"each", "first"});
  t.one_of("layout", o.layout, {"seq2seq", "causal", "blocks", "classify", "masked"});
  t.one_of("labels", o.labels, {"names", "numbers"});
  if (o.train.empty()) t.refuse("train", "name the training file");
  size_t files = format_files(o.format);
  for (auto [key, paths] : {std::pair{"train", &o.train}, {"valid", &o.valid}, {"test", &o.test}})
    if (!paths->empty() && !format_takes(o.format, paths->size()))
      t.refuse(key, "format " + o.format + " takes " +
                        (files == 1 ? "one file" : "two files, source and target"));
  if (!o.second_format.empty()) t.one_of("second_format", o.second_format, format_names());
  const std::string& other = o.second_format.empty() ? o.format : o.second_format;
  files = format_files(other);
  if (!o.second_test.empty() && !format_takes(other, o.second_test.size()))
    t.refuse("second_test", std::string("its format takes ") +
                                (files == 1 ? "one file" : "two files, source and target"));
  for (auto [key, set] :
       {std::pair{"second_format", !o.second_format.empty()}, {"second_limit", o.second_limit > 0}})
    if (set && o.second_test.empty()) t.refuse(key, "is for data.second_test, which is not given");
  bool running = o.layout == "blocks" || o.layout == "masked";  // text, without examples
  if (!o.second_test.empty() && running)
    t.refuse("second_test", "is for metrics; data.layout " + o.layout + " has none");
  const Task* task = find_task(o.format);
  const Task* second = o.second_format.empty() ? task : find_task(o.second_format);
  if (task && running)
    t.refuse("layout", "format " + o.format + " is for classify, seq2seq and causal");
  if (task && o.layout == "classify" && !*task->texts)
    t.refuse("layout", "format " + o.format +
                           " is a choice between answers of its own; use seq2seq or causal");
  if (task && o.layout == "classify" && (o.labels == "numbers") != task->numbers)
    t.refuse("labels", "format " + o.format + " has " + (task->numbers ? "numbers" : "names"));
  if ((task ? task->metrics : std::vector<std::string>()) !=
      (second ? second->metrics : std::vector<std::string>()))
    t.refuse("second_format", "has other metrics than data.format; use a task that has the same");
  t.at_least("max_source", o.max_source, 1);
  t.at_least("max_target", o.max_target, 1);
}

void check(const Table& t, const VocabularyOptions& o) {
  t.one_of("type", o.type, {"unigram", "bpe"});
  t.at_least("size", o.size, 5);
}

void check(const Table& t, const Decoding& o, bool gold = false) {
  std::vector<std::string> methods{"greedy", "beam", "beam_sample", "sample"};
  if (gold) methods.push_back("gold");
  t.one_of("method", o.method, methods);
  t.at_least("beams", o.beams, 1);
  t.at_least("length_penalty", o.length_penalty, 0);
  t.at_least("temperature", o.temperature, 0, true);
  t.at_least("top_k", o.top_k, 0);
  t.at_least("min_length", o.min_length, 0);
  if (!(o.top_p > 0 && o.top_p <= 1)) t.refuse("top_p", "must lie in (0, 1]");
  if (o.method == "beam_sample" && (o.top_k == 0 || o.temperature != 1 || o.top_p != 1))
    t.refuse(o.top_k == 0 ? "top_k" : "method",
             "beam_sample draws of the top_k likeliest tokens, at temperature 1, without top_p");
}

const char* name_of(Lines lines) {
  return lines == Lines::text ? "text" : lines == Lines::labels ? "labels" : "numbers";
}

// What a metric compares must be what the data's outputs are; a task has its own in any case.
void check_metrics(const Table& t, const Recipe& r) {
  std::vector<std::string> usual = usual_metrics(r.data);
  Lines lines = find_metric(usual[0]).lines;
  for (const std::string& name : r.evaluate.metrics)
    if (Lines its = find_metric(name).lines;
        its != lines && std::find(usual.begin(), usual.end(), name) == usual.end())
      t.refuse("metrics", fmt::format("{} is of {}, this data's outputs are {}: {}", name,
                                      name_of(its), name_of(lines), join(usual)));
}

void check(const Table& t, const EvaluateOptions& o) {
  check(t, static_cast<const Decoding&>(o));
  t.at_least("rows", o.rows, 1);
  for (const std::string& name : o.metrics) try {
      known_metric(name);
    } catch (const std::exception& e) {
      t.refuse("metrics", e.what());
    }
  t.at_least("max_length", o.max_length, std::max(1, o.min_length));
}

void check(const Table& t, const TrainOptions& o) {
  t.one_of("optimizer", o.optimizer.name, {"adamw", "adafactor"});
  t.one_of("schedule", o.schedule, {"constant", "linear", "cosine", "inverse_sqrt"});
  t.one_of("reduction", o.reduction, {"tokens", "sequences", "batch"});
  t.at_least("steps", double(o.steps), 0), t.at_least("epochs", o.epochs, 0, true);
  t.at_least("tokens", o.tokens, 1), t.at_least("rows", o.rows, 0);
  t.at_least("accumulate", o.accumulate, 1);
  t.in_unit("beta1", o.optimizer.beta1), t.in_unit("beta2", o.optimizer.beta2);
  t.at_least("eps", o.optimizer.eps, 0, true);
  t.at_least("weight_decay", o.optimizer.weight_decay, 0);
  t.at_least("learning_rate", o.learning_rate, 0, true), t.at_least("floor", o.floor, 0);
  t.at_least("warmup", double(o.warmup), 0), t.at_least("clip", o.clip, 0);
  t.in_unit("smoothing", o.smoothing);
  t.at_least("log_every", double(o.log_every), 0);
  t.at_least("valid_every", double(o.valid_every), 0);
  t.at_least("save_every", double(o.save_every), 0);
}

// The positions a model may have to see: the longest data the recipe lets in, or what it generates.
int longest(const Recipe& r) {
  const DataOptions& d = r.data;
  if (d.layout == "classify" || d.layout == "masked") return d.max_source + 2;
  if (d.layout == "blocks") return d.max_target;
  int target = d.max_target + 1;
  if (!has_answers(d)) target = std::max(target, r.evaluate.max_length);
  return d.layout == "causal" ? d.max_source + target : std::max(d.max_source + 1, target);
}

// Masked tokens are single decisions: what is of sequences has no meaning.
void check_masked(const TomlFile& file, const std::string& path, const Stage& s) {
  if (s.train.reduction == "sequences")
    Table{file, path + ".train"}.refuse(
        "reduction",
        "is \"tokens\" or \"batch\" with data.layout masked, whose blocks have "
        "equally many masked tokens");
  for (const Term& term : s.terms)
    if (term.mixture != "arithmetic")
      Table{file, path}.refuse("mixture",
                               "exact ones are of sequences, data.layout masked has none");
}

void check(const TomlFile& file, const std::string& path, const Stage& s, const Recipe& recipe) {
  check(Table{file, path + ".train"}, s.train);
  Table theirs{file, path + ".teacher_sequences"};
  check(theirs, s.teacher_sequences, true);
  check_kept(theirs, s, recipe.tokenizer);
  Table own{file, path + ".student_sequences"}, mix{file, path + ".mix"};
  check(own, s.student_sequences);
  for (auto [table, d] : {std::pair<Table*, const Decoding*>{&theirs, &s.teacher_sequences},
                          {&own, &s.student_sequences}})
    if (d->min_length > recipe.data.max_target)
      table->refuse("min_length", fmt::format("{} tokens, data.max_target allows {}", d->min_length,
                                              recipe.data.max_target));
  own.at_least("every", double(s.student_sequences.every), 1);
  own.at_least("replay", s.student_sequences.replay, 0);
  if (s.student_sequences.replay > 0 && s.student_sequences.every == 1)
    own.refuse("replay", "is used between two drawings; set every above 1");
  for (auto [key, m] : {std::pair{".mix", &s.mix}, {".mix_end", &s.mix_end}}) {
    Table shares{file, path + key};
    shares.at_least("gold", m->gold, 0), shares.at_least("teacher", m->teacher, 0);
    shares.at_least("student", m->student, 0);
  }
  if (s.train.graph)
    for (const Term& term : s.terms)
      if (is_transport(term.loss) || (s.uses_kept(term) && s.teacher_sequences.keep == "top_k"))
        Table{file, path + ".train"}.refuse(
            "graph", term.loss + (is_transport(term.loss) ? "" : " on kept top_k rows") +
                         " looks at numbers on its way, which a graph cannot; use graph = false");
  const StudentSequences& d = s.student_sequences;
  bool sampled = d.method == "sample" && d.temperature == 1 && d.top_k == 0 && d.top_p == 1 &&
                 d.min_length == 0;
  for (const Term& t : s.terms) {
    if (t.on != "gold" && recipe.data.layout == "blocks")
      Table{file, path}.refuse("method",
                               s.method +
                                   ": data.layout blocks has no prompts that a model could "
                                   "go on from; use kd, or terms on gold");
    if (t.score_term != "none" && (!sampled || d.every > 1))
      own.refuse(d.every > 1 ? "every" : "method",
                 "score_term needs the student's own samples of every update: method sample, "
                 "temperature 1, all tokens, any length, every 1");
    if (t.score_term != "none" && s.train.reduction != "batch")
      Table{file, path + ".train"}.refuse(
          "reduction",
          "must be \"batch\" with score_term: a mean over tokens changes with the "
          "length of a sample, which then has a gradient too");
    if (t.on != "mixed") continue;
    if (s.mix.sum() == 0 || s.mix_end.sum() == 0)
      Table{file, path}.refuse(
          "mix", "terms on mixed sequences need shares: mix = {gold = 0.5, student = 0.5}");
    if (t.loss == "ce" && s.mix.student + s.mix_end.student > 0)
      mix.refuse("student", "cross-entropy on the student's own samples makes it collapse");
  }
  if (recipe.data.layout == "masked") check_masked(file, path, s);
  for (size_t i = 0; i < s.terms.size(); i++) {
    Table term{file, path + ".terms." + std::to_string(i)};
    check_term(term, s.terms[i], recipe.data);
    if (s.terms[i].loss != "hidden" || !recipe.has_teacher) continue;
    for (size_t k = 0; k < i; k++)
      if (s.terms[k].loss == "hidden") term.refuse("loss", "one term of hidden states is enough");
    try {
      hidden_matches(s.terms[i].layers, s.model, recipe.teacher.model);
    } catch (const std::exception& e) {
      term.refuse("layers", e.what());
    }
  }
  Table model{file, path + ".model"};
  ModelConfig whole = s.model;  // what the data will decide stands in for itself
  whole.vocab = 1 << 20, whole.classes = std::max(1, whole.classes);
  try {
    whole.check();
  } catch (const std::exception& e) {
    model.refuse("", e.what());
  }
  int head = whole.head_size ? whole.head_size : whole.width / whole.heads;
  if (recipe.device == "cuda" && head > 128)
    model.refuse("head_size", std::to_string(head) +
                                  " numbers are too many for attention on cuda, which takes 128; "
                                  "use more heads, or device = \"cpu\"");
  int needed = longest(recipe);
  if (whole.positions == "learned" && whole.max_positions < needed)
    model.refuse("max_positions", std::to_string(whole.max_positions) +
                                      " are too few: " + std::to_string(needed) +
                                      " follow from data.max_source, data.max_target and "
                                      "evaluate.max_length");
}

// A teacher has no teacher.
void check_teacher(const Table& t, const Stage& teacher) {
  for (const Term& term : teacher.terms)
    if (term.loss != "ce" || term.on != "gold")
      t.refuse("method", teacher.method +
                             ": the teacher has no teacher to learn from; mle, on the "
                             "gold text, is what it can do");
  if (teacher.init.rfind("teacher:", 0) == 0 || teacher.init.rfind("student:", 0) == 0)
    t.refuse("init", "\"" + teacher.init +
                         "\": the teacher is made before all others; random, a "
                         "file or a published folder is what it can start from");
}

void check_name(const TomlFile& file, const std::string& name) {
  const char* letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
  Table t{file, "students"};
  if (name == "teacher") t.refuse(name, "this name is the teacher's");
  if (name.empty() || name[0] == '.' || name.size() > 100 || name == "tokenizer.model" ||
      name == "results.md" || name.find_first_not_of(letters) != std::string::npos)
    t.refuse(name,
             "a student's name is its folder's: letters, digits, '_', '-' and '.', the first "
             "not '.'");
}

}  // namespace

const Metric& known_metric(const std::string& name) {
  try {
    return find_metric(name);
  } catch (const std::exception& e) {
    std::vector<std::string> names;
    for (const Metric& metric : metrics()) names.push_back(metric.name);
    throw std::runtime_error(e.what() + did_you_mean(name, names));
  }
}

std::string no_such(const std::string& value, const std::vector<std::string>& names) {
  std::string list, near = nearest(value, names);
  for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
  return "no \"" + value + "\"; there are: " + list +
         (near.empty() ? "" : "; did you mean \"" + near + "\"?");
}

void check_recipe(const TomlFile& file, const Recipe& recipe) {
  Table top{file, ""};
  top.one_of("device", recipe.device, {"cpu", "cuda"});
  if (std::string why = cuda_missing(); recipe.device == "cuda" && !why.empty())
    top.refuse("device", "cuda: " + why);
  top.one_of("dtype", recipe.dtype, {"f32", "bf16"});
  check(Table{file, "data"}, recipe.data);
  check(Table{file, "tokenizer"}, recipe.tokenizer);
  check(Table{file, "evaluate"}, recipe.evaluate);
  check_metrics(Table{file, "evaluate"}, recipe);
  if (recipe.has_teacher) {
    check(file, "teacher", recipe.teacher, recipe);
    check_teacher(Table{file, "teacher"}, recipe.teacher);
  }
  std::map<std::string, const Stage*> before;
  for (const Stage& s : recipe.students) {
    check_name(file, s.name);
    check(file, "students." + s.name, s, recipe);
    Table at{file, "students." + s.name};
    if (s.init.rfind("student:", 0) == 0) {
      std::string first = s.init.substr(8);
      if (!before.count(first))
        at.refuse("init", "no student \"" + first + "\" is made before this one; see `order`");
      std::string other = s.model.difference(before[first]->model.to_json());
      if (!other.empty()) at.refuse("init", first + " is another model: " + other);
    }
    before[s.name] = &s;
  }
}

}  // namespace retort
