// Tests that need what is not on every machine skip themselves: named and counted, never silently.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <string>

namespace retort {

/// Says that a test did not run, and why.
inline void skipped(const std::string& test, const std::string& why) {
  if (why.empty()) std::abort();  // nothing is missing, so the test should have run
  static int count = 0;
  std::printf("SKIPPED: %s: %s (%d so far)\n", test.c_str(), why.c_str(), ++count);
}

/// Folder of published data sets, from the environment variable RETORT_DATA, ending in '/'; "" when
/// unset.
inline std::string data_folder() {
  const char* folder = std::getenv("RETORT_DATA");
  return folder && *folder ? std::string(folder) + "/" : "";
}

}  // namespace retort
