// That the checkers fire: each planted bug of bugs.cpp must be reported with a file and line of its
// kernel by one of the program's three builds, and the correct kernels by none.
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#ifndef SIMT_BIN
#define SIMT_BIN "build/simt"
#endif

namespace {

struct Outcome {
  int status;
  std::string output;
};

Outcome execute(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe);
  Outcome outcome;
  char buffer[4096];
  while (size_t n = fread(buffer, 1, sizeof buffer, pipe)) outcome.output.append(buffer, n);
  int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

// The programs by build. Some kernels place mappings where TSan cannot have them.
std::vector<std::string> builds() {
  std::string bugs = SIMT_BIN "/bugs", tsan = bugs + "-tsan";
  if (execute(tsan + " list").status) tsan = "setarch -R " + tsan;
  return {bugs, bugs + "-asan", tsan};
}

struct Lines {
  int first = 0, last = 0;
};

// Where in bugs.cpp a bug's kernel stands.
Lines lines_of(const std::string& bug) {
  std::string path = __FILE__;
  std::ifstream file(path.substr(0, path.rfind('/') + 1) + "bugs.cpp");
  Lines lines;
  std::string line;
  for (int number = 1; std::getline(file, line); number++) {
    if (line.find("__global__ void " + bug + "(") != std::string::npos) lines.first = number;
    if (lines.first && line == "}") return lines.last = number, lines;
  }
  FAIL("no kernel " << bug << " in bugs.cpp");
  return lines;
}

// True when a checker's report in the output names one of the lines.
bool names_line(const std::string& output, const Lines& lines) {
  static const std::regex report("^simt: |ERROR: AddressSanitizer|runtime error|WARNING: ThreadS"),
      place("bugs\\.cpp:([0-9]+)");
  std::istringstream stream(output);
  bool reported = false;
  for (std::string line; std::getline(stream, line);) {
    reported = reported || std::regex_search(line, report);
    std::smatch match;
    if (reported && std::regex_search(line, match, place)) {
      int number = std::stoi(match[1]);
      if (number >= lines.first && number <= lines.last) return true;
    }
  }
  return false;
}

}  // namespace

TEST_CASE("every planted bug is reported with its line", "[simt]") {
  auto programs = builds();
  std::istringstream names(execute(programs[0] + " list").output);
  std::vector<std::string> bugs{std::istream_iterator<std::string>(names), {}};
  REQUIRE(bugs.size() == 20);
  std::printf("%-30s%-16s%-16s%s\n", "bug", "plain", "ASan, UBSan", "TSan");
  for (auto& bug : bugs) {
    bool located = false;
    std::printf("%-30s", bug.c_str());
    for (auto& program : programs) {
      Outcome outcome = execute(program + " " + bug);
      std::string summary = outcome.output.substr(outcome.output.rfind(bug + ":") + 1);
      std::string seen = "-";
      if (names_line(outcome.output, lines_of(bug)))
        seen = "line", located = true;
      else if (outcome.status)
        seen = std::string(summary.find(" nan") < summary.size() ? "NaN " : "") +
               (summary.find(" differs") < summary.size() ? "differs" : "");
      std::printf("%-16s", seen.c_str());
      std::fflush(stdout);
    }
    std::printf("\n");
    CAPTURE(bug);
    CHECK(located);
  }
}

TEST_CASE("the correct kernels are right and give no report", "[simt]") {
  for (auto& program : builds())
    for (int seed : {0, 1, 5, 6, 7}) {
      Outcome outcome = execute("SIMT_SEED=" + std::to_string(seed) + " " + program + " correct");
      CAPTURE(program, seed, outcome.output);
      CHECK(outcome.status == 0);
      CHECK(outcome.output.empty());
    }
}
