// One loop over records for every format; a format only says how the next record is found.
#include "data/reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <unordered_set>
#include <utility>

#include "data/records.h"
#include "data/tasks.h"

namespace retort {
namespace {

// The source of an example: its texts joined by tabs.
std::string join_texts(const std::vector<std::string>& texts) {
  std::string source;
  for (size_t i = 0; i < texts.size(); i++) {
    if (i > 0) source += '\t';
    source += texts[i];
  }
  return source;
}

// Index of a column given by number from 1, or by its name in `header`.
size_t column_index(const std::string& column, const std::vector<std::string>& header,
                    const std::string& where) {
  auto named = std::find(header.begin(), header.end(), column);
  if (named != header.end()) return named - header.begin();
  size_t number = 0;
  auto [end, error] = std::from_chars(column.data(), column.data() + column.size(), number);
  if (error != std::errc() || end != column.data() + column.size() || number == 0)
    throw std::runtime_error(
        header.empty()
            ? fmt::format(
                  "{}: column '{}' is not a number from 1; set header if line 1 names the columns",
                  where, column)
            : fmt::format("{}: no column '{}'; there are: {}", where, column, join(header)));
  return number - 1;
}

NextRecord tsv_records(const ReadOptions& options) {
  if (options.source.empty()) throw std::invalid_argument("read_corpus: tsv needs a source column");
  auto reader = std::make_shared<LineReader>(options.paths[0]);
  std::vector<std::string> header;
  if (std::string line; options.header) {
    if (!reader->next(line))
      throw std::runtime_error(
          fmt::format("{}: the file is empty, a header was expected", options.paths[0]));
    header = split_tabs(line);
  }
  std::string where = options.header ? reader->where() : options.paths[0];
  std::vector<size_t> sources;
  for (const std::string& name : options.source)
    sources.push_back(column_index(name, header, where));
  size_t target = column_index(options.target, header, where);
  size_t needed = std::max(target, *std::max_element(sources.begin(), sources.end())) + 1;
  return [=](Example& example) {
    std::string line;
    if (!reader->next(line)) return false;
    std::vector<std::string> columns = split_tabs(line);
    if (columns.size() < needed)
      throw std::runtime_error(fmt::format("{}: {} tab-separated columns, at least {} expected",
                                           reader->where(), columns.size(), needed));
    example.target = columns[target], example.line = reader->line_number();
    std::vector<std::string> texts;
    for (size_t i : sources) texts.push_back(columns[i]);
    example.source = join_texts(texts);
    return true;
  };
}

NextRecord parallel_records(const ReadOptions& options) {
  auto source = std::make_shared<LineReader>(options.paths[0]);
  auto target = std::make_shared<LineReader>(options.paths[1]);
  return [=](Example& example) {
    bool more = source->next(example.source), both = target->next(example.target);
    example.line = source->line_number();
    if (more == both) return both;
    std::string line;
    while (source->next(line)) {
    }
    while (target->next(line)) {
    }
    throw std::runtime_error(
        fmt::format("{} has {} lines but {} has {}: the files are not line-aligned", source->path(),
                    source->line_number(), target->path(), target->line_number()));
  };
}

NextRecord jsonl_records(const ReadOptions& options) {
  auto reader = std::make_shared<LineReader>(options.paths[0]);
  auto field = [reader](const nlohmann::json& object, const std::string& name) {
    auto found = object.find(name);
    if (found == object.end()) {
      std::vector<std::string> names;
      for (auto& item : object.items()) names.push_back(item.key());
      throw std::runtime_error(
          fmt::format("{}: no field \"{}\"; there are: {}", reader->where(), name, join(names)));
    }
    if (!found->is_string() && !found->is_number())
      throw std::runtime_error(
          fmt::format("{}: field \"{}\" is {}, a string or a number was expected", reader->where(),
                      name, found->type_name()));
    std::string text = found->is_string() ? found->get<std::string>() : found->dump();
    // Texts are single lines from here on, and the tab separates the texts of a pair.
    for (char& c : text)
      if (c == '\t' || c == '\n' || c == '\r') c = ' ';
    return text;
  };
  return [=](Example& example) {
    nlohmann::json object;
    if (!next_object(*reader, object)) return false;
    example.target = field(object, options.target), example.line = reader->line_number();
    std::vector<std::string> texts;
    for (const std::string& name : options.source) texts.push_back(field(object, name));
    example.source = join_texts(texts);
    return true;
  };
}

NextRecord text_records(const ReadOptions& options) {
  auto reader = std::make_shared<LineReader>(options.paths[0]);
  return [reader, paths = options.paths, file = size_t(0)](Example& example) mutable {
    while (!reader->next(example.target)) {
      if (++file >= paths.size()) return false;
      reader = std::make_shared<LineReader>(paths[file]);
    }
    example.line = reader->line_number();
    return true;
  };
}

NextRecord xsum_records(const ReadOptions& options) {
  ReadOptions fields = options;
  fields.source = {"document"}, fields.target = "summary";
  return jsonl_records(fields);
}

struct Format {
  size_t files;
  NextRecord (*records)(const ReadOptions&);
};

const std::vector<std::pair<std::string, Format>>& formats() {
  static const std::vector<std::pair<std::string, Format>> all = [] {
    std::vector<std::pair<std::string, Format>> known = {
        {"tsv", {1, tsv_records}},
        {"parallel", {2, parallel_records}},
        {"jsonl", {1, jsonl_records}},
        {"text", {1, text_records}},
        {"dart", {1, dart_records}},
        {"webnlg", {1, webnlg_records}},
        {"xsum", {1, xsum_records}},
        {"wmt_sgm", {2, sgm_records}},
        {"commonsense_dialogues", {1, dialogue_records}}};
    for (const Task& task : tasks()) {
      bool glue = std::string(task.name).starts_with("glue:");
      known.push_back({task.name, {1, glue ? glue_records : superglue_records}});
    }
    return known;
  }();
  return all;
}

NextRecord records(const ReadOptions& options) {
  for (const auto& [name, format] : formats()) {
    if (name != options.format) continue;
    if (!format_takes(name, options.paths.size()))
      throw std::invalid_argument(
          fmt::format("read_corpus: format {} takes {} file{}, {} given", name, format.files,
                      format.files == 1 ? "" : "s (source, target)", options.paths.size()));
    return format.records(options);
  }
  throw std::invalid_argument(fmt::format("read_corpus: unknown format '{}'; there are: {}",
                                          options.format, join(format_names())));
}

// What a record becomes: itself or, where it has several references, an example of each, of the
// first or of all together.
std::vector<Example> examples_of(Example record, const std::string& references) {
  if (record.references.empty()) return {std::move(record)};
  record.target = record.references[0];
  if (references == "together") return {std::move(record)};
  std::vector<std::string> targets = std::move(record.references);
  record.references.clear();
  if (references == "first") targets.resize(1);
  std::vector<Example> examples(targets.size(), record);
  for (size_t i = 0; i < targets.size(); i++) examples[i].target = targets[i];
  return examples;
}

// Of a folder, the checksum of what its files are called and hold.
std::string checksum_of_path(const std::string& path) {
  std::vector<std::string> files = xml_files(path);
  if (files[0] == path) return checksum(path);
  std::string list;
  for (const std::string& file : files)
    list += file.substr(path.size()) + ' ' + checksum(file) + '\n';
  return checksum_of(list);
}

// Why an example is left out, or "" when it is kept.
std::string reason_to_drop(const Example& example, const ReadOptions& options, bool has_source) {
  const std::string &source = example.source, &target = example.target;
  auto within = [&](auto holds) {
    bool counts =
        !options.labelled && example.choices.empty();  // the target is of the corpus' text
    return (!has_source || holds(source)) && (!counts || holds(target));
  };
  if ((has_source && words_of(source).empty()) || words_of(target).empty()) return "empty";
  if (!within([&](auto& text) { return words_of(text).size() >= options.min_words; }))
    return fmt::format("fewer than {} words", options.min_words);
  if (options.max_words &&
      !within([&](auto& text) { return words_of(text).size() <= options.max_words; }))
    return fmt::format("more than {} words", options.max_words);
  if (options.max_characters &&
      !within([&](auto& text) { return count_characters(text) <= options.max_characters; }))
    return fmt::format("more than {} characters", options.max_characters);
  return "";
}

}  // namespace

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const auto& [name, format] : formats()) names.push_back(name);
  return names;
}

