#include "distill/sequences.h"

#include <fmt/core.h>

#include <filesystem>

#include "data/text.h"
#include "distill/evaluate.h"
#include "distill/objective.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

const std::string again = "; remove the file, and it is made anew";

std::vector<std::vector<int>> read(const std::string& path, const Json& made, size_t count) {
  LineReader lines(path);
  std::vector<std::vector<int>> sequences;
  Json written;
  std::string rest;
  for (std::string line; lines.next(line);) {
    Json j = Json::parse(line, nullptr, false);
    if (lines.line_number() == 1) {
      check_made(path, j, made);
      written = j.value("lines", Json());
      continue;
    }
    rest += line + "\n";
    try {
      sequences.push_back(ids_in(j.is_object() ? j["ids"] : j, made["vocabulary_size"]));
    } catch (const std::exception& e) {
      throw std::runtime_error(lines.where() + ": " + e.what() + again);
    }
  }
  if (sequences.size() != count)
    throw std::runtime_error(fmt::format("{}: {} sequences, the training text has {}{}", path,
                                         sequences.size(), count, again));
  if (written.is_string() && written != checksum_of(rest))
    throw std::runtime_error(path + ": its sequences are not those that were drawn" + again);
  return sequences;
}

}  // namespace

void check_made(const std::string& path, const Json& of_file, const Json& made) {
  if (!of_file.is_object() || !of_file.contains("teacher"))
    throw std::runtime_error(path + ": its beginning does not say what made it" + again);
  for (const auto& [key, value] : made.items())
    if (of_file.value(key, Json()) != value)
      throw std::runtime_error(path + ": was made with another " + key + again);
}

void remove_teacher_sequences(const Experiment& e) {
  std::vector<fs::path> files;
  for (const auto& file : fs::directory_iterator(e.folder("teacher")))
    if (file.path().filename().string().rfind("sequences-", 0) == 0) files.push_back(file.path());
  for (const fs::path& file : files) fs::remove(file);
}

TeacherFile teacher_file(Experiment& e, const Decoding& decoding) {
  Json how = decoding_table(decoding);
  how["max_length"] = e.recipe().data.max_target + 1;
  Json made = {{"teacher", checksum(e.trained("teacher"))},
               {"vocabulary", e.tokenizer().hash()},
               {"vocabulary_size", e.tokenizer().size()},
               {"training text", e.corpus("train").checksum},
               {"data", training_data_table(e.recipe().data)},
               {"seed", e.recipe().seed},
               {"decoding", how}};
  return {fmt::format("{}/sequences-{}-{}", e.folder("teacher"), decoding.method,
                      checksum_of(how.dump()).substr(0, 8)),
          made};
}

std::vector<std::vector<int>> teacher_sequences(Experiment& e, const Decoding& decoding,
                                                const LoadTeacher& teacher) {
  const std::vector<TokenPair>& pairs = e.pairs("train").pairs;
  auto [stem, made] = teacher_file(e, decoding);
  std::string path = stem + ".jsonl";
  if (fs::exists(path)) return read(path, made, pairs.size());
  DecodeOptions o = decode_options(decoding);
  o.max_length = e.recipe().data.max_target + 1;
  o.key = {e.recipe().seed, 0, kTeacherSamples, 0};
  auto sequences = decode_pairs(e, teacher(), pairs, o, "the teacher's sequences");
  std::string text;
  for (const std::vector<int>& ids : sequences)
    text += Json{{"ids", ids}, {"text", e.tokenizer().decode(ids)}}.dump() + "\n";
  made["lines"] = checksum_of(text);
  write_file_atomically(path, made.dump() + "\n" + text);
  return sequences;
}

}  // namespace retort
