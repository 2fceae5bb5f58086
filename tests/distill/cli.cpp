// Completion and man page: all that the program takes is in each, and shells and man read them.
#include "distill/cli.h"

#include <fmt/core.h>

#include <catch2/catch.hpp>
#include <set>

#include "distill/commands.h"
#include "losses/divergence.h"
#include "losses/transport.h"
#include "tests/distill/program.h"
#include "tests/skip.h"

namespace fs = std::filesystem;
using namespace retort;

namespace {

std::vector<Command> all_commands() {
  CLI::App app;
  add_commands(app);
  return commands_of(app);
}

// What a shell command prints.
std::string output(const std::string& command) {
  std::string log = (folder() / "shell").string();
  int status = std::system(("(" + command + ") > " + log + " 2>&1").c_str());
  std::string text = read_file(log);
  INFO(command << "\n" << text);
  CHECK(status == 0);
  return text;
}

// What bash offers at the end of a line.
std::set<std::string> offered(const std::string& line) {
  std::string script =
      write("complete.sh", "source " + (folder() / "retort.bash").string() + "\nCOMP_LINE='" +
                               line + "' COMP_POINT=" + std::to_string(line.size()) +
                               "\n_retort\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
  std::set<std::string> words;
  std::istringstream lines(output("bash -u " + script));
  for (std::string word; std::getline(lines, word);)
    if (!word.empty()) words.insert(word);
  return words;
}

}  // namespace

TEST_CASE("completion and man page hold every subcommand, option and choice", "[cli]") {
  std::vector<Command> commands = all_commands();
  REQUIRE(commands.size() > 15);
  std::string bash = bash_completion(commands), zsh = zsh_completion(commands),
              man = man_page(commands), plain;
  for (size_t i = 0; i < man.size(); i++)
    if (man[i] != '\\' || man[i + 1] != '-') plain += man[i];
  size_t options = 0;
  for (const Command& c : commands) {
    // Of this subcommand's own part.
    std::string own_bash = bash, own_zsh = zsh, own_man = plain;
    if (&c != &commands[0]) {
      size_t at = bash.find("\n    " + c.name + ")\n");
      REQUIRE(at != std::string::npos);
      own_bash = bash.substr(at, bash.find(";;\n    ", at + 1) - at);
      own_bash = bash.substr(at, bash.find("\n      ;;\n", at) - at);
      at = zsh.find("\n      " + c.name + ")\n");
      REQUIRE(at != std::string::npos);
      own_zsh = zsh.substr(at, zsh.find(";;\n", at) - at);
      at = plain.find(".SS \\fBretort " + c.name + "\\fR\n");
      REQUIRE(at != std::string::npos);
      own_man = plain.substr(at, plain.find("\n.S", at + 1) - at);
    }
    for (const CommandOption& o : c.options)
      for (const std::string& name : o.names) {
        INFO(c.name << " " << name);
        options++;
        CHECK(own_man.find((o.positional ? "\\fI" : "\\fB") + name + "\\fR") != std::string::npos);
        if (o.positional) continue;
        CHECK(own_bash.find(name) != std::string::npos);
        CHECK(own_zsh.find(name + "[") != std::string::npos);
      }
  }
  CHECK(options > 100);
}

TEST_CASE("bash completes subcommands, options, choices, keys and files", "[cli]") {
  fs::remove_all(folder());
  write("retort.bash", bash_completion(all_commands()));
  using Set = std::set<std::string>;
  CHECK(offered("retort sc") == Set{"score"});
  CHECK(offered("retort in") == Set{"inspect", "invariants"});
  CHECK(offered("retort ").count("train"));
  CHECK(offered("retort loss --na") == Set{"--name"});
  Set losses = offered("retort loss --name ");
  for (const DivergenceInfo& d : divergences()) CHECK(losses.count(d.name));
  for (const TransportInfo& t : transport_losses()) CHECK(losses.count(t.name));
  CHECK(offered("retort loss --name sk") == Set{"skew_kl", "skew_rkl"});
  CHECK(offered("retort loss --name sinkhorn:u") == Set{"unit"});  // bash has cut it at the colon
  CHECK(offered("retort loss --dtype ") == Set{"f32", "f64"});
  CHECK(offered("retort loss --name kl --temp") == Set{"--temperature"});
  CHECK(offered("retort score --metric bleu,rouge") ==
        Set{"bleu,rouge1", "bleu,rouge2", "bleu,rougeL"});
  CHECK(offered("retort generate x.toml --method b") == Set{"beam"});
  CHECK(offered("retort train x.toml train.sched") == Set{"train.schedule="});
  CHECK(offered("retort train x.toml train.schedule=") ==
        Set{"constant", "linear", "cosine", "inverse_sqrt"});
  CHECK(offered("retort run x.toml --tensorboard student.method=pre") == Set{"predistil"});
  CHECK(offered("retort run x.toml data.format=glue:ss") == Set{"sst2"});
  CHECK(offered("retort run x.toml student.model.preset=ll") == Set{"llama"});
  CHECK(offered("retort run x.toml teacher.model.positions=ro") == Set{"rotary"});
  CHECK(offered("retort run x.toml evaluate.bea") == Set{"evaluate.beams="});
  CHECK(offered("retort run x.toml evaluate.le") == Set{"evaluate.length_penalty="});
  CHECK(offered("retort run x.toml students.mine.train.sched") ==
        Set{"students.mine.train.schedule="});
  CHECK(offered("retort run x.toml students.mine.method=pre") == Set{"predistil"});
  CHECK(offered("retort run x.toml students.mine.terms.0.on=g") == Set{"gold"});
  CHECK(offered("retort run x.toml students.mine.terms.0.loss=sinkhorn:un") == Set{"unit"});
  std::string two =
      write("two.toml", "students.a.method = \"kl\"\n[students.b-2.train]\nsteps = 1\n");
  CHECK(offered("retort run " + two + " students.met").empty());
  CHECK(offered("retort run " + two + " evaluate.bea") == Set{"evaluate.beams="});
  Set of_both = offered("retort run " + two + " students.");
  CHECK(of_both.count("students.a.method="));
  CHECK(of_both.count("students.b-2.evaluate.beams=") == 0);
  CHECK(of_both.count("students.b-2.train.steps="));
  CHECK(of_both.count("students.NAME.method=") == 0);
  fs::remove(two);
  CHECK(offered("retort completion ") == Set{"bash", "zsh"});
  std::string at = folder().string() + "/";
  write("a file.toml", ""), write("other.txt", "");
  fs::create_directories(at + "below");
  CHECK(offered("retort train " + at) == Set{at + "a file.toml", at + "below"});
  CHECK(offered("retort inspect " + at + "o") == Set{at + "other.txt"});
  CHECK(offered("retort report " + at) == Set{at + "below"});
  CHECK(offered("retort nothing --x") == Set{});
  fs::remove_all(folder());
}

TEST_CASE("zsh reads its completion", "[cli]") {
  fs::remove_all(folder());
  if (std::system("command -v zsh >/dev/null 2>&1") != 0)
    return skipped("zsh's completion", "no zsh here");
  write("_retort", zsh_completion(all_commands()));
  output("zsh -n " + (folder() / "_retort").string());
  // In an interactive zsh on a terminal of its own: what <Tab> makes of a line.
  std::string keys =
      write("keys.zsh",
            "zmodload zsh/zpty\nzpty z zsh -f -i\nzpty -w z 'PROMPT=; fpath=(" + folder().string() +
                " $fpath); autoload -U compinit; compinit -u -D; cd " + folder().string() +
                "; echo re\"\"ady'\n"
                "zpty -r -m z line '*ready*'\n"
                "zpty -n -w z $'retort loss --name jeff\\t--dty\\tf6\\t'\nsleep 1\n"
                "zpty -n -w z $'\\C-A: \"\\C-E\"; echo do\"\"ne\\n'\nzpty -r -m z line "
                "'*done*'\nprint -r -- $line\n");
  CHECK(output("timeout 60 zsh -f " + keys).find("--name jeffreys --dtype f64") !=
        std::string::npos);
  fs::remove_all(folder());
}

TEST_CASE("the man page is roff without a warning", "[cli]") {
  fs::remove_all(folder());
  std::string page = write("retort.1", man_page(all_commands())), at = fs::path(page).string();
  bool any = false;
  if (std::system("command -v mandoc >/dev/null 2>&1") == 0) {
    CHECK(output("mandoc -Tlint -Wwarning " + at) == "");
    CHECK(output("mandoc -Tascii " + at + " | col -b").find("--temperature") != std::string::npos);
    any = true;
  }
  if (std::system("command -v groff >/dev/null 2>&1") == 0) {
    CHECK(output("groff -man -ww -z " + at) == "");
    any = true;
  }
  if (!any) skipped("the man page", "neither mandoc nor groff here");
  fs::remove_all(folder());
}
