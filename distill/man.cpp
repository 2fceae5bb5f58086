// The man page, in the macros of man(7).
#include <fmt/core.h>

#include <algorithm>

#include "build_commit.h"
#include "distill/cli.h"

namespace retort {
namespace {

// Text as roff prints it: no escapes, no requests; "-" as it is typed.
std::string roff(const std::string& text) {
  std::string s;
  bool begins = true;
  for (char c : text) {
    if (begins && (c == '.' || c == '\'')) s += "\\&";
    s += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
    begins = c == '\n';
  }
  return s;
}
// Paragraphs that keep their lines, for lists and examples.
std::string lines(const std::string& text) { return ".nf\n" + roff(text) + "\n.fi\n"; }

std::string bold(const std::string& text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + roff(text) + "\\fR"; }

// An entry of a list: the option, then what it does; lines after the first as they are.
std::string entry(const CommandOption& o) {
  std::string text = ".TP\n", names;
  for (const std::string& name : o.names)
    names += (names.empty() ? "" : ", ") + (o.positional ? italic(name) : bold(name));
  text += names + (o.value.empty() || o.positional ? "" : " " + italic(o.value));
  if (o.many) text += " ...";
  std::string what = o.description, more;
  if (size_t end = what.find('\n'); end != std::string::npos)
    more = what.substr(end + 1), what.resize(end);
  text += "\n" + roff(what);
  if (o.required) text += " (required)";
  if (!o.choices.empty() && o.choices.size() <= 8) {
    std::string list;
    for (const std::string& c : o.choices) list += (list.empty() ? "" : ", ") + c;
    text += "\nOne of " + roff(list) + ".";
  }
  if (!o.standard.empty()) text += "\nDefault: " + roff(o.standard) + ".";
  return text + "\n" + (more.empty() ? "" : lines(more));
}

std::string usage(const Command& c) {
  std::string text = bold("retort " + c.name);
  bool options = false;
  for (const CommandOption& o : c.options) options |= !o.positional;
  if (options) text += " [" + italic("OPTION") + "]...";
  for (const CommandOption& o : c.options) {
    if (!o.positional) continue;
    std::string name = italic(o.names[0]) + (o.many ? "..." : "");
    text += " " + (o.required ? name : "[" + name + "]");
  }
  return text;
}

}  // namespace

std::string man_page(const std::vector<Command>& commands) {
  const Command& program = commands[0];
  std::string about = program.description.substr(0, program.description.find('\n'));
  std::string text = ".\\\" Made by `retort man`.\n";
  text += fmt::format(".TH RETORT 1 \"{}\" \"retort {}\" \"User Commands\"\n", RETORT_DATE,
                      RETORT_VERSION);
  text += ".SH NAME\nretort \\- knowledge distillation of transformers\n.SH SYNOPSIS\n";
  for (size_t i = 1; i < commands.size(); i++)
    text += (i > 1 ? ".br\n" : "") + usage(commands[i]) + "\n";
  text += ".SH DESCRIPTION\n" + lines(program.description) + ".SH OPTIONS\n";
  for (const CommandOption& o : program.options) text += entry(o);
  text += ".SH COMMANDS\n";
  for (size_t i = 1; i < commands.size(); i++) {
    const Command& c = commands[i];
    text += ".SS " + bold("retort " + c.name) + "\n" + roff(c.description) + ".\n";
    for (const CommandOption& o : c.options) text += entry(o);
    if (!c.footer.empty()) text += ".PP\n" + lines(c.footer);
  }
  return text +
         ".SH EXIT STATUS\n0 on success; 1 on an error, of which one line on standard error tells "
         "what,\nwhere and what to do; 2 on wrong usage; 130 when stopped by a signal after "
         "saving.\n";
}

}  // namespace retort
