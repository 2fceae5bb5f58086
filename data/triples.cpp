// Data-to-text: triples as one line of text with the sentences that say the same. DART v1.1.1
// (Nan et al. 2021) as JSON or XML, WebNLG (Gardent et al. 2017) as XML.
//   subject : relation : object | subject : relation : object
// (the linearisation of f-DISTILL's code, dart/utils.py).
#include <fmt/core.h>

#include <pugixml.hpp>
#include <stdexcept>

#include "data/records.h"

namespace retort {
namespace {

// After one of these a capital begins a word.
bool is_small(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

// The words of a name: "Abilene,_Texas" is "Abilene, Texas", "isPartOf" (a relation) "is Part Of",
// "\"17L\"" is "17L".
std::string split_name(std::string name, bool camel_case) {
  if (name.size() > 1 && name.front() == '"' && name.back() == '"')
    name = name.substr(1, name.size() - 2);
  std::string words;
  for (size_t i = 0; i < name.size(); i++) {
    if (camel_case && i > 0 && is_small(name[i - 1]) && is_upper(name[i])) words += ' ';
    char c = name[i] == '_' ? ' ' : name[i];
    if (c != ' ' || !words.ends_with(' ')) words += c;
  }
  return one_line(words);
}

// Adds a triple to a line of them.
void add_triple(std::string& line, std::string subject, std::string relation, std::string object,
                bool split_names) {
  if (split_names) {
    subject = split_name(subject, false), object = split_name(object, false);
    relation = split_name(relation, true);
  }
  for (char& c : relation)
    if (is_upper(c)) c += 'a' - 'A';
  line += fmt::format("{}{} : {} : {}", line.empty() ? "" : " | ", one_line(subject),
                      one_line(relation), one_line(object));
}

const char* const kJson =
    "an array of {\"tripleset\": [[subject, relation, object], ...], "
    "\"annotations\": [{\"text\": ...}, ...]}";

std::vector<Example> read_json(const std::string& path, const std::string& text, bool split_names) {
  JsonFile file = parse_json(path, text, nlohmann::ordered_json::value_t::array, kJson);
  std::vector<Example> examples;
  for (const auto& [number, entry] : file.value.items()) {
    Example example;
    example.line = file.lines.at(number);
    try {
      if (entry.at("tripleset").empty()) throw std::length_error("");
      for (const auto& triple : entry.at("tripleset")) {
        if (triple.size() != 3) throw std::length_error("");
        add_triple(example.source, triple.at(0), triple.at(1), triple.at(2), split_names);
      }
      for (const auto& annotation : entry.at("annotations"))
        example.references.push_back(one_line(annotation.at("text").get_ref<const std::string&>()));
    } catch (const std::exception&) {
      throw std::runtime_error(fmt::format("{}:{}: entry {} has another shape; {} expected", path,
                                           example.line, number, kJson));
    }
    if (example.references.empty())
      throw std::runtime_error(
          fmt::format("{}:{}: entry {} has no references: its \"annotations\" are empty", path,
                      example.line, number));
    examples.push_back(std::move(example));
  }
  return examples;
}

std::vector<Example> read_xml(const std::string& path, const std::string& text, bool split_names) {
  LineNumbers lines(text);
  pugi::xml_document document;
  auto parsed =
      document.load_buffer(text.data(), text.size(), pugi::parse_default, pugi::encoding_utf8);
  auto fail = [&](ptrdiff_t offset, const std::string& what) {
    throw std::runtime_error(fmt::format("{}:{}: {}", path, lines.of(offset), what));
  };
  if (!parsed)
    fail(parsed.offset, fmt::format("damaged or truncated XML ({})", parsed.description()));
  std::vector<Example> examples;
  for (pugi::xml_node entry : document.child("benchmark").child("entries").children("entry")) {
    std::string name = fmt::format("entry {}", entry.attribute("eid").value());
    Example example;
    for (pugi::xml_node node : entry.child("modifiedtripleset").children("mtriple")) {
      std::string triple = one_line(node.child_value());
      size_t first = triple.find(" | "), second = triple.find(" | ", first + 1);
      if (second == std::string::npos || triple.find(" | ", second + 1) != std::string::npos)
        fail(node.offset_debug(), fmt::format("{}: \"{}\" is no triple; \"subject | relation | "
                                              "object\" expected",
                                              name, triple));
      add_triple(example.source, triple.substr(0, first),
                 triple.substr(first + 3, second - first - 3), triple.substr(second + 3),
                 split_names);
    }
    if (example.source.empty())
      fail(entry.offset_debug(),
           name + " has no triples; <modifiedtripleset> with <mtriple> expected");
    for (pugi::xml_node lex : entry.children("lex"))
      example.references.push_back(one_line(lex.child_value()));
    if (example.references.empty())
      fail(entry.offset_debug(), name + " has no references; <lex> expected");
    example.line = lines.of(entry.offset_debug());
    examples.push_back(std::move(example));
  }
  if (examples.empty()) fail(0, "no entries; <benchmark><entries><entry> expected");
  return examples;
}

}  // namespace

NextRecord dart_records(const ReadOptions& options) {
  const std::string& path = options.paths[0];
  std::string text = read_text(path, "DART's JSON or XML");
  bool xml = text[text.find_first_not_of(" \n\t")] == '<';
  return records_of((xml ? read_xml : read_json)(path, text, options.split_names));
}

NextRecord webnlg_records(const ReadOptions& options) {
  std::vector<Example> all;
  for (const std::string& path : xml_files(options.paths[0]))
    for (Example& example : read_xml(path, read_text(path, "WebNLG's XML"), options.split_names))
      all.push_back(std::move(example));
  return records_of(std::move(all));
}

}  // namespace retort
