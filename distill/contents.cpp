#include "distill/contents.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "data/text.h"
#include "data/tokenizer.h"
#include "distill/experiment.h"
#include "distill/page_stage.h"
#include "distill/recipe_keys.h"
#include "distill/results.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

constexpr size_t kHead = 1 << 16;
constexpr size_t kListed = 200;  // entries of a folder

void check_there(const std::string& path) {
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (fs::exists(status)) return;
  if (error && error != std::errc::no_such_file_or_directory)
    throw std::runtime_error(path + ": " + error.message());
  if (fs::is_symlink(path, error))
    throw std::runtime_error(path + ": is a link to " + fs::read_symlink(path).string() +
                             ", which is not there");
  throw std::runtime_error((path.empty() ? "\"\"" : path) + ": no such file or folder");
}

std::string head_of(const std::string& path) {
  if (!fs::is_regular_file(path)) throw std::runtime_error(path + ": is not a regular file");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be opened: " + std::strerror(errno));
  std::string head(kHead, '\0');
  in.read(head.data(), kHead);
  if (!in && !in.eof()) throw std::runtime_error(path + ": cannot be read");
  head.resize(size_t(in.gcount()));
  if (head.empty()) throw std::runtime_error(path + ": is empty");
  return head;
}

// The first lines of plain or compressed text.
std::string first_lines(const std::string& path) {
  LineReader lines(path);
  std::string line, text;
  while (text.size() < kHead && lines.next(line)) text += line + "\n";
  return text;
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

// TensorBoard's first record: its length, a checksum, and a message that tells the version.
bool is_events(const std::string& head) {
  return head.substr(0, 64).find("brain.Event:") != std::string::npos;
}

// Valid UTF-8, whose last character may be cut, without control characters of binary files.
bool is_text(const std::string& head) {
  size_t bad = find_invalid_utf8(head);
  return head.find('\0') == std::string::npos &&
         (bad == std::string::npos || (head.size() == kHead && bad + 4 > kHead));
}

// Whether a line of a text begins a recipe's table, "[train]", its bracket forgotten or not, or
// gives one of its keys, "seed = 1" or "train.steps = 10", and nothing but such lines and comments
// stands above.
bool is_recipe(const std::string& text) {
  static const std::set<std::string> known = [] {
    std::set<std::string> names{"presets"};
    for (const std::string& key : recipe_keys()) names.insert(key.substr(0, key.find('.')));
    return names;
  }();
  static const std::regex line_of_toml(
      R"(\s*(?:\[{1,2}\s*([A-Za-z0-9_-]+)\s*(?:[.\]].*)?|([A-Za-z0-9_-]+)\s*(?:\..*)?=.*))");
  std::istringstream lines(text);
  std::smatch found;
  for (std::string line; std::getline(lines, line);) {
    line.resize(std::min<size_t>(line.size(), 200));
    size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos || line[first] == '#') continue;
    if (!std::regex_match(line, found, line_of_toml)) return false;
    if (known.contains(found[1]) || known.contains(found[2])) return true;
  }
  return false;
}

// An object with the figures of examples, whole or not.
bool is_results(const std::string& text) {
  return text.starts_with("{\n\"") && text.find("\"segments\":") != std::string::npos;
}

// Whether a text begins as objects and lists of JSON do: "[1] says" does not.
bool is_json(const std::string& text) {
  size_t first = text.find_first_not_of(" \t\n"),
         second = first == std::string::npos ? first : text.find_first_not_of(" \t\n", first + 1);
  if (second == std::string::npos) return false;
  return (text[first] == '{' && (text[second] == '"' || text[second] == '}')) ||
         (text[first] == '[' && std::string("{[\"]").find(text[second]) != std::string::npos);
}

