// A folder for the files of one test, removed with all it holds.
#pragma once
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace retort {

/// Makes an empty folder; its path ends in '/'.
struct Temporary {
  std::string folder;
  Temporary() {
    std::string name = (std::filesystem::temp_directory_path() / "retort-XXXXXX").string();
    folder = std::string(mkdtemp(name.data())) + "/";
  }
  ~Temporary() { std::filesystem::remove_all(folder); }
  Temporary(const Temporary&) = delete;

  /// Writes a file into the folder and returns its path.
  std::string file(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder + name, std::ios::binary) << bytes;
    return folder + name;
  }
};

/// Message of the exception a call throws, or "" when it throws none.
template <class F>
std::string error_of(F call) {
  try {
    call();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

}  // namespace retort
