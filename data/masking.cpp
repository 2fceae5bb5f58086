#include "data/masking.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace retort {
namespace {

// Streams of random numbers, far from those of the epochs' plans.
constexpr uint64_t kChoice = 1ull << 40, kFate = 1ull << 41, kToken = 1ull << 42;

// In [0, 1).
double uniform(uint64_t bits) { return double(bits >> 11) * 0x1p-53; }

}  // namespace

void mask_tokens(Batch& b, const Specials& special, uint64_t seed, int epoch) {
  if (special.mask < 0) throw std::invalid_argument("mask_tokens: the vocabulary has no mask");
  for (int row = 0; row < b.size; row++) {
    uint64_t key = mix(seed, uint64_t(epoch), uint64_t(b.ids[row]));
    int* ids = b.source.data() + size_t(row) * b.source_length;
    std::vector<std::pair<uint64_t, int>> drawn;
    for (int i = 0; i < b.source_lengths[row]; i++)
      if (ids[i] != special.bos && ids[i] != special.eos)
        drawn.push_back({mix(key, kChoice, uint64_t(i)), i});
    std::sort(drawn.begin(), drawn.end());
    if (!drawn.empty()) drawn.resize(std::max(1l, std::lround(0.15 * double(drawn.size()))));
    std::sort(drawn.begin(), drawn.end(), [](auto& x, auto& y) { return x.second < y.second; });
    for (auto [draw, i] : drawn) {
      b.labels.push_back(ids[i]), b.positions.push_back(row * b.source_length + i);
      double fate = uniform(mix(key, kFate, uint64_t(i)));
      if (fate < 0.8) {
        ids[i] = special.mask;
      } else if (fate < 0.9) {
        auto is_special = [&](int id) {
          return id == special.pad || id == special.bos || id == special.eos || id == special.mask;
        };
        for (uint64_t n = 0; b.labels.back() == ids[i] || is_special(ids[i]); n++)
          ids[i] = int(mix(mix(key, kToken, uint64_t(i)), 0, n) % uint64_t(special.vocabulary));
      }
    }
  }
  b.label_count = int(b.labels.size());
}

std::vector<TokenPair> cut_masked(const std::vector<TokenPair>& texts, int eos, int length) {
  std::vector<int> stream;
  for (const TokenPair& pair : texts)
    for (const std::vector<int>* text : {&pair.source, &pair.target}) {
      if (text->empty()) continue;
      stream.insert(stream.end(), text->begin(), text->end());
      stream.push_back(eos);
    }
  std::vector<TokenPair> blocks;
  for (auto at = stream.begin(); at < stream.end();) {
    auto begin = at, end = at + std::min<ptrdiff_t>(length, stream.end() - at);
    at = end;
    while (begin < end && *begin == eos) begin++;
    while (begin < end && *(end - 1) == eos) end--;
    if (begin < end) blocks.push_back({{begin, end}, {}, int(blocks.size()), 0});
  }
  return blocks;
}

}  // namespace retort
