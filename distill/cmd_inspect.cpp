// retort inspect: what is in a file or folder.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "data/text.h"
#include "distill/commands.h"
#include "distill/contents.h"

namespace retort {
namespace {

struct Arguments {
  std::string path;
  std::vector<std::string> overrides;
  size_t rows = 3;
  bool json = false;
};

constexpr size_t kWidest = 60;  // characters of a cell

std::string cell(const Contents& value);
std::string cells(const Contents& list) {
  std::string text;
  for (const Contents& value : list) text += (text.empty() ? "" : ", ") + cell(value);
  return "[" + text + "]";
}

std::string one_line(const Contents& value) {
  std::string text = value.is_string()         ? value.get<std::string>()
                     : value.is_number_float() ? fmt::format("{:.6g}", value.get<double>())
                     : value.is_array()        ? cells(value)
                                               : value.dump();
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }, ' ');
  return text;
}

// The same, cut where it is too long.
std::string cell(const Contents& value) {
  std::string text = one_line(value);
  if (count_characters(text) <= kWidest) return text;
  size_t end = 0;
  for (size_t n = 0; n < kWidest - 1; n++) do
      end++;
    while (end < text.size() && (text[end] & 0xc0) == 0x80);
  return text.substr(0, end) + "…";
}

std::string padded(const std::string& text, size_t width) {
  size_t n = count_characters(text);
  return text + std::string(n < width ? width - n : 0, ' ');
}

// Rows that share keys, as a table with the keys above.
void print_table(const Contents& rows) {
  std::vector<std::string> keys;
  for (const Contents& row : rows)
    for (const auto& [key, value] : row.items())
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  std::vector<std::vector<std::string>> cells{keys};
  for (const Contents& row : rows) {
    cells.emplace_back();
    for (const std::string& key : keys)
      cells.back().push_back(row.contains(key) ? cell(row[key]) : "-");
  }
  for (const auto& line : cells) {
    std::string text;
    for (size_t i = 0; i < keys.size(); i++) {
      size_t width = 0;
      for (const auto& other : cells) width = std::max(width, count_characters(other[i]));
      text += "  " + (i + 1 < keys.size() ? padded(line[i], width) : line[i]);
    }
    fmt::print("{}\n", text);
  }
}

// Values beside their keys, then what has parts of its own.
void print(const Contents& c) {
  for (const auto& [key, value] : c.items())
    if (!value.is_structured()) fmt::print("{} {}\n", padded(key, 19), cell(value));
  for (const auto& [key, value] : c.items()) {
    if (!value.is_structured()) continue;
    bool table = value.is_array() && !value.empty() && value[0].is_object(),
         nested = value.is_object() && !value.empty() && value.front().is_object();
    fmt::print("\n{}\n", key);
    if (table) {
      print_table(value);
    } else if (nested) {
      Contents rows;
      for (const auto& [name, part] : value.items()) {
        rows.push_back({{"", name}});
        rows.back().update(part);
      }
      print_table(rows);
    } else {
      for (const auto& [name, part] : value.items())
        if (value.is_object())
          fmt::print("  {} {}\n", padded(name, 17), cell(part));
        else  // problems: what to do stands at the end
          fmt::print("  - {}\n", one_line(part));
    }
  }
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand("inspect",
                                   "What is in a file: weights, checkpoint, teacher cache, "
                                   "tokenizer, recipe, data set, results, "
                                   "a run's folder");
  c->add_option("file", a->path, "Its kind is found from the content")
      ->required()
      ->type_name("FILE");
  c->add_option("overrides", a->overrides,
                "Keys of a recipe, over the recipe; or how a data set is read: data.format=jsonl")
      ->type_name("KEY=VALUE");
  c->add_option("--rows", a->rows, "First rows that are shown")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  c->add_flag("--json", a->json, "One JSON object, nothing cut");
  c->footer(
      "Example:  retort inspect runs/demo/teacher/model.safetensors\n"
      "          retort inspect train.tsv data.format=glue:sst2");
  c->callback([a] {
    Contents contents = contents_of(a->path, a->overrides, a->rows);
    if (a->json)
      fmt::print("{}\n", contents.dump(2, ' ', false, Contents::error_handler_t::replace));
    else
      print(contents);
  });
}

}  // namespace retort
