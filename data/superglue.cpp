// SuperGLUE's files: a JSON object a line. Most are fields and a label; MultiRC has an example for
// each answer of each question, ReCoRD for each query; WSC's two spans are marked in the text.
#include <fmt/core.h>

#include <algorithm>
#include <deque>
#include <stdexcept>

#include "data/records.h"
#include "data/tasks.h"

namespace retort {
namespace {

using nlohmann::json;

// Keys of one line's objects, or an error with the line.
struct Fields {
  std::string where;

  const json& at(const json& object, const char* key, json::value_t type) const {
    auto found = object.find(key);
    if (found == object.end()) {
      std::vector<std::string> names;
      for (auto& item : object.items()) names.push_back(item.key());
      throw std::runtime_error(
          fmt::format("{}: no field \"{}\"; there are: {}{}", where, key, join(names),
                      key == std::string("label") || key == std::string("answers")
                          ? "; test sets are published without labels, use val.jsonl"
                          : ""));
    }
    bool number = found->is_number_integer() && type == json::value_t::number_integer;
    if (!number && type != json::value_t::null && found->type() != type)
      throw std::runtime_error(fmt::format("{}: field \"{}\" is {}, {} was expected", where, key,
                                           found->type_name(), json(type).type_name()));
    return *found;
  }
  const json& object(const json& from, const char* key) const {
    return at(from, key, json::value_t::object);
  }
  // A list of objects.
  const json& list(const json& from, const char* key) const {
    const json& all = at(from, key, json::value_t::array);
    for (const json& item : all)
      if (!item.is_object())
        throw std::runtime_error(fmt::format("{}: field \"{}\" holds {}, objects were expected",
                                             where, key, item.type_name()));
    return all;
  }
  // A string as it stands, or as one line; a number or a truth value as a label is written.
  std::string raw(const json& from, const char* key) const {
    return at(from, key, json::value_t::string).get<std::string>();
  }
  std::string text(const json& from, const char* key) const {
    const json& value = at(from, key, json::value_t::null);
    if (!value.is_string() && !value.is_number() && !value.is_boolean())
      throw std::runtime_error(fmt::format("{}: field \"{}\" is {}, a text or a label was expected",
                                           where, key, value.type_name()));
    return one_line(value.is_string() ? value.get<std::string>() : value.dump());
  }
  size_t number(const json& from, const char* key) const {
    const json& value = at(from, key, json::value_t::number_integer);
    if (value.get<int64_t>() < 0)
      throw std::runtime_error(fmt::format("{}: field \"{}\" is negative", where, key));
    return value.get<size_t>();
  }
};

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

// MultiRC's paragraphs carry markup.
std::string without_markup(const std::string& text) {
  return one_line(replaced(replaced(replaced(text, "<br>", " "), "<b>", ""), "</b>", ""));
}

// ReCoRD's summary lines are sentences, with or without a full stop.
std::string without_highlights(std::string text) {
  const std::string mark = "\n@highlight\n";
  for (size_t at; (at = text.find(mark)) != std::string::npos;) {
    bool ended = at > 0 && std::string(".?!\"'").find(text[at - 1]) != std::string::npos;
    text.replace(at, mark.size(), ended ? " " : ". ");
  }
  return one_line(text);
}

// Puts marks around the words of `span`, from word `index` on. The words are taken by their number:
// some of the published spans are written otherwise than the text has them.
void mark_span(std::vector<std::string>& words, size_t index, const std::string& span, char mark,
               const std::string& where) {
  std::vector<std::string_view> spanned = words_of(span);
  if (spanned.empty() || index >= words.size())
    throw std::runtime_error(
        fmt::format("{}: span \"{}\" at word {} is not in the text of {} words", where, span, index,
                    words.size()));
  std::string& last = words[std::min(index + spanned.size(), words.size()) - 1];
  size_t end = last.starts_with(spanned.back()) ? spanned.back().size() : last.size();
  last.insert(end, std::string(" ") + mark);
  words[index].insert(0, std::string(1, mark) + " ");
}

TaskRecord wsc_record(const Fields& f, const json& object) {
  const json& target = f.object(object, "target");
  std::string text = f.text(object, "text"), marked;
  std::vector<std::string> words;
  for (std::string_view word : words_of(text)) words.emplace_back(word);
  for (auto [text_key, index_key, mark] :
       {std::tuple{"span1_text", "span1_index", '*'}, {"span2_text", "span2_index", '#'}})
    mark_span(words, f.number(target, index_key), f.text(target, text_key), mark, f.where);
  for (const std::string& word : words) marked += (marked.empty() ? "" : " ") + word;
  return {{{"text", marked}, {"label", f.text(object, "label")}}, {}};
}

std::vector<TaskRecord> multirc_records(const Fields& f, const json& object, size_t& group) {
  const json& passage = f.object(object, "passage");
  std::string paragraph = without_markup(f.raw(passage, "text"));
  std::vector<TaskRecord> records;
  for (const json& question : f.list(passage, "questions")) {
    group++;
    for (const json& answer : f.list(question, "answers"))
      records.push_back({{{"paragraph", paragraph},
                          {"question", without_markup(f.text(question, "question"))},
                          {"answer", without_markup(f.text(answer, "text"))},
                          {"label", f.text(answer, "label")}},
                         {},
                         {},
                         group});
  }
  return records;
}

std::vector<TaskRecord> record_records(const Fields& f, const json& object) {
  const json& passage = f.object(object, "passage");
  std::string text = f.raw(passage, "text"), list;
  std::u32string characters = characters_of(text);
  std::vector<size_t> offsets{0};  // of characters in bytes: entities are counted in characters
  for (size_t i = 0; i < text.size(); i++)
    if (i + 1 == text.size() || (text[i + 1] & 0xC0) != 0x80) offsets.push_back(i + 1);
  std::vector<std::string> entities;
  for (const json& entity : f.list(passage, "entities")) {
    size_t start = f.number(entity, "start"), end = f.number(entity, "end");  // its last character
    if (end < start || end >= characters.size())
      throw std::runtime_error(
          fmt::format("{}: entity {} to {} is not in the passage of {} characters", f.where, start,
                      end, characters.size()));
    std::string name = one_line(text.substr(offsets[start], offsets[end + 1] - offsets[start]));
    if (std::find(entities.begin(), entities.end(), name) != entities.end()) continue;
    entities.push_back(name);
    list += (list.empty() ? "" : ", ") + name;
  }
  std::vector<TaskRecord> records;
  for (const json& query : f.list(object, "qas")) {
    TaskRecord record{{{"query", f.text(query, "query")},
                       {"entities", list},
                       {"passage", without_highlights(text)}},
                      entities};
    for (const json& answer : f.list(query, "answers"))
      record.right.push_back(f.text(answer, "text"));
    records.push_back(record);
  }
  return records;
}

}  // namespace

NextRecord superglue_records(const ReadOptions& options) {
  const Task& task = *find_task(options.format);
  auto reader = std::make_shared<LineReader>(options.paths[0]);
  auto read = [&task](const Fields& f, const json& object, size_t& group) {
    std::string name = task.name;
    if (name == "superglue:multirc") return multirc_records(f, object, group);
    if (name == "superglue:record") return record_records(f, object);
    if (name == "superglue:wsc") return std::vector{wsc_record(f, object)};
    TaskRecord record;
    for (const std::string& field : fields_of(task))
      record.fields[field] = f.text(object, field.c_str());
    return std::vector{record};
  };
  return [=, &task, classify = options.labelled, waiting = std::deque<TaskRecord>(),
          group = size_t(0)](Example& example) mutable {
    while (waiting.empty()) {
      json object;
      if (!next_object(*reader, object)) return false;
      for (TaskRecord& record : read({reader->where()}, object, group))
        waiting.push_back(std::move(record));
    }
    waiting.front().line = reader->line_number();
    example = example_of(task, waiting.front(), classify, reader->where());
    waiting.pop_front();
    return true;
  };
}

}  // namespace retort
