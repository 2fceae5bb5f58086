// The layouts, and the plan of an epoch: shuffle, sort within pools, cut, shuffle the batches.
#include "data/batch.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "data/masking.h"

namespace retort {
namespace {

// One pair laid out: what each row of a batch is padded from.
struct Row {
  std::vector<int> source, token_types, decoder_input, labels;
};

Row lay_out(const TokenPair& pair, Layout layout, const Specials& special) {
  const auto& [x, y, id, value] = pair;
  Row row;
  auto join = [](std::vector<int>& to, const std::vector<int>& ids) {
    to.insert(to.end(), ids.begin(), ids.end());
  };
  if (layout == Layout::classify || layout == Layout::masked) {
    row.source = {special.bos};
    join(row.source, x);
    row.source.push_back(special.eos);
    // Segment 0 ends with the first eos; where that is the last token there is one text only.
    size_t first =
        std::find(row.source.begin(), row.source.end(), special.eos) - row.source.begin();
    for (size_t i = 0; i < row.source.size(); i++) row.token_types.push_back(i > first);
    row.labels = y;
  } else if (layout == Layout::blocks) {
    row.decoder_input.assign(y.begin(), y.end() - 1);
    row.labels.assign(y.begin() + 1, y.end());
  } else {
    bool causal = layout == Layout::causal;
    row.source = x;
    row.source.push_back(causal ? special.bos : special.eos);
    if (causal) {
      row.decoder_input = x;
      row.labels.assign(x.size(), -1);  // position |x| holds bos and predicts y_1
    }
    row.decoder_input.push_back(special.bos);
    join(row.decoder_input, y);
    join(row.labels, y);
    row.labels.push_back(special.eos);
  }
  return row;
}

// Length of the longer side of a pair as lay_out() makes it, without making it.
int length_of(const TokenPair& pair, Layout layout) {
  int x = pair.source.size(), y = pair.target.size();
  switch (layout) {
    case Layout::seq2seq:
      return std::max(x, y) + 1;
    case Layout::causal:
      return x + y + 1;
    case Layout::blocks:
      return y - 1;
    case Layout::classify:
    case Layout::masked:
      return x + 2;
  }
  return 0;
}

// Appends `ids` to a row-major matrix of the given width, padded on the right.
void append(std::vector<int>& matrix, const std::vector<int>& ids, int width, int pad) {
  matrix.insert(matrix.end(), ids.begin(), ids.end());
  matrix.insert(matrix.end(), width - ids.size(), pad);
}

// 0 .. n-1 ordered by random keys; equal keys, which are unlikely, by index.
std::vector<int> permutation(int n, uint64_t seed, uint64_t stream) {
  std::vector<std::pair<uint64_t, int>> keys(n);
  for (int i = 0; i < n; i++) keys[i] = {mix(seed, stream, i), i};
  std::sort(keys.begin(), keys.end());
  std::vector<int> order(n);
  for (int i = 0; i < n; i++) order[i] = keys[i].second;
  return order;
}

constexpr int pool_batches =
    32;  // enough for little padding, few enough to mix the batches of epochs

}  // namespace

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014), chained over the three words.
uint64_t mix(uint64_t seed, uint64_t stream, uint64_t index) {
  uint64_t z = 0;
  for (uint64_t word : {seed, stream, index}) {
    z += word + 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
  }
  return z;
}

Layout layout_named(const std::string& name) {
  if (name == "seq2seq") return Layout::seq2seq;
  if (name == "causal") return Layout::causal;
  if (name == "blocks") return Layout::blocks;
  if (name == "classify") return Layout::classify;
  if (name == "masked") return Layout::masked;
  throw std::invalid_argument(fmt::format(
      "unknown layout '{}'; there are: seq2seq, causal, blocks, classify, masked", name));
}

Specials specials_of(const Tokenizer& tokenizer) {
  return {tokenizer.pad(), tokenizer.bos(), tokenizer.eos(), tokenizer.mask(), tokenizer.size()};
}

