// WMT's SGM (NIST's mteval format): <doc docid="d"> with <seg id="1">text</seg>. It is no XML: tags
// in any case, attributes quoted or not, a bare & in the text. Several reference sets may follow
// each other in the reference file.
#include <fmt/core.h>

#include <charconv>
#include <map>
#include <stdexcept>

#include "data/records.h"

namespace retort {
namespace {

struct Segment {
  std::string document, id, text;
  size_t line = 0;
};

// An attribute of a tag, both in lower case, or "".
std::string attribute(const std::string& tag, const std::string& name) {
  size_t at = tag.find(" " + name + "=");
  if (at == std::string::npos) return "";
  at += name.size() + 2;
  bool quoted = at < tag.size() && (tag[at] == '"' || tag[at] == '\'');
  size_t end = quoted ? tag.find(tag[at], at + 1) : tag.find_first_of(" \n\t>", at);
  return tag.substr(at + quoted, end - at - quoted);
}

std::string utf8(uint32_t c) {
  if (c < 0x80) return {char(c)};
  if (c < 0x800) return {char(0xC0 | c >> 6), char(0x80 | (c & 0x3F))};
  std::string low = {char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
  if (c < 0x10000) return char(0xE0 | c >> 12) + low;
  return std::string{char(0xF0 | c >> 18), char(0x80 | (c >> 12 & 0x3F))} + low;
}

// The character an entity between '&' and ';' stands for, or "" for what is none.
std::string entity(std::string_view name) {
  static const std::map<std::string_view, std::string> named = {
      {"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}, {"nbsp", "\u00a0"}};
  if (auto found = named.find(name); found != named.end()) return found->second;
  if (!name.starts_with('#')) return "";
  bool hex = name.starts_with("#x") || name.starts_with("#X");
  uint32_t code = 0;
  const char* end = name.data() + name.size();
  auto [at, error] = std::from_chars(name.data() + 1 + hex, end, code, hex ? 16 : 10);
  bool valid = code > 0 && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
  return error == std::errc() && at == end && valid ? utf8(code) : "";
}

std::string without_entities(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); i++) {
    size_t end = text[i] == '&' ? text.find(';', i) : std::string::npos;
    std::string c =
        end == std::string::npos ? "" : entity(std::string_view(text).substr(i + 1, end - i - 1));
    plain += c.empty() ? std::string(1, text[i]) : c;
    if (!c.empty()) i = end;
  }
  return plain;
}

std::vector<Segment> read_segments(const std::string& path) {
  std::string text = read_text(path, "SGM with <seg> elements"), lower = text, document;
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  LineNumbers lines(text);
  std::vector<Segment> segments;
  for (size_t at = 0; (at = lower.find('<', at)) != std::string::npos;) {
    size_t close = lower.find('>', at);
    std::string tag = lower.substr(at, close == std::string::npos ? close : close - at + 1);
    size_t line = lines.of(at++);
    if (tag.starts_with("<doc ")) document = attribute(tag, "docid");
    if (!tag.starts_with("<seg ") && tag != "<seg>") continue;
    size_t end = lower.find("</seg", at);
    if (end == std::string::npos || lower.find("<seg", at) < end || close > end)
      throw std::runtime_error(
          fmt::format("{}:{}: <seg id=\"{}\"> has no </seg>; the file is cut off or damaged", path,
                      line, attribute(tag, "id")));
    segments.push_back({document, attribute(tag, "id"),
                        one_line(without_entities(text.substr(close + 1, end - close - 1))), line});
    at = end;
  }
  if (segments.empty())
    throw std::runtime_error(path + ":1: no segments; SGM with <seg id=\"...\"> expected");
  return segments;
}

}  // namespace

NextRecord sgm_records(const ReadOptions& options) {
  const std::string &source = options.paths[0], &target = options.paths[1];
  std::map<std::pair<std::string, std::string>, std::vector<Segment>> references;
  for (Segment& s : read_segments(target)) references[{s.document, s.id}].push_back(s);
  std::vector<Example> examples;
  for (const Segment& s : read_segments(source)) {
    auto found = references.extract({s.document, s.id});
    if (found.empty())
      throw std::runtime_error(
          fmt::format("{}:{}: segment {} of document \"{}\" has no reference "
                      "in {}, or stands here twice",
                      source, s.line, s.id, s.document, target));
    Example example{s.text, "", s.line};
    for (Segment& reference : found.mapped()) example.references.push_back(reference.text);
    examples.push_back(std::move(example));
  }
  if (!references.empty()) {
    const Segment& s = references.begin()->second[0];
    throw std::runtime_error(fmt::format("{}:{}: segment {} of document \"{}\" has no source in {}",
                                         target, s.line, s.id, s.document, source));
  }
  return records_of(std::move(examples));
}

}  // namespace retort
