// The program as its users run it: a folder, a recipe of a toy language, a command's result.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "data/text.h"
#include "distill/toml.h"

namespace retort {

inline const char* program() {
  const char* p = std::getenv("RETORT");
  return p ? p : "build/retort";
}
inline std::filesystem::path folder() {
  std::filesystem::path f =
      std::filesystem::temp_directory_path() / ("retort-program-" + std::to_string(::getpid()));
  std::filesystem::create_directories(f);
  return f;
}
struct Result {
  int status;
  std::string text;
};
inline Result run(const std::string& arguments) {
  std::string log = (folder() / "log").string();
  int status =
      std::system((std::string(program()) + " " + arguments + " > " + log + " 2>&1").c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(log)};
}
inline std::string write(const std::string& name, const std::string& text) {
  std::string path = (folder() / name).string();
  std::ofstream(path) << text;
  return path;
}

// The data that a page holds, read as a browser does: up to the end of its element.
inline Json data_in(const std::string& html) {
  std::string begin = "id=\"data\">";
  size_t at = html.find(begin) + begin.size();
  return Json::parse(html.substr(at, html.find("</script", at) - at));
}

// Sentences of a toy language: words map one to one, order is reversed.
inline std::string recipe(const std::string& extra = "") {
  std::string text;
  const char* from[] = {"red", "green", "blue", "big", "small",
                        "old", "new",   "cat",  "dog", "house"};
  const char* to[] = {"rosu",  "verde", "albastru", "mare",  "mic",
                      "vechi", "nou",   "pisica",   "caine", "casa"};
  for (int i = 0; i < 200; i++) {
    int a = i * 7 % 10, b = i * 3 % 7, c = i % 9;
    text += std::string(from[a]) + " " + from[b] + " " + from[c] + "\t" + to[c] + " " + to[b] +
            " " + to[a] + "\n";
  }
  std::string data = write("toy.tsv", text);
  return write("toy.toml",
               "output = \"" + (folder() / "out").string() + "\"\n[data]\ntrain = \"" + data +
                   "\"\ntest = \"" + data +
                   "\"\ntest_limit = 20\n[tokenizer]\nsize = 40\n[train]\nsteps = 12\ntokens = "
                   "256\nsave_every = 1\n" +
                   "[teacher.model]\narchitecture = \"encoder_decoder\"\nwidth = 16\nheads = "
                   "2\nlayers = 1\ndropout = 0.1\n" +
                   "[student.model]\narchitecture = \"encoder_decoder\"\nwidth = 8\nheads = "
                   "2\nlayers = 1\n" +
                   "[students.js]\nmethod = \"js\"\n[students.mle]\nmethod = \"mle\"\n" + extra);
}

}  // namespace retort
