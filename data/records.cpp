#include "data/records.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

namespace fs = std::filesystem;

namespace retort {
namespace {

// Walks over a text and knows the line of the byte last read: the parser tells no positions.
struct LineCounter {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  const char *at, *begin;
  size_t* line;
  const char& operator*() const { return *at; }
  LineCounter& operator++() {
    *line += at != begin && at[-1] == '\n';
    ++at;
    return *this;
  }
  bool operator==(const LineCounter& other) const { return at == other.at; }
};

}  // namespace

NextRecord records_of(std::vector<Example> examples) {
  auto all = std::make_shared<std::vector<Example>>(std::move(examples));
  return [all, i = size_t(0)](Example& example) mutable {
    if (i == all->size()) return false;
    example = std::move((*all)[i++]);
    return true;
  };
}

std::vector<std::string> xml_files(const std::string& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file() && entry.path().extension() == ".xml")
      files.push_back(entry.path().string());
  if (files.empty()) throw std::runtime_error(path + ": no .xml file in this folder or below it");
  std::sort(files.begin(), files.end());
  return files;
}

std::string read_text(const std::string& path, const std::string& expected) {
  LineReader reader(path);
  std::string text;
  for (std::string line; reader.next(line);) (text += line) += '\n';
  if (words_of(text).empty())
    throw std::runtime_error(fmt::format("{}: the file is empty, {} expected", path, expected));
  return text;
}

LineNumbers::LineNumbers(const std::string& text) {
  for (size_t i = 0; i + 1 < text.size(); i++)
    if (text[i] == '\n') ends_.push_back(i);
}

size_t LineNumbers::of(size_t offset) const {
  return 1 + (std::lower_bound(ends_.begin(), ends_.end(), offset) - ends_.begin());
}

std::vector<std::string> split_tabs(const std::string& line) {
  std::vector<std::string> columns;
  for (size_t begin = 0;;) {
    size_t end = line.find('\t', begin);
    columns.push_back(line.substr(begin, end == std::string::npos ? end : end - begin));
    if (end == std::string::npos) return columns;
    begin = end + 1;
  }
}

bool next_object(LineReader& reader, nlohmann::json& object) {
  std::string line;
  if (!reader.next(line)) return false;
  try {
    object = nlohmann::json::parse(line);
  } catch (const nlohmann::json::parse_error& e) {
    throw std::runtime_error(
        fmt::format("{}: not JSON at character {} of the line; one object a line "
                    "was expected",
                    reader.where(), e.byte));
  } catch (const nlohmann::json::out_of_range&) {
    throw std::runtime_error(fmt::format("{}: a number of the line is too large", reader.where()));
  }
  if (!object.is_object())
    throw std::runtime_error(fmt::format("{}: {} found, one JSON object a line was expected",
                                         reader.where(), object.type_name()));
  return true;
}

std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line)
    if (c == '\t' || c == '\n' || c == '\r') c = ' ';
  size_t begin = line.find_first_not_of(' '), end = line.find_last_not_of(' ');
  return begin == std::string::npos ? "" : line.substr(begin, end - begin + 1);
}

JsonFile parse_json(const std::string& path, const std::string& text,
                    nlohmann::ordered_json::value_t type, const std::string& expected) {
  using Json = nlohmann::ordered_json;
  JsonFile file;
  size_t line = 1;
  const char *begin = text.data(), *end = begin + text.size();
  auto note = [&](int depth, Json::parse_event_t event, const Json& name) {
    using enum Json::parse_event_t;
    if (depth != 1) return true;
    if (type == Json::value_t::object && event == key)
      file.lines[name.get<std::string>()] = line;
    else if (type == Json::value_t::array && event != object_end && event != array_end)
      file.lines.emplace(std::to_string(file.lines.size()), line);
    return true;
  };
  try {
    file.value =
        Json::parse(LineCounter{begin, begin, &line}, LineCounter{end, begin, &line}, note);
  } catch (const Json::exception& e) {
    auto* error = dynamic_cast<const Json::parse_error*>(&e);
    bool cut = error && error->byte >= text.size();
    throw std::runtime_error(fmt::format("{}:{}: {}; {} expected", path, line,
                                         cut ? "the file ends in the middle" : "not JSON",
                                         expected));
  }
  if (file.value.type() != type)
    throw std::runtime_error(
        fmt::format("{}:1: {} found, {} expected", path, file.value.type_name(), expected));
  return file;
}

}  // namespace retort
