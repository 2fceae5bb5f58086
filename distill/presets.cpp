#include "distill/presets.h"

#include <fmt/core.h>

#include <algorithm>

#include "distill/recipe.h"

namespace retort {
namespace {

// Values by dotted key; a list counts as one value.
void flatten(const Json& table, const std::string& above, std::map<std::string, Json>& values) {
  for (const auto& [key, value] : table.items())
    if (value.is_object())
      flatten(value, above + key + ".", values);
    else
      values[above + key] = value;
}

}  // namespace

TomlFile load_with_preset(const std::string& path, const std::vector<std::string>& overrides,
                          std::string& preset) {
  TomlFile file = load_toml(path, overrides);
  Json name = file.root.value("preset", Json("")), presets = file.root.value("presets", Json());
  file.root.erase("presets"), file.root.erase("preset");
  if (name == "") return file;
  std::vector<std::string> names;
  if (presets.is_object())
    for (const auto& [each, table] : presets.items()) names.push_back(each);
  if (names.empty())
    throw std::runtime_error(Reader(file, nullptr, "").where("preset") +
                             ": the recipe has no [presets.NAME]");
  if (!name.is_string() || std::find(names.begin(), names.end(), name) == names.end() ||
      !presets[name.get<std::string>()].is_object())
    throw std::runtime_error(
        Reader(file, nullptr, "").where("preset") + ": " +
        no_such(name.is_string() ? name.get<std::string>() : name.dump(), names));
  for (const std::string& o : overrides)
    if (o.rfind("presets.", 0) == 0)
      throw std::runtime_error(o + ": presets stand in the file; give the key without \"presets." +
                               name.get<std::string>() + ".\", it goes over them");
  file = load_toml(path, {});
  std::string from = "presets." + name.get<std::string>() + ".";
  for (const auto& [key, place] : std::map<std::string, std::string>(file.where))
    if (key.rfind(from, 0) == 0) file.where[key.substr(from.size())] = place;
  merge(file.root, presets[name.get<std::string>()]);
  for (const std::string& o : overrides) apply_override(file, o);
  file.root.erase("presets"), file.root.erase("preset");
  preset = name;
  return file;
}

std::string preset_differences(const std::string& path) {
  Json presets = load_toml(path, {}).root.value("presets", Json::object());
  std::map<std::string, Json> values;  // by key, then preset
  for (const auto& [name, table] : presets.items()) {
    std::map<std::string, Json> flat;
    flatten(recipe_table(load_recipe(path, {"preset=" + name})), "", flat);
    for (const auto& [key, value] : flat)
      if (key != "name" && key != "output") values[key][name] = value;
  }
  std::string text;
  for (auto& [key, by_preset] : values) {
    std::string line, first;
    bool differ = false;
    for (const auto& [name, table] : presets.items()) {
      std::string value = by_preset.contains(name) ? by_preset[name].dump() : "-";
      differ |= !line.empty() && value != first;
      if (line.empty()) first = value;
      line += fmt::format("  {} {}", name, value);
    }
    if (differ) text += fmt::format("{:46}{}\n", key, line);
  }
  return text;
}

}  // namespace retort
