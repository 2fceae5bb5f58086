// The tasks of GLUE (Wang et al. 2018) and SuperGLUE (2019): which fields of a record make the text
// of a classifier and the prompt of a generative model, what may be answered, and the metrics that
// are published of them. A task's name is its `format` (data/reader.h).
#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/reader.h"
#include "data/tokenizer.h"

namespace retort {

/// In templates "{name}" stands for a field of the record: a column, or a key of the JSON object.
struct Task {
  const char* name;    ///< "glue:sst2"
  const char* texts;   ///< layout classify: one text or two, parted by a tab; "": no such layout
  const char* prompt;  ///< layouts seq2seq and causal
  const char* label;   ///< the field that holds the label; "": there are several right answers
  /// Labels as published, in the order of a classifier's classes, and what stands for them as an
  /// answer (a template). None where the record itself has them.
  std::vector<Choice> answers;
  std::vector<std::string> metrics;  ///< data/metrics.h; the first is the task's
  bool numbers = false;              ///< labels are numbers; answers the nearest of `answers`
};

/// All tasks, and the one of this name (null: no task).
const std::vector<Task>& tasks();
const Task* find_task(const std::string& name);

/// Whether every example has the same answers to choose from (COPA's and ReCoRD's have their own).
bool fixed_answers(const Task& task);
/// The tokens that occur in a task's fixed answers, and the end, in ascending order.
std::vector<int> answer_tokens(const Task& task, const Tokenizer& tokenizer);

/// The fields that a task's templates and label name, each once.
std::vector<std::string> fields_of(const Task& task);

/// What a file says of one example.
struct TaskRecord {
  std::map<std::string, std::string> fields;     ///< one line each
  std::vector<std::string> choices, right = {};  ///< where Task::label is ""
  size_t group = 0, line = 0;                    ///< as Example's
};

/// The example of a record: with `classify` its texts and label, else prompt, choices and the right
/// answer's text; right answers that are not among the choices are counted as left out. Throws
/// std::runtime_error that begins with `where` for a label that is none of
/// the task's, or where no right answer is among the choices.
Example example_of(const Task& task, const TaskRecord& record, bool classify,
                   const std::string& where);

}  // namespace retort
