// The layouts token by token, the plan of epochs, encoding with its counts.
#include "data/batch.h"

#include <catch2/catch.hpp>
#include <set>

#include "tests/data/words.h"
#include "tests/skip.h"

using namespace retort;
using Catch::Contains;
using Ids = std::vector<int>;

namespace {

// Pairs of lengths 1 to 40 on both sides.
std::vector<TokenPair> random_pairs(int count) {
  std::vector<TokenPair> pairs(count);
  for (int i = 0; i < count; i++) {
    pairs[i].id = 7 * i;  // as of a corpus of which some examples were left out
    pairs[i].source.assign(1 + mix(1, 0, i) % 40, 10 + i % 50);
    pairs[i].target.assign(1 + mix(1, 1, i) % 40, 60 + i % 50);
  }
  return pairs;
}

std::vector<Ids> ids_of(Batcher& batcher, int epoch) {
  std::vector<Ids> ids;
  for (int i = 0; i < batcher.count(epoch); i++) ids.push_back(batcher.batch(epoch, i).ids);
  return ids;
}

}  // namespace

TEST_CASE("seq2seq: bos before, eos after, pads and -1 on the right") {
  Batch b = collate({{{11, 12}, {21}, 5}, {{13}, {22, 23, 24}, 2}}, Layout::seq2seq, {});
  CHECK(b.size == 2);
  CHECK(b.source_length == 3);
  CHECK(b.source == Ids{11, 12, 3, 13, 3, 0});
  CHECK(b.source_lengths == Ids{3, 2});
  CHECK(b.target_length == 4);
  CHECK(b.decoder_input == Ids{2, 21, 0, 0, 2, 22, 23, 24});
  CHECK(b.labels == Ids{21, 3, -1, -1, 22, 23, 24, 3});
  CHECK(b.target_lengths == Ids{2, 4});
  CHECK(b.ids == Ids{5, 2});
  CHECK(b.label_count == 6);
}

TEST_CASE("causal: bos predicts the first target token, nothing under the source counts") {
  Batch b = collate({{{11, 12}, {21, 22}, 0}, {{}, {23}, 1}}, Layout::causal, {});
  CHECK(b.source == Ids{11, 12, 2, 2, 0, 0});
  CHECK(b.source_lengths == Ids{3, 1});
  CHECK(b.decoder_input == Ids{11, 12, 2, 21, 22, 2, 23, 0, 0, 0});
  CHECK(b.labels == Ids{-1, -1, 21, 22, 3, 23, 3, -1, -1, -1});
  CHECK(b.target_lengths == Ids{5, 2});
  CHECK(b.label_count == 5);
}

TEST_CASE("blocks: labels are the inputs one step on") {
  Batch b = collate({{{}, {2, 21, 22, 3}, 0}, {{}, {3, 23}, 1}}, Layout::blocks, {});
  CHECK(b.decoder_input == Ids{2, 21, 22, 3, 0, 0});
  CHECK(b.labels == Ids{21, 22, 3, 23, -1, -1});
  CHECK(b.target_lengths == Ids{3, 1});
  CHECK(b.source.empty());
}

TEST_CASE("classify: token_types of one text and of two") {
  Batch b = collate({{{11, 3, 12, 13}, {1}, 0}, {{14, 15}, {0}, 1, 2.5f}}, Layout::classify, {});
  CHECK(b.source == Ids{2, 11, 3, 12, 13, 3, 2, 14, 15, 3, 0, 0});
  CHECK(b.token_types == Ids{0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0});
  CHECK(b.source_lengths == Ids{6, 4});
  CHECK(b.labels == Ids{1, 0});
  CHECK(b.values == std::vector<float>{0, 2.5f});
  CHECK(b.decoder_input.empty());
}

TEST_CASE("an epoch holds every pair once, within the budget and with little padding") {
  int count = GENERATE(1, 3, 33, 1003, 5000);
  auto pairs = random_pairs(count);
  Batcher batcher(pairs, {}, {.tokens = 700, .rows = 30, .seed = 3});
  std::multiset<int> seen;
  long padded = 0, real = 0;
  for (int i = 0; i < batcher.count(2); i++) {
    Batch b = batcher.batch(2, i);
    CHECK(b.size * std::max(b.source_length, b.target_length) <= 700);
    CHECK(b.size <= 30);
    CHECK(b.size > 0);
    seen.insert(b.ids.begin(), b.ids.end());
    for (int row = 0; row < b.size; row++) {
      auto begin = b.source.begin() + row * b.source_length;
      auto& source = pairs.at(b.ids[row]).source;  // ids are places among the pairs
      CHECK(std::equal(source.begin(), source.end(), begin));
    }
    padded += b.size * std::max(b.source_length, b.target_length);
    for (int row = 0; row < b.size; row++)
      real += std::max(b.source_lengths[row], b.target_lengths[row]);
  }
  REQUIRE((int)seen.size() == count);
  CHECK(std::set<int>(seen.begin(), seen.end()).size() == seen.size());
  if (count >= 1000) CHECK(real > 0.95 * padded);
}

