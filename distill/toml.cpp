#include "distill/toml.h"

#include <charconv>
#include <sstream>
#include <stdexcept>
#define TOML_EXCEPTIONS 1
#define TOML_ASSERT(x) ((void)0)  // of the parser's own; a bad file is an error, not an abort
#include <toml++/toml.h>

#include "data/text.h"

namespace retort {
namespace {

Json convert(const toml::node& node, const std::string& key, const std::string& file,
             TomlFile& out) {
  out.where[key] = file + ":" + std::to_string(node.source().begin.line);
  if (const toml::table* t = node.as_table()) {
    Json j = Json::object();
    for (const auto& [name, value] : *t) {
      std::string k(name.str());
      j[k] = convert(value, key.empty() ? k : key + "." + k, file, out);
    }
    return j;
  }
  if (const toml::array* a = node.as_array()) {
    Json j = Json::array();
    for (size_t i = 0; i < a->size(); i++)
      j.push_back(convert((*a)[i], key + "." + std::to_string(i), file, out));
    return j;
  }
  if (auto v = node.as_string()) return v->get();
  if (auto v = node.as_integer()) return v->get();
  if (auto v = node.as_floating_point()) return v->get();
  if (auto v = node.as_boolean()) return v->get();
  throw std::runtime_error(out.where[key] + ": " + key +
                           ": dates and times are not used in recipes");
}

toml::table table_of(const Json& j);

toml::array array_of(const Json& j) {
  toml::array a;
  for (const Json& v : j) {
    if (v.is_object())
      a.push_back(table_of(v));
    else if (v.is_array())
      a.push_back(array_of(v));
    else if (v.is_boolean())
      a.push_back(v.get<bool>());
    else if (v.is_number_integer())
      a.push_back(v.get<int64_t>());
    else if (v.is_number())
      a.push_back(v.get<double>());
    else
      a.push_back(v.get<std::string>());
  }
  return a;
}

toml::table table_of(const Json& j) {
  toml::table t;
  for (const auto& [key, v] : j.items()) {
    if (v.is_object())
      t.insert(key, table_of(v));
    else if (v.is_array())
      t.insert(key, array_of(v));
    else if (v.is_boolean())
      t.insert(key, v.get<bool>());
    else if (v.is_number_integer())
      t.insert(key, v.get<int64_t>());
    else if (v.is_number())
      t.insert(key, v.get<double>());
    else
      t.insert(key, v.get<std::string>());
  }
  return t;
}

}  // namespace

void apply_override(TomlFile& file, const std::string& text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw std::runtime_error("command line: expected key=value, got \"" + text + "\"");
  std::string key = text.substr(0, equals), value = text.substr(equals + 1);
  if (("." + key + ".").find("..") != std::string::npos)
    throw std::runtime_error("command line: \"" + text +
                             "\": the name before, between or after the points of a key is "
                             "missing; it is written table.key=value");
  Json parsed;
  try {
    TomlFile scratch;
    toml::table t = toml::parse("x = " + value);
    parsed = convert(*t.get("x"), key, "command line", scratch);
  } catch (const toml::parse_error&) {
    parsed = value;
  }
  Json* at = &file.root;
  std::stringstream parts(key);
  for (std::string part; std::getline(parts, part, '.');) {
    if (at->is_array()) {  // a list's entry by its number: terms.0.weight
      size_t i = at->size();
      std::from_chars(part.data(), part.data() + part.size(), i);
      if (i >= at->size())
        throw std::runtime_error("command line: " + key + ": the list has entries 0 to " +
                                 std::to_string(at->size() - 1));
      at = &(*at)[i];
      continue;
    }
    if (at->is_null()) *at = Json::object();
    if (!at->is_object())
      throw std::runtime_error("command line: " + key + ": what stands above it is not a table");
    at = &(*at)[part];
  }
  *at = parsed;
  file.where[key] = "command line";
}

TomlFile load_toml(const std::string& path, const std::vector<std::string>& overrides) {
  TomlFile file;
  if (!path.empty()) {
    std::string text = read_file(path);
    try {
      toml::table t = toml::parse(text, path);
      file.root = convert(t, "", path, file);
    } catch (const toml::parse_error& e) {
      std::ostringstream s;
      s << path << ":" << e.source().begin.line << ":" << e.source().begin.column << ": "
        << e.description();
      throw std::runtime_error(s.str());
    }
  }
  for (const std::string& o : overrides) apply_override(file, o);
  return file;
}

void merge(Json& base, const Json& over) {
  for (const auto& [key, value] : over.items())
    if (value.is_object() && base.contains(key) && base[key].is_object())
      merge(base[key], value);
    else
      base[key] = value;
}

std::string to_toml(const Json& root) {
  std::ostringstream s;
  s << table_of(root) << "\n";
  return s.str();
}

}  // namespace retort
