#include "distill/cli.h"

#include <map>

#include "data/metrics.h"
#include "distill/recipe.h"
#include "distill/recipe_keys.h"
#include "losses/divergence.h"
#include "losses/names.h"
#include "losses/transport.h"

namespace retort {
namespace {

using Words = std::vector<std::string>;

Words parts(const std::string& list, const std::string& between) {
  Words words;
  for (size_t at = 0; at <= list.size();) {
    size_t end = std::min(list.find(between, at), list.size());
    words.push_back(list.substr(at, end - at));
    at = end + between.size();
  }
  return words;
}

// Parameters of losses, "eps=".
Words loss_parameters() {
  std::map<std::string, bool> names;
  for (const DivergenceInfo& d : divergences())
    if (!d.parameter.empty()) names[d.parameter + "="] = true;
  for (const TransportInfo& t : transport_losses())
    for (const std::string& p : parts(t.parameters, " "))
      if (!p.empty()) names[p.substr(0, p.find('=') + 1)] = true;
  Words words;
  for (const auto& [name, any] : names) words.push_back(name);
  return words;
}

// A recipe's keys, and the values of those that have a list of them: what the check of a value that
// is none of them says.
Words recipe_words() {
  Words words;
  for (const std::string& key : recipe_keys()) {
    words.push_back(key + "=");
    Words given{"data.train=?", "teacher.method=mle", "student.method=mle", key + "=?"};
    if (size_t at = key.find(".0."); at != std::string::npos)  // the list has to be there
      given.insert(given.end() - 1, key.substr(0, at) + "=[{}]");
    try {
      load_recipe("", given);
    } catch (const std::exception& e) {
      std::string text = e.what(), there = "\"?\"; there are: ";
      size_t at = text.find(there);
      if (at == std::string::npos) continue;
      at += there.size();
      for (const std::string& value : parts(text.substr(at, text.find(';', at) - at), ", "))
        words.push_back(key + "=" + value);
    }
  }
  return words;
}

// "TEXT:{f32,f64}": what an option takes, and its choices.
void set_value(CommandOption& o, const std::string& type) {
  static const std::map<std::string, Words (*)()> known = {{"LOSS", logit_losses},
                                                           {"NAME=VALUE", loss_parameters},
                                                           {"KEY=VALUE", recipe_words},
                                                           {"METRIC", [] {
                                                              Words names;
                                                              for (const Metric& m : metrics())
                                                                names.push_back(m.name);
                                                              return names;
                                                            }}};
  size_t open = type.find('{'), close = type.find('}');
  if (open != std::string::npos && close != std::string::npos)
    o.choices = parts(type.substr(open + 1, close - open - 1), ",");
  o.value = type.substr(0, type.find_first_of(":{"));
  if (auto words = known.find(o.value); words != known.end()) o.choices = words->second();
}

CommandOption option_of(const CLI::Option& from) {
  CommandOption o;
  o.positional = from.get_positional();
  if (o.positional) {
    o.names = {from.get_name(true)};
  } else {
    for (const std::string& name : from.get_snames()) o.names.push_back("-" + name);
    for (const std::string& name : from.get_lnames()) o.names.push_back("--" + name);
  }
  if (from.get_items_expected_max() > 0) set_value(o, from.get_type_name());
  o.many = from.get_expected_max() > 1;
  o.description = from.get_description(), o.standard = from.get_default_str();
  o.required = from.get_required();
  return o;
}

Command command_of(const CLI::App& app, const std::string& name) {
  Command c{name, app.get_description(), app.get_footer(), {}};
  for (const CLI::Option* o : app.get_options()) c.options.push_back(option_of(*o));
  return c;
}

}  // namespace

std::vector<Command> commands_of(const CLI::App& app) {
  std::vector<Command> commands{command_of(app, app.get_name())};
  for (const CLI::App* c : app.get_subcommands(nullptr))
    commands.push_back(command_of(*c, c->get_name()));
  return commands;
}

}  // namespace retort
