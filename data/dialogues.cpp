// Commonsense Dialogues (Zhou et al. 2021): {"1": {"context": ..., "speaker": ..., "turns":
// [...]}}. A turn becomes the target of one example whose source is all before it:
//   context | turn | turn | ...
#include <fmt/core.h>

#include <stdexcept>

#include "data/records.h"

namespace retort {

NextRecord dialogue_records(const ReadOptions& options) {
  const char* expected = "{\"1\": {\"context\": text, \"turns\": [text, ...]}, ...}";
  const std::string& path = options.paths[0];
  JsonFile file = parse_json(path, read_text(path, expected),
                             nlohmann::ordered_json::value_t::object, expected);
  std::vector<Example> examples;
  for (const auto& [name, dialogue] : file.value.items()) {
    size_t line = file.lines.at(name);
    try {
      std::string before = one_line(dialogue.at("context").get_ref<const std::string&>());
      const auto& turns = dialogue.at("turns");
      if (!turns.is_array() || turns.empty()) throw std::length_error("");
      for (size_t turn = 0; turn < turns.size(); turn++) {
        std::string said = one_line(turns[turn].get_ref<const std::string&>());
        if (turn > 0 || options.first_turn) examples.push_back({before, said, line});
        before += " | " + said;
      }
    } catch (const std::exception&) {
      throw std::runtime_error(fmt::format("{}:{}: dialogue {} has another shape; {} expected",
                                           path, line, name, expected));
    }
  }
  return records_of(std::move(examples));
}

}  // namespace retort
