#include "distill/contents.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "data/text.h"
#include "data/tokenizer.h"
#include "distill/experiment.h"
#include "distill/page_stage.h"
#include "distill/results.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

constexpr size_t kHead = 1 << 16;

std::string head_of(const std::string& path) {
  if (!fs::exists(path)) throw std::runtime_error(path + ": no such file or folder");
  if (!fs::is_regular_file(path)) throw std::runtime_error(path + ": is not a regular file");
  std::ifstream in(path, std::ios::binary);
  std::string head(kHead, '\0');
  in.read(head.data(), kHead);
  if (!in && !in.eof()) throw std::runtime_error(path + ": cannot be read");
  head.resize(size_t(in.gcount()));
  if (head.empty()) throw std::runtime_error(path + ": is empty");
  return head;
}

// The length of a JSON header, and its first byte.
bool is_safetensors(const std::string& head) {
  uint64_t length = 0;
  if (head.size() < 9) return false;
  std::memcpy(&length, head.data(), 8);
  return length <= 100'000'000 && head[8] == '{';
}

// A protobuf whose field 1 is a message whose field 1 is a short text: the first piece.
bool is_sentencepiece(const std::string& head) {
  return head.size() > 4 && head[0] == 0x0a && head[2] == 0x0a && head[3] + 2 <= head[1];
}

bool is_gzip(const std::string& head) { return head.starts_with("\x1f\x8b"); }

// Valid UTF-8, whose last character may be cut, without control characters of binary files.
bool is_text(const std::string& head) {
  size_t bad = find_invalid_utf8(head);
  return head.find('\0') == std::string::npos &&
         (bad == std::string::npos || (head.size() == kHead && bad + 4 > kHead));
}

// Whether a line opens one of a recipe's tables, or gives it or a key in it a value.
bool is_recipe(const std::string& head) {
  static const std::string tables = "(data|tokenizer|train|evaluate|teacher|student|students)";
  static const std::regex begins("\\[\\[?" + tables + "[.\\]]|" + tables + "(\\.[\\w.-]+)? *=");
  std::istringstream lines(head);
  for (std::string line; std::getline(lines, line);) {
    line.resize(std::min<size_t>(line.size(), 100));
    if (std::regex_search(line, begins, std::regex_constants::match_continuous)) return true;
  }
  return false;
}

// An object with the figures of examples, whole or not.
bool is_results(const std::string& head) {
  return head.starts_with("{\n\"") && head.find("\"segments\":") != std::string::npos;
}

// A format that fits the beginning of a text.
std::string guessed_format(const std::string& path, const std::string& head) {
  if (fs::is_directory(path)) return "webnlg";
  LineReader lines(path);
  std::string line, text;
  for (int i = 0; i < 20 && lines.next(line); i++) text += line + "\n";
  size_t first = text.find_first_not_of(" \t\n");
  char begins = first == std::string::npos ? ' ' : text[first];
  if (begins == '[' || text.find("<entries") != std::string::npos)
    return text.find("<benchmark") == std::string::npos ? "dart" : "webnlg";
  if (begins == '{') {
    std::string one = text.substr(0, text.find('\n'));
    return Json::accept(one) || is_gzip(head) ? "jsonl" : "commonsense_dialogues";
  }
  return text.substr(0, text.find('\n')).find('\t') == std::string::npos ? "text" : "tsv";
}

Contents lengths_of(const std::vector<Example>& examples, std::string Example::*side) {
  size_t least = SIZE_MAX, most = 0, words = 0, characters = 0;
  for (const Example& e : examples) {
    size_t n = words_of(e.*side).size();
    least = std::min(least, n), most = std::max(most, n), words += n;
    characters += count_characters(e.*side);
  }
  double n = double(examples.size());
  return {{"least", least},
          {"mean", double(words) / n},
          {"most", most},
          {"mean_characters", double(characters) / n}};
}

