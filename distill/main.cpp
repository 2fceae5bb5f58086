// retort: the program. Exit status 0; 1 on an error (one line on standard error); 2 on wrong usage;
// 130 when stopped by a signal after saving.
#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>

#include "data/text.h"
#include "distill/commands.h"
#include "distill/profile_report.h"
#include "distill/progress.h"
#include "distill/recipe.h"
#include "engine/suggest.h"

namespace {

// A descriptor that is closed would be given to the next file opened, and messages go into it.
void open_standard_streams() {
  for (int stream : {0, 1, 2})
    if (::fcntl(stream, F_GETFD) < 0) ::open("/dev/null", O_RDWR);
}

// Whether the first word is no command, or a later one no option of it; its error is printed.
bool is_misspelt(const CLI::App& app, int argc, char** argv) {
  const CLI::App* command = &app;
  if (argc > 1 && argv[1][0] != '-') {
    std::vector<std::string> names;
    for (const CLI::App* c : app.get_subcommands(nullptr)) names.push_back(c->get_name());
    if (std::find(names.begin(), names.end(), argv[1]) == names.end()) {
      fmt::print(stderr, "retort: {}\n", retort::no_such(argv[1], names));
      return true;
    }
    command = app.get_subcommand(argv[1]);
  }
  std::vector<std::string> names;
  for (const CLI::Option* o : command->get_options())
    for (const std::string& name : o->get_lnames()) names.push_back("--" + name);
  for (int i = 1; i < argc && std::string(argv[i]) != "--"; i++) {
    std::string name = argv[i];
    name.resize(std::min(name.size(), name.find('=')));
    if (!name.starts_with("--") || std::find(names.begin(), names.end(), name) != names.end())
      continue;
    std::string of = command == &app ? "" : " " + command->get_name();
    fmt::print(stderr, "retort{}: no option {}{}\nSee: retort{} --help\n", of, name,
               retort::did_you_mean(name, names), of);
    return true;
  }
  return false;
}

// For a value that is none of a list, "--dtype: f46 not in {f32,f64}", the one that is near.
std::string suggestion(const std::string& message) {
  const std::string between = " not in {";
  size_t at = message.find(between), colon = message.find(": ");
  if (at == std::string::npos || colon == std::string::npos) return "";
  std::vector<std::string> names{""};
  for (char c : message.substr(at + between.size()))
    if (c == ',')
      names.emplace_back();
    else if (c != '}')
      names.back() += c;
  return retort::did_you_mean(message.substr(colon + 2, at - colon - 2), names);
}

// What was printed has to arrive: a full disk behind standard output is an error.
int flushed(int status) {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return status;
  fmt::print(stderr, "retort: standard output cannot be written: {}\n", std::strerror(errno));
  return 1;
}

// The profile that was asked for: its table on standard error, its trace in a file.
int profiled(const CLI::App& app, int status) {
  if (!retort::Profile::on()) return status;
  retort::Profile::Result profile = retort::Profile::finish();
  std::string file = app.get_subcommands().at(0)->get_option("--profile")->as<std::string>();
  if (profile.events.empty()) {
    if (status == 0) fmt::print(stderr, "profile: no operator ran; {} is not written\n", file);
    return status;
  }
  fmt::print(stderr, "{}", retort::table_of(profile));
  try {
    retort::write_file_atomically(file, retort::trace_of(profile));
    fmt::print(stderr, "trace: {} (chrome://tracing, ui.perfetto.dev)\n", file);
  } catch (const std::exception& e) {
    fmt::print(stderr, "retort: {}\n", e.what());
    status = status ? status : 1;
  }
  return status;
}

int run(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return flushed(0);
  } catch (const CLI::Success& e) {
    return flushed(app.exit(e));
  } catch (const CLI::RuntimeError& e) {
    return flushed(e.get_exit_code());  // the command has said why
  } catch (const CLI::ParseError& e) {
    fmt::print(stderr, "retort: {}{}\nSee: retort {}--help\n", e.what(), suggestion(e.what()),
               app.get_subcommands().empty() ? "" : app.get_subcommands()[0]->get_name() + " ");
    return 2;
  } catch (const retort::Interrupted& e) {
    fmt::print(stderr, "retort: {}\n", e.message);
    return 130;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr,
               "retort: out of memory; use smaller batches (train.tokens) or a smaller model\n");
    return 1;
  } catch (const std::filesystem::filesystem_error& e) {
    fmt::print(stderr, "retort: {}: {}\n", e.path1().string(), e.code().message());
    return 1;
  } catch (const std::exception& e) {
    fmt::print(stderr, "retort: {}\n", e.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  std::signal(SIGPIPE, SIG_DFL);
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the size limit is an error to report, not a death
  CLI::App app;
  retort::add_commands(app);
  if (is_misspelt(app, argc, argv)) return 2;
  return profiled(app, run(app, argc, argv));
}
