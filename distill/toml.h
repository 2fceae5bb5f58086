// TOML files as JSON trees that remember where each key stood, and back. The only room for toml++.
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace retort {

using Json = nlohmann::json;

/// A parsed file with overrides applied: values, and for each dotted key its "file:line" (or the
/// command line) for error messages.
struct TomlFile {
  Json root = Json::object();
  std::map<std::string, std::string> where;
};

/// Reads `path`, then applies overrides "a.b=value" (a TOML value; a bare word counts as a string).
/// Throws std::runtime_error with file, line and column on a syntax error or an unreadable file.
TomlFile load_toml(const std::string& path, const std::vector<std::string>& overrides);

/// Sets one key, "a.b=value", as load_toml() does.
void apply_override(TomlFile& file, const std::string& text);

/// Puts `over` over `base`, table by table; anything but a table replaces what was there.
void merge(Json& base, const Json& over);

/// The same values as TOML text, keys sorted.
std::string to_toml(const Json& root);

}  // namespace retort
