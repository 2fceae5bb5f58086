// Prompts and answers are worded as in T5 (Raffel et al. 2020, appendix D, and its published code);
// COPA's answers are the alternatives themselves, where T5 writes their number.
#include "data/tasks.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <stdexcept>

#include "data/text.h"

namespace retort {
namespace {

const std::vector<Choice> kEntailment{{"entailment", "entailment"},
                                      {"not_entailment", "not_entailment"}},
    kTruth{{"false", "False"}, {"true", "True"}};

// 0.0, 0.2, ... 5.0: T5's 26 answers of STS-B.
std::vector<Choice> similarities() {
  std::vector<Choice> all;
  for (int i = 0; i <= 25; i++) {
    std::string number = fmt::format("{:.1f}", i / 5.0);
    all.push_back({number, number});
  }
  return all;
}

std::vector<Task> table() {
  return {
      {"glue:cola",
       "{sentence}",
       "cola sentence: {sentence}",
       "label",
       {{"0", "unacceptable"}, {"1", "acceptable"}},
       {"matthews", "accuracy"}},
      {"glue:sst2",
       "{sentence}",
       "sst2 sentence: {sentence}",
       "label",
       {{"0", "negative"}, {"1", "positive"}},
       {"accuracy"}},
      {"glue:mrpc",
       "{#1 String}\t{#2 String}",
       "mrpc sentence1: {#1 String} sentence2: {#2 String}",
       "Quality",
       {{"0", "not_equivalent"}, {"1", "equivalent"}},
       {"f1", "accuracy"}},
      {"glue:stsb",
       "{sentence1}\t{sentence2}",
       "stsb sentence1: {sentence1} sentence2: {sentence2}",
       "score",
       similarities(),
       {"pearson", "spearman"},
       true},
      {"glue:qqp",
       "{question1}\t{question2}",
       "qqp question1: {question1} question2: {question2}",
       "is_duplicate",
       {{"0", "not_duplicate"}, {"1", "duplicate"}},
       {"accuracy", "f1"}},
      {"glue:mnli",
       "{sentence1}\t{sentence2}",
       "mnli hypothesis: {sentence2} premise: {sentence1}",
       "gold_label",
       {{"entailment", "entailment"}, {"neutral", "neutral"}, {"contradiction", "contradiction"}},
       {"accuracy"}},
      {"glue:qnli",
       "{question}\t{sentence}",
       "qnli question: {question} sentence: {sentence}",
       "label",
       kEntailment,
       {"accuracy"}},
      {"glue:rte",
       "{sentence1}\t{sentence2}",
       "rte sentence1: {sentence1} sentence2: {sentence2}",
       "label",
       kEntailment,
       {"accuracy"}},
      {"glue:wnli",
       "{sentence1}\t{sentence2}",
       "wnli sentence1: {sentence1} sentence2: {sentence2}",
       "label",
       {{"0", "not_entailment"}, {"1", "entailment"}},
       {"accuracy"}},
      {"superglue:boolq",
       "{question}\t{passage}",
       "boolq passage: {passage} question: {question}",
       "label",
       kTruth,
       {"accuracy"}},
      {"superglue:cb",
       "{premise}\t{hypothesis}",
       "cb hypothesis: {hypothesis} premise: {premise}",
       "label",
       {{"entailment", "entailment"}, {"contradiction", "contradiction"}, {"neutral", "neutral"}},
       {"accuracy", "macro_f1"}},
      {"superglue:copa",
       "",
       "copa choice1: {choice1} choice2: {choice2} premise: {premise} question: {question}",
       "label",
       {{"0", "{choice1}"}, {"1", "{choice2}"}},
       {"accuracy"}},
      {"superglue:multirc",
       "{question} {answer}\t{paragraph}",
       "multirc question: {question} answer: {answer} paragraph: {paragraph}",
       "label",
       {{"0", "False"}, {"1", "True"}},
       {"f1", "exact_match"}},
      {"superglue:record",
       "",
       "record query: {query} entities: {entities} passage: {passage}",
       "",
       {},
       {"token_f1", "exact_match"}},
      {"superglue:rte",
       "{premise}\t{hypothesis}",
       "rte hypothesis: {hypothesis} premise: {premise}",
       "label",
       kEntailment,
       {"accuracy"}},
      {"superglue:wic",
       "{word}: {sentence1}\t{sentence2}",
       "wic pos: {pos} sentence1: {sentence1} sentence2: {sentence2} word: {word}",
       "label",
       kTruth,
       {"accuracy"}},
      {"superglue:wsc", "{text}", "wsc text: {text}", "label", kTruth, {"accuracy"}},
  };
}

// Calls text(piece) and field(name) for what a template is made of, in its order.
template <class Text, class Field>
void walk(std::string_view pattern, Text text, Field field) {
  while (!pattern.empty()) {
    size_t open = std::min(pattern.find('{'), pattern.size());
    text(pattern.substr(0, open));
    if (open == pattern.size()) return;
    size_t close = pattern.find('}', open);
    field(std::string(pattern.substr(open + 1, close - open - 1)));
    pattern.remove_prefix(close + 1);
  }
}

std::string fill(std::string_view pattern, const std::map<std::string, std::string>& fields) {
  std::string filled;
  walk(
      pattern, [&](std::string_view text) { filled += text; },
      [&](const std::string& name) { filled += fields.at(name); });
  return filled;
}

double number_of(const Task& task, const std::string& label, const std::string& where) {
  double value = 0;
  const char* end = label.data() + label.size();
  auto [at, error] = std::from_chars(label.data(), end, value);
  if (error != std::errc() || at != end || !(value >= 0 && value <= 5))
    throw std::runtime_error(fmt::format("{}: {} '{}' is not a number from 0 to 5, as {} has them",
                                         where, task.label, label, task.name));
  return value;
}

// Which of the task's answers a label stands for.
size_t answer_of(const Task& task, const std::string& label, const std::string& where) {
  if (task.numbers) return size_t(std::lround(number_of(task, label, where) * 5));
  std::vector<std::string> labels;
  for (const Choice& answer : task.answers) {
    if (answer.label == label) return labels.size();
    labels.push_back(answer.label);
  }
  throw std::runtime_error(fmt::format("{}: {} '{}' is not one of {}'s: {}", where, task.label,
                                       label, task.name, join(labels)));
}

}  // namespace

const std::vector<Task>& tasks() {
  static const std::vector<Task> all = table();
  return all;
}

const Task* find_task(const std::string& name) {
  for (const Task& task : tasks())
    if (task.name == name) return &task;
  return nullptr;
}

bool fixed_answers(const Task& task) {
  return !task.answers.empty() &&
         std::all_of(task.answers.begin(), task.answers.end(),
                     [](const Choice& a) { return a.text.find('{') == std::string::npos; });
}

std::vector<int> answer_tokens(const Task& task, const Tokenizer& tokenizer) {
  std::set<int> tokens{tokenizer.eos()};
  for (const Choice& answer : task.answers)
    for (int id : tokenizer.encode(answer.text)) tokens.insert(id);
  return {tokens.begin(), tokens.end()};
}

std::vector<std::string> fields_of(const Task& task) {
  std::vector<std::string> names;
  auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const char* pattern : {task.texts, task.prompt})
    walk(
        pattern, [](auto) {}, add);
  if (*task.label) add(task.label);
  return names;
}

