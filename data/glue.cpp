// GLUE's files: columns parted by tabs, never quoted (MRPC's quotation marks do not pair), named by
// the first line; CoLA's alone has none.
#include <fmt/core.h>

#include <algorithm>
#include <stdexcept>

#include "data/records.h"
#include "data/tasks.h"

namespace retort {

constexpr const char* kBroken = "lines with too few columns";

NextRecord glue_records(const ReadOptions& options) {
  const Task& task = *find_task(options.format);
  auto reader = std::make_shared<LineReader>(options.paths[0]);
  std::vector<std::string> names{"source", "label", "mark", "sentence"};  // CoLA's
  if (options.format != "glue:cola") {
    std::string line;
    if (!reader->next(line))
      throw std::runtime_error(
          fmt::format("{}: the file is empty, a header was expected", options.paths[0]));
    names = split_tabs(line);
    for (const std::string& name : fields_of(task))
      if (std::find(names.begin(), names.end(), name) == names.end())
        throw std::runtime_error(fmt::format(
            "{}: no column '{}'; there are: {}{}", reader->where(), name, join(names),
            name == task.label ? "; test sets are published without labels, use dev.tsv" : ""));
  }
  // QQP's train.tsv as published has line breaks within some questions, so that either part has
  // fewer columns; programs that read it leave such lines out.
  bool breaks_lines = options.format == "glue:qqp";
  return [=, &task, classify = options.labelled](Example& example) {
    std::string line;
    std::vector<std::string> columns;
    do {
      if (!reader->next(line)) return false;
      columns = split_tabs(line);
    } while (breaks_lines && columns.size() < names.size() && ++example.left_out[kBroken]);
    if (columns.size() != names.size())
      throw std::runtime_error(fmt::format("{}: {} tab-separated columns, {} expected: {}",
                                           reader->where(), columns.size(), names.size(),
                                           join(names)));
    TaskRecord record;
    for (size_t i = 0; i < names.size(); i++) record.fields[names[i]] = one_line(columns[i]);
    record.line = reader->line_number();
    auto left_out = std::move(example.left_out);
    example = example_of(task, record, classify, reader->where());
    example.left_out = std::move(left_out);
    return true;
  };
}

}  // namespace retort