// A format that fits the beginning of a text.
std::string guessed_format(const std::string& text) {
  auto has = [&](const char* part) { return text.find(part) != std::string::npos; };
  if (has("<entries")) return has("<benchmark") ? "webnlg" : "dart";
  if (is_json(text)) {
    static const std::regex of_objects(R"(\s*\{\s*"[^"]*"\s*:\s*\{)");
    if (has("\"tripleset\"")) return "dart";
    std::string begin = text.substr(0, 200);
    bool dialogues = std::regex_search(begin, of_objects, std::regex_constants::match_continuous);
    return dialogues && has("\"turns\"") ? "commonsense_dialogues" : "jsonl";
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

// Read as the keys say, and as `guess` where they name no format.
Contents data_contents(const std::string& path, const std::string& guess,
                       const std::vector<std::string>& overrides, size_t rows) {
  std::vector<std::string> keys{"data.train=" + Json(path).dump()};
  keys.insert(keys.end(), overrides.begin(), overrides.end());
  bool told = false;
  for (const std::string& o : overrides) told |= o.starts_with("data.format=");
  if (!told) keys.push_back("data.format=" + guess);
  DataOptions data = load_recipe("", keys).data;
  for (const std::string& o : overrides)
    if (!o.starts_with("data.") || o.starts_with("data.train="))
      throw std::runtime_error(o + ": does not say how " + path +
                               " is read; data.format, data.source and so on do");
  Corpus corpus;
  try {
    corpus = read_corpus(read_options(data, "train"));
  } catch (const std::exception& e) {
    throw std::runtime_error(std::string(e.what()) +
                             (told ? ""
                                   : "; read as data.format=" + guess +
                                         ", give another, or data.source and data.target"));
  }
  Contents c = {{"kind", "data set"}, {"format", data.format}};
  if (std::string line; data.format == "tsv" && LineReader(path).next(line))
    c["columns"] = "source " + join(data.source) + ", target " + data.target + ", of " +
                   std::to_string(std::count(line.begin(), line.end(), '\t') + 1);
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

// WebNLG's files lie in folders by number of triples, these in one of each split.
bool has_webnlg(const std::string& folder) {
  constexpr int kDeep = 3;
  auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator at(folder, options), end; at != end; ++at) {
    if (at.depth() >= kDeep) at.disable_recursion_pending();
    if (at->path().extension() == ".xml" && at->is_regular_file())
      return guessed_format(first_lines(at->path().string())) == "webnlg";
  }
  return false;
}

// What lies in a folder of no known kind.
Contents listing(const std::string& path) {
  std::map<std::string, Contents> entries;
  for (const auto& entry : fs::directory_iterator(path)) {
    std::error_code none;
    std::string name = entry.path().filename().string();
    entries[name] = {{"name", name}};
    if (entry.is_regular_file(none))
      entries[name]["bytes"] = entry.file_size(none);
    else
      entries[name]["is"] = entry.is_directory(none) ? "folder" : "no regular file";
  }
  if (entries.empty()) throw std::runtime_error(path + ": is an empty folder");
  Contents c = {{"kind", "folder"}, {"holds", "no run, weights or data set itself"}};
  c["entries"] = entries.size();
  for (const auto& [name, entry] : entries)
    if (c["files"].size() < kListed) c["files"].push_back(entry);
  return c;
}

// Keys over a recipe, or on how a data set is read; of other kinds they are an error.
void check_keys(const std::string& path, const char* what,
                const std::vector<std::string>& overrides) {
  if (!overrides.empty())
    throw std::runtime_error(path + ": is " + what + ", of which " + overrides[0] +
                             " says nothing; keys are for recipes and data sets");
}

Contents folder_contents(const std::string& path, const std::vector<std::string>& overrides,
                         size_t rows) {
  std::error_code none;
  bool stage = is_stage(path), run = false, weights = fs::exists(path + "/model.safetensors", none);
  if (!stage)
    for (const auto& entry : fs::directory_iterator(path)) run |= is_stage(entry.path().string());
  if (!stage && !run && !weights && (!overrides.empty() || has_webnlg(path)))
    return data_contents(path, "webnlg", overrides, rows);
  check_keys(path, stage ? "a stage" : run ? "a run" : "weights", overrides);
  if (stage) return stage_contents(path);
  if (run) return run_contents(path);
  return weights ? tensor_contents(path + "/model.safetensors", rows) : listing(path);
}

Contents file_contents(const std::string& path, const std::vector<std::string>& overrides,
                       size_t rows) {
  std::string head = head_of(path);
  auto plain = [&](const char* what) { check_keys(path, what, overrides); };
  if (is_safetensors(head)) return plain("safetensors"), tensor_contents(path, rows);
  bool text = is_text(head), packed = is_gzip(head);
  if (!text && is_events(head)) return plain("TensorBoard's"), events_contents(path);
  if (!text && is_sentencepiece(head)) return plain("a tokenizer"), tokenizer_contents(path, rows);
  if (!text && !packed)
    throw std::runtime_error(path +
                             ": neither safetensors, a SentencePiece model, a recipe, "
                             "results nor text in UTF-8; or it is damaged");
  std::string lines = first_lines(path);
  if (is_recipe(lines)) {
    if (packed) throw std::runtime_error(path + ": is a recipe in gzip; unpack it first");
    return recipe_contents(path, overrides);
  }
  if (is_results(lines) && !packed) return plain("results"), results_contents(path);
  std::string guess = guessed_format(lines);
  if (guess == "jsonl" && overrides.empty()) return json_contents(path, rows);
  return data_contents(path, guess, overrides, rows);
}

}  // namespace

Contents contents_of(const std::string& path, const std::vector<std::string>& overrides,
                     size_t rows) {
  check_there(path);
  bool folder = fs::is_directory(path);
  Contents found =
      folder ? folder_contents(path, overrides, rows) : file_contents(path, overrides, rows);
  Contents c = {{"file", path}, {"kind", found["kind"]}};
  if (!folder) c["bytes"] = fs::file_size(path), c["checksum"] = checksum(path);
  for (const auto& [key, value] : found.items()) c[key] = value;
  return c;
}

}  // namespace retort
