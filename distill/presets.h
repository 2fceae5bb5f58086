// Presets of a recipe: its tables [presets.NAME], one of which goes over the rest of the file.
#pragma once
#include "distill/toml.h"

namespace retort {

/// The file, over it the table [presets.NAME] where `preset = "NAME"`, over both the overrides; and
/// in `preset` that name, "" where none is chosen. Values of a preset stand where they are written.
TomlFile load_with_preset(const std::string& path, const std::vector<std::string>& overrides,
                          std::string& preset);

/// What the presets of a recipe differ in, a line for each key: its value under each.
std::string preset_differences(const std::string& path);

}  // namespace retort
