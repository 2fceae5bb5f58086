// Vocabularies trained from text: ids, round trips, the same bytes twice, and what cannot be.
#include "data/tokenizer.h"

#include <catch2/catch.hpp>

#include "data/text.h"
#include "tests/data/words.h"

using namespace retort;
using Catch::Contains;

TEST_CASE("a trained vocabulary encodes and decodes its text") {
  Temporary t;
  std::vector<std::string> lines = word_lines(500);
  std::string type = GENERATE("unigram", "bpe");
  Tokenizer::train(lines, t.folder + "a.model", {.vocabulary = 90, .type = type});
  Tokenizer tokenizer = Tokenizer::load(t.folder + "a.model");
  CHECK(tokenizer.size() == 90);
  CHECK(tokenizer.pad() == 0);
  CHECK(tokenizer.unk() == 1);
  CHECK(tokenizer.bos() == 2);
  CHECK(tokenizer.eos() == 3);
  for (const std::string& line : lines) {
    std::vector<int> ids = tokenizer.encode(line);
    for (int id : ids) CHECK(id >= 4);
    CHECK(tokenizer.decode(ids) == line);
  }
  CHECK(tokenizer.encode("").empty());
  CHECK(tokenizer.decode({}) == "");
  std::vector<int> framed = tokenizer.encode(lines[7]);
  framed.insert(framed.begin(), tokenizer.bos());
  framed.insert(framed.end(), {tokenizer.eos(), tokenizer.pad(), tokenizer.pad()});
  CHECK(tokenizer.decode(framed) == lines[7]);
  CHECK_THAT(error_of([&] { tokenizer.decode({90}); }), Contains("id 90 is not in 0..89"));
  CHECK(tokenizer.encode("Ж").back() == tokenizer.unk());

  Tokenizer::train(lines, t.folder + "b.model", {.vocabulary = 90, .type = type});
  CHECK(read_file(t.folder + "a.model") == read_file(t.folder + "b.model"));
  CHECK(tokenizer.hash() == checksum(t.folder + "b.model"));
}

TEST_CASE("a vocabulary the text cannot fill is refused, and no file is left") {
  Temporary t;
  std::string path = t.folder + "a.model";
  auto train = [&](const std::vector<std::string>& lines, const TokenizerOptions& options) {
    return error_of([&] { Tokenizer::train(lines, path, options); });
  };
  std::string type = GENERATE("unigram", "bpe");
  CHECK_THAT(train(word_lines(50), {.vocabulary = 5000, .type = type}),
             Contains("a.model: no " + type + " vocabulary of 5000 pieces from 50 lines") &&
                 Contains("too high"));
  CHECK_THAT(train(word_lines(50), {.vocabulary = 8, .type = type}), Contains("of 8 pieces"));
  CHECK_THAT(train({}, {.vocabulary = 90, .type = type}), Contains("from 0 lines"));
  CHECK_THAT(train(word_lines(50), {.type = "word"}), Contains("unknown type 'word'"));
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a file that is no model is refused by name") {
  Temporary t;
  auto load = [&](const std::string& path) { return error_of([&] { Tokenizer::load(path); }); };
  CHECK_THAT(load(t.folder + "none"), Contains("none: cannot open"));
  CHECK_THAT(load(t.file("empty", "")), Contains("empty: not a SentencePiece model"));
  CHECK_THAT(load(t.file("text", "hello there, no model\n")),
             Contains("text: not a SentencePiece model"));
  Tokenizer tokenizer = trained(t, 90);
  std::string bytes = read_file(t.folder + "words.model");
  CHECK_THAT(load(t.file("cut", bytes.substr(0, bytes.size() / 2))),
             Contains("cut: not a Sentence"));
}