TEST_CASE("batches are a function of seed and epoch alone") {
  auto pairs = random_pairs(1003);
  Batcher one(pairs, {}, {.tokens = 500, .seed = 3}), same(pairs, {}, {.tokens = 500, .seed = 3}),
      other(pairs, {}, {.tokens = 500, .seed = 4});
  auto epoch5 = ids_of(one, 5);
  CHECK(ids_of(one, 0) != epoch5);
  CHECK(same.batch(5, 7).ids == epoch5[7]);  // a resumed run starts in the middle
  CHECK(ids_of(same, 5) == epoch5);
  CHECK(ids_of(other, 5) != epoch5);
  // A value computed once, so that another platform or a changed shuffle is noticed.
  CHECK(mix(1, 2, 3) == 0x6ae515c1c0ac7e37);
  CHECK_THAT(error_of([&] { one.batch(0, 100000); }), Contains("epoch 0 has no batch 100000"));
}

TEST_CASE("without shuffling the shortest come first, the same in each epoch") {
  auto pairs = random_pairs(333);
  Batcher batcher(pairs, {}, {.tokens = 500, .shuffle = false});
  CHECK(ids_of(batcher, 0) == ids_of(batcher, 9));
  int width = 0;
  for (int i = 0; i < batcher.count(0); i++) {
    Batch b = batcher.batch(0, i);
    CHECK(std::max(b.source_length, b.target_length) >= width);
    width = std::max(b.source_length, b.target_length);
  }
}

TEST_CASE("a pair over the budget is refused by its number") {
  std::vector<TokenPair> pairs = {{{1}, {2}, 0}, {Ids(50, 9), {2}, 17}};
  CHECK_THAT(error_of([&] { Batcher(pairs, {}, {.tokens = 50}); }),
             Contains("example 17 has 51 tokens, more than the 50"));
  CHECK(Batcher(pairs, {}, {.tokens = 51}).count(0) == 2);
}

TEST_CASE("encoding counts what is cut and what is left out") {
  Temporary t;
  Tokenizer tokenizer = trained(t, 90);
  std::vector<std::string> lines = word_lines(100);
  Corpus corpus;
  for (int i = 0; i + 1 < 100; i++) corpus.examples.push_back({lines[i], lines[i + 1]});
  Encoded all = encode(corpus, tokenizer, {.max_source = 1000, .max_target = 1000});
  REQUIRE(all.pairs.size() == 99);
  CHECK(all.counts.empty());
  CHECK(all.pairs[42].source == tokenizer.encode(lines[42]));
  CHECK(all.pairs[42].target == tokenizer.encode(lines[43]));
  CHECK(all.pairs[42].id == 42);

  Encoded kept = encode(corpus, tokenizer, {.max_source = 20, .max_target = 30});
  size_t left_out = kept.counts["source left out, over 20 tokens"] +
                    kept.counts["target left out, over 30 tokens"];
  CHECK(left_out > 0);
  CHECK(kept.pairs.size() + left_out == 99);
  for (const TokenPair& pair : kept.pairs) CHECK(tokenizer.decode(pair.source) == lines[pair.id]);

  Encoded cut = encode(corpus, tokenizer, {.max_source = 20, .max_target = 30, .truncate = true});
  CHECK(cut.pairs.size() == 99);
  size_t long_sources = 0;
  for (const TokenPair& pair : all.pairs) long_sources += pair.source.size() > 20;
  CHECK(cut.counts["source cut to 20 tokens"] == long_sources);
  for (const TokenPair& pair : cut.pairs)
    CHECK((pair.source.size() <= 20 && pair.target.size() <= 30));
  CHECK_THAT(error_of([&] { encode(corpus, tokenizer, {.max_source = 0}); }),
             Contains("must be positive"));
  corpus.examples.resize(1);
  corpus.examples[0].source = lines[0] + " " + lines[1];
  CHECK_THAT(error_of([&] { encode(corpus, tokenizer, {.max_source = 1}); }),
             Contains("all 1 examples"));
}

