#include "distill/sequences.h"

#include <fmt/core.h>

#include <filesystem>

#include "data/text.h"
#include "distill/evaluate.h"
#include "distill/objective.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

Json decoding_table(const Decoding& d, int max_length) {
  Json t = {{"method", d.method}, {"max_length", max_length}};
  if (d.method.rfind("beam", 0) == 0) t["beams"] = d.beams, t["length_penalty"] = d.length_penalty;
  if (d.method == "beam_sample") t["top_k"] = d.top_k;
  if (d.method == "sample")
    t["temperature"] = d.temperature, t["top_k"] = d.top_k, t["top_p"] = d.top_p;
  if (d.min_length > 0) t["min_length"] = d.min_length;
  return t;
}

// The key of `from` whose value is another in `to`; "" where there is none.
std::string first_difference(const Json& from, const Json& to) {
  for (const auto& [key, value] : to.items())
    if (from.value(key, Json()) != value) return key;
  return "";
}

std::vector<std::vector<int>> read(const std::string& path, const Json& made, size_t count) {
  const std::string again = "; remove the file, and it is made anew";
  LineReader lines(path);
  std::vector<std::vector<int>> sequences;
  for (std::string line; lines.next(line);) {
    Json j = Json::parse(line, nullptr, false);
    if (lines.line_number() == 1) {
      if (!j.is_object() || !j.contains("teacher"))
        throw std::runtime_error(path + ": its first line does not say what made it" + again);
      if (std::string key = first_difference(j, made); !key.empty())
        throw std::runtime_error(path + ": was made with another " + key + again);
      continue;
    }
    try {
      sequences.push_back(ids_in(j.is_object() ? j["ids"] : j, made["vocabulary_size"]));
    } catch (const std::exception& e) {
      throw std::runtime_error(lines.where() + ": " + e.what() + again);
    }
  }
  if (sequences.size() != count)
    throw std::runtime_error(fmt::format("{}: {} sequences, the training text has {}{}", path,
                                         sequences.size(), count, again));
  return sequences;
}

}  // namespace

void remove_teacher_sequences(const Experiment& e) {
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(e.folder("teacher")))
    if (file.path().filename().string().rfind("sequences-", 0) == 0) files.push_back(file.path());
  for (const fs::path& file : files) fs::remove(file);
}

std::vector<std::vector<int>> teacher_sequences(Experiment& e, const Decoding& decoding,
                                                const Model& teacher) {
  const std::vector<TokenPair>& pairs = e.pairs("train").pairs;
  DecodeOptions o = decode_options(decoding);
  o.max_length = e.recipe().data.max_target + 1;
  o.key = {e.recipe().seed, 0, kTeacherSamples, 0};
  Json how = decoding_table(decoding, o.max_length);
  Json made = {{"teacher", checksum(weights_path(e.folder("teacher")))},
               {"vocabulary", e.tokenizer().hash()},
               {"vocabulary_size", e.tokenizer().size()},
               {"training text", e.corpus("train").checksum},
               {"data", training_data_table(e.recipe().data)},
               {"seed", e.recipe().seed},
               {"decoding", how}};
  std::string path = fmt::format("{}/sequences-{}-{}.jsonl", e.folder("teacher"), decoding.method,
                                 checksum_of(how.dump()).substr(0, 8));
  if (fs::exists(path)) return read(path, made, pairs.size());
  auto sequences = decode_pairs(e, teacher, pairs, o, "the teacher's sequences");
  std::string text = made.dump() + "\n";
  for (const std::vector<int>& ids : sequences)
    text += Json{{"ids", ids}, {"text", e.tokenizer().decode(ids)}}.dump() + "\n";
  write_file_atomically(path, text);
  return sequences;
}

}  // namespace retort