Contents data_contents(const std::string& path, const std::string& head,
                       std::vector<std::string> overrides, size_t rows) {
  bool told = std::any_of(overrides.begin(), overrides.end(),
                          [](const std::string& o) { return o.starts_with("data.format="); });
  std::string guess = told ? "" : guessed_format(path, head);
  if (!told) overrides.insert(overrides.begin(), "data.format=" + guess);
  overrides.push_back("data.train=" + Json(path).dump());
  DataOptions data;
  Corpus corpus;
  try {
    data = load_recipe("", overrides).data;
    corpus = read_corpus(read_options(data, "train"));
  } catch (const std::exception& e) {
    throw std::runtime_error(std::string(e.what()) +
                             (told ? ""
                                   : "; read as data.format=" + guess +
                                         ", give another, or data.source and data.target"));
  }
  Contents c = {{"kind", "data set"}, {"format", data.format}};
  c["examples"] = corpus.examples.size();
  for (const auto& [why, n] : corpus.dropped) c["left_out"][why] = n;
  bool has_source = !corpus.examples[0].source.empty();
  if (has_source) c["words"]["source"] = lengths_of(corpus.examples, &Example::source);
  c["words"]["target"] = lengths_of(corpus.examples, &Example::target);
  for (size_t i = 0; i < std::min(rows, corpus.examples.size()); i++) {
    const Example& e = corpus.examples[i];
    Contents row = {{"line", e.line}};
    if (has_source) row["source"] = e.source;
    row["target"] = e.target;
    if (!e.label.empty()) row["label"] = e.label;
    c["rows"].push_back(row);
  }
  return c;
}

Contents tokenizer_contents(const std::string& path, size_t rows) {
  Tokenizer t = Tokenizer::load(path);
  Contents c = {
      {"kind", "tokenizer"},
      {"pieces", t.size()},
      {"special", {{"pad", t.pad()}, {"unk", t.unk()}, {"bos", t.bos()}, {"eos", t.eos()}}}};
  if (t.mask() >= 0) c["special"]["mask"] = t.mask();
  for (int id = 0; id < std::min(t.size(), int(rows) + 4); id++)
    c["rows"].push_back({{"id", id}, {"piece", t.piece(id)}});
  return c;
}

Contents results_contents(const std::string& path) {
  StageResults r = read_results(path);
  Contents c = {{"kind", "results"},    {"recipe", r.recipe},
                {"stage", r.stage},     {"method", r.method},
                {"seed", r.seed},       {"split", r.split},
                {"minutes", r.minutes}, {"commit", r.commit},
                {"machine", r.machine}, {"recipe_fingerprint", r.recipe_fingerprint}};
  for (const auto& [name, m] : r.figures)
    c["figures"].push_back({{"figure", name},
                            {"score", m.score()},
                            {"segments", m.segments.size()},
                            {"signature", m.signature}});
  return c;
}

Contents folder_contents(const std::string& path, const std::vector<std::string>& overrides,
                         size_t rows) {
  if (is_stage(path)) return stage_contents(path);
  bool xml = false;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.is_directory() && is_stage(entry.path().string())) return run_contents(path);
    xml |= entry.path().extension() == ".xml" || entry.is_directory();
  }
  if (fs::exists(path + "/model.safetensors")) return tensor_contents(path + "/model.safetensors");
  if (!xml)
    throw std::runtime_error(path +
                             ": no run's folder (STAGE/results.json, metrics.jsonl or "
                             "manifest.json), no weights and no data set in it");
  return data_contents(path, "", overrides, rows);
}

Contents file_contents(const std::string& path, const std::vector<std::string>& overrides,
                       size_t rows) {
  std::string head = head_of(path);
  if (is_safetensors(head)) return tensor_contents(path);
  if (is_sentencepiece(head)) return tokenizer_contents(path, rows);
  if (!is_text(head) && !is_gzip(head))
    throw std::runtime_error(path +
                             ": neither safetensors, a SentencePiece model, a recipe, "
                             "results nor text; or it is damaged");
  if (is_recipe(head)) return recipe_contents(path, overrides);
  if (is_results(head)) return results_contents(path);
  return data_contents(path, head, overrides, rows);
}

}  // namespace

Contents contents_of(const std::string& path, const std::vector<std::string>& overrides,
                     size_t rows) {
  bool folder = fs::is_directory(path);
  Contents found =
      folder ? folder_contents(path, overrides, rows) : file_contents(path, overrides, rows);
  Contents c = {{"file", path}, {"kind", found["kind"]}};
  if (!folder) c["bytes"] = fs::file_size(path), c["checksum"] = checksum(path);
  for (const auto& [key, value] : found.items()) c[key] = value;
  return c;
}

}  // namespace retort
