// What the command line takes, as one list walked from CLI11's subcommands: the shells' completion
// (distill/completion.cpp) and the man page (distill/man.cpp) are made of it.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace retort {

struct CommandOption {
  std::vector<std::string> names;  ///< "-o", "--out"; of a positional argument its one name
  std::string value;  ///< what it takes: FILE, FOLDER, RECIPE, LOSS, KEY=VALUE, ...; "": a flag
  std::vector<std::string> choices;   ///< values that can be offered; one ending in "=" goes on
  std::string description, standard;  ///< standard: the default; "": none
  bool positional = false, required = false, many = false;
};

struct Command {
  std::string name, description, footer;
  std::vector<CommandOption> options;
};

/// The program itself, then its subcommands in order.
std::vector<Command> commands_of(const CLI::App& app);

/// Scripts that complete the program's arguments, and its man page (roff, man(7)).
std::string bash_completion(const std::vector<Command>& commands);
std::string zsh_completion(const std::vector<Command>& commands);
std::string man_page(const std::vector<Command>& commands);

}  // namespace retort
