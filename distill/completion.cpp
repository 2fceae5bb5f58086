// Completion for bash and zsh. What an option takes becomes files, folders, or its choices.
#include <fmt/core.h>

#include <map>

#include "distill/cli.h"

namespace retort {
namespace {

// A word of a shell.
std::string shell_word(const std::string& text) {
  std::string s = "'";
  for (char c : text) s += c == '\'' ? "'\\''" : std::string(1, c);
  return s + "'";
}
std::string joined(const std::vector<std::string>& words) {
  std::string s;
  for (const std::string& w : words) s += (s.empty() ? "" : " ") + w;
  return s;
}

// The lists that are offered at several places, by what an option takes: each is written once.
std::map<std::string, std::vector<std::string>> lists_of(const std::vector<Command>& commands) {
  std::map<std::string, std::vector<std::string>> lists;
  for (const Command& c : commands)
    for (const CommandOption& o : c.options)
      if (o.choices.size() > 8) lists[o.value] = o.choices;
  return lists;
}
std::string function_of(const std::string& value) {
  std::string name = "_retort_" + value;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

std::string bash_action(const CommandOption& o) {
  if (o.choices.size() > 8) return function_of(o.value);
  if (!o.choices.empty()) return "_retort_offer " + shell_word(joined(o.choices));
  if (o.value == "FOLDER") return "_retort_files -d";
  if (o.value == "RECIPE") return "_retort_files -f -X '!*.toml'";
  return o.value == "FILE" ? "_retort_files -f" : ":";
}

const char kBashHead[] = R"(# bash completion for retort, made by `retort completion bash`.

# The students whose keys are offered: the one that is typed, else those of the recipe on the line.
_retort_students() {
  if [[ $cur =~ ^students\.([^.=]+)\. ]]; then
    printf '%s\n' "${BASH_REMATCH[1]}"
  elif [[ -f ${words[2]:-} ]]; then
    sed -n 's/^[[ ]*students\.\([A-Za-z0-9_-]*\).*/\1/p' "${words[2]}" | sort -u
  fi
}
# Offers words, after the last comma of what is typed. Of a word that bash has cut at "=" or ":" it
# wants the rest only.
_retort_offer() {
  local before= typed=$cur word stem=${cur%"${cur##*[=:]}"} list= name
  [[ $typed == *,* ]] && before=${typed%,*}, typed=${typed##*,}
  if [[ $1 == *students.NAME.* ]]; then
    for name in $(_retort_students); do list+=" ${1//students.NAME./students.$name.}"; done
  fi
  for word in $(compgen -W "${list:-$1}" -- "$typed" | sort -u); do
    [[ $typed != *=* && $word == *=?* ]] && continue  # the key first, then its values
    word=$before$word
    [[ -n $stem && $COMP_WORDBREAKS == *"${stem: -1}"* ]] && word=${word#"$stem"}
    COMPREPLY+=("$word")
    [[ $word == *= ]] && compopt -o nospace 2>/dev/null
  done
}
# Files or folders; of files of a pattern also the folders they may be in.
_retort_files() {
  local name
  compopt -o filenames 2>/dev/null
  while IFS= read -r name; do COMPREPLY+=("$name"); done \
    < <({ compgen "$@" -- "$cur"; compgen -d -- "$cur"; } | sort -u)
}
)";

// `command` and the option before, or the number of the argument, decide what is offered.
const char kBashBegin[] = R"(
_retort() {
  local line=${COMP_LINE:0:COMP_POINT} words cur previous i place=0
  COMPREPLY=()
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  cur=${words[${#words[@]} - 1]}
  if ((${#words[@]} <= 2)); then
)";

// An option that takes a value of the line's own is followed by one; the rest are arguments.
std::string bash_arguments(const Command& c) {
  std::string flags, taking, cases;
  int place = 0;
  for (const CommandOption& o : c.options) {
    if (o.positional) {
      cases +=
          fmt::format("        {}) {};;\n", o.many ? "*" : std::to_string(++place), bash_action(o));
      continue;
    }
    flags += (flags.empty() ? "" : " ") + joined(o.names);
    if (o.value.empty()) continue;
    for (const std::string& name : o.names) taking += (taking.empty() ? "" : "|") + name;
  }
  std::string text = fmt::format("    {})\n", c.name);
  text +=
      fmt::format("      flags={} taking={}\n", shell_word(flags), shell_word("|" + taking + "|"));
  text += "      _retort_place\n      case $previous in\n";
  for (const CommandOption& o : c.options) {
    if (o.positional || o.value.empty()) continue;
    std::string names;
    for (const std::string& name : o.names) names += (names.empty() ? "" : "|") + name;
    text += fmt::format("        {}) {}; return;;\n", names, bash_action(o));
  }
  text += "      esac\n      [[ $cur == -* ]] && { _retort_offer \"$flags\"; return; }\n";
  if (!cases.empty()) text += "      case $place in\n" + cases + "      esac\n";
  return text + "      ;;\n";
}

const char kBashPlace[] = R"(
# `previous`: the option whose value is typed, if any. `place`: which argument it is, from 1.
_retort_place() {
  previous= place=1
  for ((i = 2; i < ${#words[@]} - 1; i++)); do
    if [[ $taking == *"|${words[i]}|"* ]]; then
      ((i + 1 == ${#words[@]} - 1)) && previous=${words[i]}
      i=$((i + 1))
    elif [[ ${words[i]} != -* ]]; then
      place=$((place + 1))
    fi
  done
}
)";

const char kZshHead[] = R"(#compdef retort
# zsh completion, made by `retort completion zsh`.

# The students whose keys are offered: the one that is typed, else those of the recipe on the line.
_retort_students() {
  if [[ $PREFIX =~ '^students\.([^.=]+)\.' ]]; then
    print -r -- $match[1]
  elif [[ -f $words[2] ]]; then
    sed -n 's/^[[ ]*students\.\([A-Za-z0-9_-]*\).*/\1/p' $words[2]
  fi
}
_retort_offer() {
  local name
  local -a names=($(_retort_students))
  for name in ${names:-NAME}; do compadd "${@//students.NAME./students.$name.}"; done
}
)";

// In zsh's specifications brackets and colons part what is said.
std::string zsh_text(const std::string& text) {
  std::string s;
  for (char c : text.substr(0, text.find('\n'))) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') s += '\\';
    s += c;
  }
  return s;
}
std::string zsh_action(const CommandOption& o) {
  if (o.choices.size() > 8) return function_of(o.value);
  if (!o.choices.empty()) return "(" + joined(o.choices) + ")";
  if (o.value == "FOLDER") return "_files -/";
  if (o.value == "RECIPE") return "_files -g \"*.toml\"";
  return o.value == "FILE" ? "_files" : " ";
}
// What follows an option or an argument: ":LOSS:action".
std::string zsh_value(const CommandOption& o) {
  return ":" + (o.value.empty() ? o.names[0] : o.value) + ":" + zsh_action(o);
}
std::string zsh_arguments(const Command& c) {
  std::string text = "_arguments";
  int place = 0;
  for (const CommandOption& o : c.options) {
    if (o.positional)
      text += " \\\n        " + shell_word((o.many ? "*" : std::to_string(++place)) + zsh_value(o));
    else
      for (const std::string& name : o.names) {
        std::string others = o.names.size() > 1 ? "(" + joined(o.names) + ")" : "";
        text += " \\\n        " +
                shell_word((o.many && !o.value.empty() ? "*" : others) + name + "[" +
                           zsh_text(o.description) + "]" + (o.value.empty() ? "" : zsh_value(o)));
      }
  }
  return text;
}

}  // namespace

std::string bash_completion(const std::vector<Command>& commands) {
  std::string text = kBashHead, names, cases;
  for (const auto& [value, words] : lists_of(commands))
    text += fmt::format("{}() {{ _retort_offer {}; }}\n", function_of(value),
                        shell_word(joined(words)));
  for (const CommandOption& o : commands[0].options) names += joined(o.names) + " ";
  for (size_t i = 1; i < commands.size(); i++) {
    names += commands[i].name + (i + 1 < commands.size() ? " " : "");
    cases += bash_arguments(commands[i]);
  }
  return text + kBashPlace + kBashBegin + "    _retort_offer " + shell_word(names) +
         "\n    return\n  fi\n  local flags taking\n  case ${words[1]} in\n" + cases +
         "  esac\n}\ncomplete -F _retort retort\n";
}

std::string zsh_completion(const std::vector<Command>& commands) {
  std::string text = kZshHead, list;
  for (const auto& [value, words] : lists_of(commands))
    text += fmt::format("{}() {{ _retort_offer {}-- {}; }}\n", function_of(value),
                        value.ends_with("=VALUE") ? "-S '' " : "", joined(words));
  text += "\n_retort() {\n  local context state state_descr line\n  typeset -A opt_args\n  ";
  Command top = commands[0];
  CommandOption command, rest;
  command.names = {"command"}, command.positional = true;
  text += zsh_arguments(top) +
          " \\\n        '1:command:->command' '*::argument:->argument' && return\n";
  for (size_t i = 1; i < commands.size(); i++)
    list += fmt::format("\n        {}",
                        shell_word(commands[i].name + ":" + zsh_text(commands[i].description)));
  text += "  case $state in\n    command)\n      local -a commands=(" + list +
          ")\n      _describe command commands;;\n    argument)\n      case $words[1] in\n";
  for (size_t i = 1; i < commands.size(); i++)
    text += "      " + commands[i].name + ")\n        " + zsh_arguments(commands[i]) + ";;\n";
  return text + "      esac;;\n  esac\n}\n\n_retort \"$@\"\n";
}

}  // namespace retort
