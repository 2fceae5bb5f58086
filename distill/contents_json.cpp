// What JSON files hold: those of a run, and any others, by their fields.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "data/records.h"
#include "distill/contents.h"
#include "distill/toml.h"

namespace retort {
namespace {

constexpr size_t kLooked = 1000;  // lines that are parsed, but for the last
constexpr size_t kListed = 64;    // keys of an object, fields of lines, that are told one by one

bool has_parts(const Json& parent) {
  return std::any_of(parent.begin(), parent.end(),
                     [](const Json& part) { return part.is_structured(); });
}

// A value or a short list of them; of what has more parts how many, which may be nested without
// end.
Contents brief(const Json& value) {
  if (!value.is_structured() || (value.is_array() && value.size() <= 4 && !has_parts(value)))
    return value;
  bool object = value.is_object();
  return fmt::format("{}{} {}{}{}", object ? '{' : '[', value.size(), object ? "key" : "item",
                     value.size() == 1 ? "" : "s", object ? '}' : ']');
}

// Keys with their values, those of tables within below them: "checksums.train".
void add_keys(const Json& object, const std::string& above, Contents& list) {
  for (const auto& [key, value] : object.items())
    if (above.empty() && value.is_object() && value.size() <= kListed)
      add_keys(value, key + ".", list);
    else
      list.push_back({{"key", above + key}, {"value", brief(value)}});
}

Json object_in(const std::string& line) {
  Json j = Json::parse(line, nullptr, false);
  return j.is_object() ? std::move(j) : Json();
}

// Of the files that a run writes, by what they hold.
std::string kind_of(const Json& j, const char* otherwise) {
  auto has = [&](std::initializer_list<const char*> keys) {
    return std::all_of(keys.begin(), keys.end(), [&](const char* key) { return j.contains(key); });
  };
  return has({"fingerprint", "checksums", "version"}) ? "manifest"
         : has({"split", "weights"})                  ? "inspection"
         : has({"peak_bytes", "seconds", "tokens"})   ? "timing"
                                                      : otherwise;
}
std::string kind_of_lines(const Json& first) {
  if (first.contains("step") && first["step"].is_number_integer()) return "metrics";
  if (first.contains("decoding") && first.contains("lines")) return "teacher sequences";
  return "JSON lines";
}

// The fields of lines, in the order of the lines they are met in.
struct Fields {
  struct Field {
    std::string name;
    std::set<std::string> types;
    size_t lines = 0;
    Contents first, last;
  };
  std::vector<Field> all;
  std::map<std::string, size_t> places;

  void add(const Json& object, bool counts) {
    for (const auto& [name, value] : object.items()) {
      auto [at, fresh] = places.try_emplace(name, all.size());
      if (fresh) all.push_back({name, {}, 0, brief(value), {}});
      Field& field = all[at->second];
      field.types.insert(value.type_name()), field.lines += counts, field.last = brief(value);
    }
  }
  Contents table() const {
    Contents rows = Contents::array();
    for (const Field& f : all)
      if (rows.size() < kListed)
        rows.push_back({{"field", f.name},
                        {"type", join({f.types.begin(), f.types.end()})},
                        {"lines", f.lines},
                        {"first", f.first},
                        {"last", f.last}});
    return rows;
  }
};

// The next line with a word in it; false at the end.
bool next_line(LineReader& reader, std::string& line) {
  while (reader.next(line))
    if (!words_of(line).empty()) return true;
  return false;
}

// Objects, one a line.
Contents lines_contents(const std::string& path, size_t rows) {
  LineReader reader(path);
  std::string line, last, before;
  next_line(reader, line);
  Json first = object_in(line);
  std::string kind = kind_of_lines(first);
  Contents c = {{"kind", kind}}, shown = Contents::array();
  Fields fields;
  size_t lines = 0, looked = 0, others = 0;
  auto look = [&](const Json& object) {
    looked++;
    if (!object.is_object()) return void(others++);
    fields.add(object, true);
    Contents row = {{"line", reader.line_number()}};
    for (const auto& [key, value] : object.items())
      if (row.size() <= kListed) row[key] = brief(value);
    if (shown.size() < rows) shown.push_back(row);
  };
  if (kind == "teacher sequences")
    add_keys(first, "", c["made_by"]);
  else
    lines++, look(first);
  while (next_line(reader, line)) {
    lines++, before = std::move(last), last = line;
    if (looked < kLooked) look(object_in(line));
  }
  // The last line of a run that goes on, or was killed, may be torn.
  bool torn = !last.empty() && object_in(last).is_null();
  others -= torn && looked == lines;
  fields.add(object_in(torn ? before : last), false);
  c["lines"] = lines;
  if (lines > looked) c["looked_at"] = looked;
  if (others) c["no_objects"] = others;
  if (torn) c["last_line"] = "torn, no JSON object";
  if (kind == "JSON lines")
    c["as_a_data_set"] = "data.source=FIELD data.target=FIELD, or data.format=NAME";
  if (fields.all.size() > kListed) c["fields_in_all"] = fields.all.size();
  c["fields"] = fields.table();
  if (kind != "metrics") c["rows"] = shown;
  return c;
}

}  // namespace

Contents json_contents(const std::string& path, size_t rows) {
  LineReader reader(path);
  std::string line;
  next_line(reader, line);
  // One line alone may be either: an object with parts, and those of a run, are no row of a table.
  if (Json first = object_in(line); !first.is_null())
    if (next_line(reader, line) || kind_of_lines(first) != "JSON lines" ||
        (!has_parts(first) && kind_of(first, "").empty()))
      return lines_contents(path, rows);
  std::string text = read_text(path, "JSON");
  Json j;
  try {
    j = Json::parse(text);
  } catch (const Json::parse_error& e) {
    throw std::runtime_error(
        fmt::format("{}:{}: {}; one JSON object or list was expected, or an object a line", path,
                    LineNumbers(text).of(e.byte - 1),
                    e.byte > text.size() ? "the file ends in the middle" : "not JSON"));
  } catch (const Json::exception&) {
    throw std::runtime_error(path + ": holds a number that is too large");
  }
  bool list = j.is_array();
  Contents c = {{"kind", list ? "JSON list" : kind_of(j, "JSON object")}};
  c[list ? "items" : "keys"] = j.size();
  Contents& table = c[list ? "rows" : "values"] = Contents::array();
  if (!list && j.size() <= kListed) return add_keys(j, "", table), c;
  for (const auto& [key, value] : j.items())
    if (table.size() < rows)
      table.push_back({{list ? "item" : "key", key}, {"value", brief(value)}});
  return c;
}

}  // namespace retort