TEST_CASE("blocks hold the whole text once, in order") {
  Temporary t;
  Tokenizer tokenizer = trained(t, 90);
  Corpus corpus;
  Ids stream = {tokenizer.bos()};
  for (const std::string& line : word_lines(33)) {
    corpus.examples.push_back({"", line});
    for (int id : tokenizer.encode(line)) stream.push_back(id);
    stream.push_back(tokenizer.eos());
  }
  int length = GENERATE(1, 3, 33, 1003);
  Encoded encoded = encode(corpus, tokenizer, {.layout = Layout::blocks, .max_target = length});
  Batch batch = collate(encoded.pairs, Layout::blocks, specials_of(tokenizer));
  Ids inputs, labels;
  for (int row = 0; row < batch.size; row++)
    for (int i = 0; i < batch.target_lengths[row]; i++) {
      inputs.push_back(batch.decoder_input[row * batch.target_length + i]);
      labels.push_back(batch.labels[row * batch.target_length + i]);
    }
  CHECK(batch.target_length <= length);
  CHECK(inputs == Ids(stream.begin(), stream.end() - 1));
  CHECK(labels == Ids(stream.begin() + 1, stream.end()));
  Batcher batcher(encoded.pairs, specials_of(tokenizer),
                  {.layout = Layout::blocks, .tokens = 2006});
  CHECK(batcher.batch(0, 0).target_length <= length);
}

TEST_CASE("labels are classes or numbers") {
  Temporary t;
  Tokenizer tokenizer = trained(t, 90);
  Corpus corpus;
  corpus.examples = {{"mare", "yes"}, {"bețiva\tcudi", "no"}, {"lo", "yes"}};
  std::vector<std::string> names = label_names(corpus);
  CHECK(names == std::vector<std::string>{"no", "yes"});
  Encoded encoded = encode(corpus, tokenizer, {.layout = Layout::classify, .labels = names});
  CHECK(encoded.pairs[0].target == Ids{1});
  CHECK(encoded.pairs[1].target == Ids{0});
  const Ids& pair = encoded.pairs[1].source;
  CHECK(std::count(pair.begin(), pair.end(), tokenizer.eos()) == 1);
  CHECK_THAT(error_of([&] { encode(corpus, tokenizer, {.layout = Layout::classify}); }),
             Contains(":0: label 'yes' is not a finite number"));
  corpus.examples[2].target = "maybe";
  CHECK_THAT(
      error_of([&] { encode(corpus, tokenizer, {.layout = Layout::classify, .labels = names}); }),
      Contains(":0: label 'maybe' is not one of: no, yes"));
  corpus.examples = {{"mare", "-2.5"}};
  CHECK(encode(corpus, tokenizer, {.layout = Layout::classify}).pairs[0].value == -2.5f);
  CHECK_THAT(error_of([&] { layout_named("encdec"); }), Contains("there are: seq2seq, causal"));
}

TEST_CASE("published sentences survive the way into batches and back") {
  std::string folder = data_folder();
  if (folder.empty()) return skipped("published sentences in batches", "RETORT_DATA is not set");
  Temporary t;
  Corpus corpus = read_corpus({.paths = {folder + "l10n-en-ro/test.tsv.gz"}, .max_words = 25});
  std::vector<std::string> lines;
  for (const Example& example : corpus.examples) {
    lines.push_back(example.source);
    lines.push_back(example.target);
  }
  Tokenizer::train(lines, t.folder + "ro.model", {.vocabulary = 2000});
  Tokenizer tokenizer = Tokenizer::load(t.folder + "ro.model");
  Encoded encoded = encode(corpus, tokenizer, {.max_source = 60, .max_target = 60});
  CHECK(encoded.pairs.size() > 0.9 * corpus.examples.size());
  Batcher batcher(encoded.pairs, specials_of(tokenizer), {.tokens = 1000});
  size_t rows = 0, same = 0;
  for (int i = 0; i < batcher.count(0); i++) {
    Batch b = batcher.batch(0, i);
    for (int row = 0; row < b.size; row++, rows++) {
      auto begin = b.decoder_input.begin() + row * b.target_length;
      same += tokenizer.decode({begin, begin + b.target_length}) ==
              corpus.examples[encoded.pairs[b.ids[row]].id].target;
    }
  }
  CHECK(rows == encoded.pairs.size());
  CHECK(same > 0.97 * rows);  // but for characters that NFKC or the coverage replace
}
