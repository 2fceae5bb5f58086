// Masked language modelling: how many tokens are chosen, what becomes of them, and that this
// depends on nothing but seed, epoch, block and position.
#include "data/masking.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "data/text.h"
#include "tests/data/words.h"

using namespace retort;
using Catch::Contains;
using Ids = std::vector<int>;

namespace {

const Specials kSpecials{0, 2, 3, 4, 50};

// Blocks of 1 to 40 tokens, of which some are eos.
std::vector<TokenPair> random_blocks(int count) {
  std::vector<TokenPair> blocks(count);
  for (int i = 0; i < count; i++) {
    blocks[i].id = i;
    for (uint64_t t = 0; t <= mix(1, 0, i) % 40; t++)
      blocks[i].source.push_back(t % 11 == 10 ? 3 : 5 + int(mix(2, i, t) % 45));
  }
  return blocks;
}

struct Masked {
  Ids source, labels, positions;  // positions within the row
  bool operator==(const Masked&) const = default;
};

// Each block as an epoch masks it, by its number.
std::map<int, Masked> masked(const std::vector<TokenPair>& blocks, const BatchOptions& options,
                             int epoch) {
  Batcher batcher(blocks, kSpecials, options);
  std::map<int, Masked> all;
  for (int i = 0; i < batcher.count(epoch); i++) {
    Batch b = batcher.batch(epoch, i);
    CHECK(b.label_count == int(b.labels.size()));
    for (int row = 0; row < b.size; row++) {
      auto first = b.source.begin() + row * b.source_length;
      all[b.ids[row]].source = {first, first + b.source_lengths[row]};
    }
    for (size_t k = 0; k < b.labels.size(); k++) {
      int row = b.row_of(k);
      all[b.ids[row]].labels.push_back(b.labels[k]);
      all[b.ids[row]].positions.push_back(b.positions[k] - row * b.source_length);
    }
  }
  return all;
}

}  // namespace

TEST_CASE("15 % of the tokens are chosen: 80 % become mask, 10 % another token, 10 % stay") {
  std::vector<TokenPair> blocks = random_blocks(2000);
  double tokens = 0, chosen = 0, hidden = 0, replaced = 0, kept = 0;
  std::map<int, int> drawn;
  for (const auto& [id, m] : masked(blocks, {.layout = Layout::masked}, 0)) {
    Ids whole = blocks[id].source;
    whole.insert(whole.begin(), 2), whole.push_back(3);
    size_t ordinary = std::count_if(whole.begin(), whole.end(), [](int t) { return t > 4; });
    REQUIRE(m.labels.size() == size_t(std::max(1l, std::lround(0.15 * double(ordinary)))));
    tokens += double(ordinary), chosen += double(m.labels.size());
    for (size_t k = 0; k < m.labels.size(); k++) {
      int now = m.source[m.positions[k]];
      REQUIRE(whole[m.positions[k]] == m.labels[k]);
      REQUIRE(m.labels[k] > 4);
      now == 4 ? hidden++ : now == m.labels[k] ? kept++ : replaced++;
      if (now != 4 && now != m.labels[k]) drawn[now]++;
      whole[m.positions[k]] = now;
    }
    CHECK(m.source == whole);  // nothing else is touched
  }
  CHECK(chosen / tokens == Approx(0.15).margin(0.01));
  double deviation = std::sqrt(0.8 * 0.2 / chosen);
  CHECK(hidden / chosen == Approx(0.8).margin(4 * deviation));
  CHECK(replaced / chosen == Approx(0.1).margin(4 * deviation));
  CHECK(kept / chosen == Approx(0.1).margin(4 * deviation));
  for (const auto& [id, count] : drawn) CHECK((id == 1 || id > 4));
  CHECK(drawn.size() == 46);  // every token of the vocabulary that is not special
}

TEST_CASE("masks depend on seed, epoch and block, not on the batch; evaluation's are fixed") {
  std::vector<TokenPair> blocks = random_blocks(200);
  BatchOptions o{.layout = Layout::masked, .tokens = 400};
  std::map<int, Masked> first = masked(blocks, o, 3);
  BatchOptions other = o;
  other.tokens = 3000, other.rows = 17;
  CHECK(masked(blocks, other, 3) == first);
  CHECK(masked(blocks, o, 4) != first);
  other.seed = 2;
  CHECK(masked(blocks, other, 3) != first);
  o.shuffle = false, other = o, other.tokens = 5000;
  CHECK(masked(blocks, o, 0) == masked(blocks, other, 7));
}

TEST_CASE("running text becomes framed blocks; a vocabulary for it has a mask") {
  Temporary t;
  std::string a = t.file("a.txt", "mare\n\nlo"), b = t.file("b.txt", "be cu di\n");
  Corpus corpus = read_corpus({.format = "text", .paths = {a, b}});
  REQUIRE(corpus.examples.size() == 3);
  CHECK(corpus.examples[2].target == "be cu di");
  CHECK(corpus.examples[2].line == 1);
  CHECK(corpus.checksum == checksum(a) + "+" + checksum(b));
  CHECK(corpus.dropped.at("empty") == 1);

  std::string path = t.folder + "masked.model";
  Tokenizer::train(word_lines(500), path, {.vocabulary = 60, .mask = true});
  Tokenizer tokenizer = Tokenizer::load(path);
  CHECK(tokenizer.mask() == 4);
  CHECK(tokenizer.piece(4) == "<mask>");
  CHECK(tokenizer.size() == 60);
  for (int id : tokenizer.encode("mare<mask> <mask>")) CHECK(id != 4);
  CHECK(tokenizer.decode({4}) == "");
  CHECK(trained(t, 60).mask() == -1);

  Ids stream;
  for (const Example& e : corpus.examples) {
    Ids ids = tokenizer.encode(e.target);
    stream.insert(stream.end(), ids.begin(), ids.end()), stream.push_back(3);
  }
  Encoded encoded = encode(corpus, tokenizer, {.layout = Layout::masked, .max_source = 1000});
  REQUIRE(encoded.pairs.size() == 1);
  stream.pop_back();
  CHECK(encoded.pairs[0].source == stream);
  Batch batch = collate(encoded.pairs, Layout::masked, specials_of(tokenizer));
  size_t first = std::find(stream.begin(), stream.end(), 3) - stream.begin();
  CHECK(batch.source.front() == 2);
  CHECK(batch.source.back() == 3);
  CHECK(batch.token_types[first + 1] == 0);  // as of a pair of texts
  CHECK(batch.token_types[first + 2] == 1);
  // An eos at an end of a block is the frame's.
  std::vector<TokenPair> cut = cut_masked({{{}, {5, 6}, 0}, {{7}, {8, 9, 10}, 1}}, 3, 3);
  REQUIRE(cut.size() == 3);
  CHECK(cut[0].source == Ids{5, 6});
  CHECK(cut[1].source == Ids{7, 3, 8});
  CHECK(cut[2].source == Ids{9, 10});

  CHECK_THAT(error_of([&] { mask_tokens(batch, {}, 1, 0); }), Contains("has no mask"));
}
