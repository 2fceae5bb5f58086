// Vocabularies trained from text: ids, round trips, the same bytes twice, and what cannot be.
#include "data/tokenizer.h"

#include <sentencepiece_trainer.h>

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
             Contains("a.model: no " + type +
                      " vocabulary of 5000 pieces (tokenizer.size) from 50 lines") &&
                 Contains("too high"));
  CHECK_THAT(train(word_lines(50), {.vocabulary = 8, .type = type}), Contains("of 8 pieces"));
  CHECK_THAT(train({}, {.vocabulary = 90, .type = type}),
             Contains("from 0 lines: too little text"));
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

TEST_CASE("models with other special ids load, and stand-ins fill what they lack") {
  Temporary t;
  auto ids = [&](const char* pad, const char* unk, const char* bos, const char* eos) {
    std::string model, path = t.folder + "given.model";
    std::string text = t.file("text", word_lines(1)[0] + "\n" + word_lines(2)[1] + "\n");
    CHECK(sentencepiece::SentencePieceTrainer::Train({{"input", text},
                                                      {"model_type", "char"},
                                                      {"vocab_size", "20"},
                                                      {"hard_vocab_limit", "false"},
                                                      {"pad_id", pad},
                                                      {"unk_id", unk},
                                                      {"bos_id", bos},
                                                      {"eos_id", eos},
                                                      {"minloglevel", "4"}},
                                                     nullptr, &model)
              .ok());
    write_file_atomically(path, model);
    Tokenizer k = Tokenizer::load(path);
    CHECK(k.decode(k.encode(word_lines(1)[0])) == word_lines(1)[0]);
    return std::vector<int>{k.pad(), k.unk(), k.bos(), k.eos()};
  };
  CHECK(ids("0", "2", "-1", "1") == std::vector<int>{0, 2, 0, 1});  // T5: decoding starts from pad
  CHECK(ids("-1", "0", "1", "2") == std::vector<int>{2, 0, 1, 2});  // SentencePiece's own default
  CHECK(ids("1", "3", "0", "2") == std::vector<int>{1, 3, 0, 2});   // BART
  CHECK_THAT(error_of([&] { ids("-1", "0", "1", "-1"); }),
             Contains("given.model: the model has no eos piece"));
}
