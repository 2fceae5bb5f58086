// Text to pairs of token ids: lengths checked, labels looked up, running text cut into blocks.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <stdexcept>

#include "data/masking.h"
#include "data/text.h"

namespace retort {
namespace {

int class_of(const std::string& label, const std::vector<std::string>& labels,
             const std::string& where) {
  auto found = std::find(labels.begin(), labels.end(), label);
  if (found == labels.end())
    throw std::runtime_error(
        fmt::format("{}: label '{}' is not one of: {}", where, label, join(labels)));
  return found - labels.begin();
}

float number_of(const std::string& label, const std::string& where) {
  float value = 0;
  const char* end = label.data() + label.size();
  auto [at, error] = std::from_chars(label.data(), end, value);
  if (error != std::errc() || at != end || !std::isfinite(value))
    throw std::runtime_error(fmt::format("{}: label '{}' is not a finite number", where, label));
  return value;
}

// Both texts of a sentence pair with the eos between them, or the one there is.
std::vector<int> encode_source(const std::string& text, const Tokenizer& tokenizer) {
  size_t tab = text.find('\t');
  if (tab == std::string::npos) return tokenizer.encode(text);
  std::vector<int> ids = tokenizer.encode(std::string_view(text).substr(0, tab));
  ids.push_back(tokenizer.eos());
  for (int id : tokenizer.encode(std::string_view(text).substr(tab + 1))) ids.push_back(id);
  return ids;
}

// Cuts the targets, each ended by eos, into blocks of `length` labels; the last one may be shorter.
std::vector<TokenPair> cut_blocks(const std::vector<TokenPair>& lines, const Tokenizer& tokenizer,
                                  int length) {
  std::vector<int> stream = {tokenizer.bos()};
  for (const TokenPair& line : lines) {
    stream.insert(stream.end(), line.target.begin(), line.target.end());
    stream.push_back(tokenizer.eos());
  }
  std::vector<TokenPair> blocks;
  for (size_t begin = 0; begin + 1 < stream.size(); begin += length) {
    size_t end = std::min(begin + length + 1, stream.size());
    blocks.push_back({{}, {stream.begin() + begin, stream.begin() + end}, int(blocks.size()), 0});
  }
  return blocks;
}

}  // namespace

std::vector<std::string> label_names(const Corpus& corpus) {
  std::set<std::string> names;
  for (const Example& example : corpus.examples) names.insert(example.target);
  return {names.begin(), names.end()};
}

Encoded encode(const Corpus& corpus, const Tokenizer& tokenizer, const EncodeOptions& options) {
  bool blocks = options.layout == Layout::blocks, classify = options.layout == Layout::classify,
       masked = options.layout == Layout::masked;
  if (options.max_source < 1 || options.max_target < 1)
    throw std::invalid_argument(
        fmt::format("encode: max_source {} and max_target {} must be positive", options.max_source,
                    options.max_target));
  std::vector<TokenPair> pairs(corpus.examples.size());
#pragma omp parallel for schedule(dynamic, 64)
  for (size_t i = 0; i < pairs.size(); i++) {
    const Example& example = corpus.examples[i];
    pairs[i].id = i;
    if (!blocks) pairs[i].source = encode_source(example.source, tokenizer);
    if (!classify) pairs[i].target = tokenizer.encode(example.target);
  }

  Encoded encoded;
  if (blocks) {
    encoded.pairs = cut_blocks(pairs, tokenizer, options.max_target);
    return encoded;
  }
  if (masked) {
    encoded.pairs = cut_masked(pairs, tokenizer.eos(), options.max_source);
    return encoded;
  }
  // Cuts or refuses a side that is too long.
  auto fits = [&](std::vector<int>& ids, int limit, const char* side) {
    if ((int)ids.size() <= limit) return true;
    const char* fate = options.truncate ? "cut to" : "left out, over";
    encoded.counts[fmt::format("{} {} {} tokens", side, fate, limit)]++;
    if (options.truncate) ids.resize(limit);
    return options.truncate;
  };
  for (size_t i = 0; i < pairs.size(); i++) {
    TokenPair& pair = pairs[i];
    const std::string& label = corpus.examples[i].target;
    std::string where = fmt::format("{}:{}", corpus.path, corpus.examples[i].line);
    if (!fits(pair.source, options.max_source, "source")) continue;
    if (!fits(pair.target, options.max_target, "target")) continue;
    if (classify && options.labels.empty()) pair.value = number_of(label, where);
    if (classify && !options.labels.empty()) pair.target = {class_of(label, options.labels, where)};
    encoded.pairs.push_back(std::move(pair));
  }
  if (encoded.pairs.empty())
    throw std::runtime_error(fmt::format(
        "encode: all {} examples are longer than max_source {} or max_target {} tokens; raise "
        "them or set truncate",
        pairs.size(), options.max_source, options.max_target));
  return encoded;
}

}  // namespace retort