Batch collate(const std::vector<TokenPair>& pairs, Layout layout, const Specials& special) {
  Batch batch;
  batch.size = pairs.size();
  std::vector<Row> rows;
  for (const TokenPair& pair : pairs) {
    rows.push_back(lay_out(pair, layout, special));
    batch.source_length = std::max<int>(batch.source_length, rows.back().source.size());
    batch.target_length = std::max<int>(batch.target_length, rows.back().labels.size());
  }
  for (int i = 0; i < batch.size; i++) {
    const Row& row = rows[i];
    append(batch.source, row.source, batch.source_length, special.pad);
    if (layout == Layout::classify || layout == Layout::masked) {
      append(batch.token_types, row.token_types, batch.source_length, 0);
      batch.values.push_back(pairs[i].value);
    } else {
      append(batch.decoder_input, row.decoder_input, batch.target_length, special.pad);
    }
    append(batch.labels, row.labels, batch.target_length, -1);
    batch.source_lengths.push_back(row.source.size());
    batch.target_lengths.push_back(row.labels.size());
    batch.ids.push_back(pairs[i].id);
  }
  batch.label_count =
      batch.labels.size() - std::count(batch.labels.begin(), batch.labels.end(), -1);
  return batch;
}

int Batch::row_of(size_t i) const {
  return positions.empty() ? int(i / (labels.size() / size_t(size))) : positions[i] / source_length;
}

Batcher::Batcher(const std::vector<TokenPair>& pairs, const Specials& specials,
                 const BatchOptions& options)
    : pairs_(pairs), specials_(specials), options_(options) {
  for (const TokenPair& pair : pairs)
    if (int length = length_of(pair, options.layout); length > options.tokens)
      throw std::invalid_argument(fmt::format(
          "batches: example {} has {} tokens, more than the {} a batch may hold; raise the "
          "token budget or lower the maximum lengths",
          pair.id, length, options.tokens));
}

void Batcher::plan(int epoch) {
  if (!options_.shuffle) epoch = 0;
  if (epoch == epoch_) return;
  const int n = pairs_.size();
  auto length = [&](int i) { return length_of(pairs_[i], options_.layout); };
  auto shorter = [&](int a, int b) {
    return std::pair(length(a), pairs_[a].target.size()) <
           std::pair(length(b), pairs_[b].target.size());
  };
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  if (options_.shuffle) order = permutation(n, options_.seed, 2 * epoch);

  std::vector<std::vector<int>> batches;
  for (int begin = 0, end; begin < n; begin = end) {
    int64_t tokens = 0;
    for (end = begin;
         end < n && (!options_.shuffle || tokens < (int64_t)pool_batches * options_.tokens);)
      tokens += length(order[end++]);
    std::stable_sort(order.begin() + begin, order.begin() + end, shorter);
    for (int i = begin; i < end; i++) {
      // Lengths rise, so this pair's is the width of the batch it would join.
      int64_t rows = i == begin ? 0 : batches.back().size() + 1;
      bool full =
          (options_.rows && rows > options_.rows) || rows * length(order[i]) > options_.tokens;
      if (i == begin || full) batches.emplace_back();
      batches.back().push_back(order[i]);
    }
  }
  batches_ = std::move(batches);
  if (options_.shuffle) {
    std::vector<std::vector<int>> shuffled;
    for (int i : permutation(batches_.size(), options_.seed, 2 * epoch + 1))
      shuffled.push_back(std::move(batches_[i]));
    batches_ = std::move(shuffled);
  }
  epoch_ = epoch;
}

int Batcher::count(int epoch) {
  plan(epoch);
  return batches_.size();
}

Batch Batcher::batch(int epoch, int index) {
  plan(epoch);
  if (index < 0 || index >= (int)batches_.size())
    throw std::invalid_argument(
        fmt::format("batches: epoch {} has no batch {}, it has {}", epoch, index, batches_.size()));
  std::vector<TokenPair> pairs;
  for (int i : batches_[index]) pairs.push_back(pairs_[i]), pairs.back().id = i;
  Batch batch = collate(pairs, options_.layout, specials_);
  if (options_.layout == Layout::masked)
    mask_tokens(batch, specials_, options_.seed, options_.shuffle ? epoch : 0);
  return batch;
}

}  // namespace retort