Example example_of(const Task& task, const TaskRecord& record, bool classify,
                   const std::string& where) {
  if (classify && !*task.texts)
    throw std::invalid_argument(std::string(task.name) + " has no labels for layout classify");
  Example example;
  example.line = record.line, example.group = record.group;
  example.source = fill(classify ? task.texts : task.prompt, record.fields);
  if (*task.label) {
    example.label = record.fields.at(task.label);
    size_t right = answer_of(task, example.label, where);
    example.target = classify ? example.label : fill(task.answers[right].text, record.fields);
    for (const Choice& answer : task.answers)
      if (!classify) example.choices.push_back({answer.label, fill(answer.text, record.fields)});
    return example;
  }
  for (const std::string& choice : record.choices) {
    example.choices.push_back({choice, choice});
    if (std::find(record.right.begin(), record.right.end(), choice) != record.right.end())
      example.references.push_back(choice);
  }
  for (const std::string& answer : std::set<std::string>(record.right.begin(), record.right.end()))
    if (std::find(record.choices.begin(), record.choices.end(), answer) == record.choices.end())
      example.left_out["answers that are not among the choices"]++;
  if (example.references.empty())
    throw std::runtime_error(where +
                             ": no right answer is among the choices: " + join(record.choices));
  return example;
}

}  // namespace retort