size_t format_files(const std::string& wanted) {
  for (const auto& [name, format] : formats())
    if (name == wanted) return format.files;
  return 0;
}

bool format_takes(const std::string& format, size_t files) {
  size_t least = format_files(format);
  return least > 0 && (files == least || (format == "text" && files > least));
}

Corpus read_corpus(const ReadOptions& options) {
  NextRecord next = records(options);
  bool has_source = options.format != "text" && !options.source.empty();
  Corpus corpus;
  std::unordered_set<std::string> seen;
  size_t total = 0;
  auto add = [&](Example example) {
    std::string reason = reason_to_drop(example, options, has_source);
    if (reason.empty() && options.deduplicate &&
        !seen.insert(example.source + '\n' + example.target).second)
      reason = "duplicate";
    if (reason.empty() && options.limit && corpus.examples.size() == options.limit)
      reason = fmt::format("past the limit of {}", options.limit);
    total++;
    if (reason.empty())
      corpus.examples.push_back(std::move(example));
    else
      corpus.dropped[reason]++;
  };
  for (bool more = true; more;) {
    Example record;
    more = next(record);
    for (const auto& [reason, count] : std::exchange(record.left_out, {}))
      corpus.dropped[reason] += count;
    if (!more) break;
    size_t blank = std::erase_if(record.references, [](auto& r) { return words_of(r).empty(); });
    if (blank) corpus.dropped["empty reference"] += blank;
    for (Example& example : examples_of(std::move(record), options.references))
      add(std::move(example));
  }
  std::vector<std::string> reasons;
  for (auto& [reason, count] : corpus.dropped)
    reasons.push_back(fmt::format("{} {}", count, reason));
  if (corpus.examples.empty())
    throw std::runtime_error(
        reasons.empty()
            ? fmt::format("{}: the file is empty, examples were expected", options.paths[0])
            : fmt::format("{}: none of {} examples is left: {}", options.paths[0], total,
                          join(reasons)));
  corpus.path = options.paths[0];
  for (const std::string& path : options.paths)
    corpus.checksum += (corpus.checksum.empty() ? "" : "+") + checksum_of_path(path);
  return corpus;
}

}  // namespace retort
