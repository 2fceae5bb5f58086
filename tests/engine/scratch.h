// Where the engine's tests write files.
#pragma once
#include <filesystem>
#include <string>

namespace retort {

/// The path of a file of this name in the tests' own folder, which exists.
inline std::string scratch(const std::string& name) {
  auto folder = std::filesystem::temp_directory_path() / "retort-tests";
  std::filesystem::create_directories(folder);
  return (folder / name).string();
}

}  // namespace retort
