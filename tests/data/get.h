// Runs data/get as its users do.
#pragma once
#include <sys/wait.h>

#include "data/text.h"
#include "tests/data/temporary.h"

namespace retort {

/// Runs data/get with the tools of the folder `tools` before all others, after the shell commands
/// `before` (assignments, limits); {exit status, what it printed}.
inline std::pair<int, std::string> get(const std::string& tools, const std::string& arguments,
                                       const std::string& before = "") {
  std::string source = __FILE__;
  std::string root = source.substr(0, source.rfind("tests/data/get.h"));
  std::string log = tools + "/log";
  std::string command = before + " PATH=\"" + tools + ":$PATH\" /bin/bash " +
                        (root.empty() ? "." : root) + "/data/get " + arguments + " >" + log +
                        " 2>&1";
  int status = std::system(command.c_str());
  return {WEXITSTATUS(status), read_file(log)};
}

/// Whether a program is on the PATH.
inline bool have(const char* tool) {
  return std::system(("command -v " + std::string(tool) + " >/dev/null").c_str()) == 0;
}

}  // namespace retort
