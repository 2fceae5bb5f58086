// Every format and filter on small files, their errors, and the published data sets where there are
// any.
#include "data/reader.h"

#include <catch2/catch.hpp>

#include "tests/data/temporary.h"
#include "tests/skip.h"

using namespace retort;
using Catch::Contains;

namespace {

using Dropped = std::map<std::string, size_t>;

std::string failure(const ReadOptions& options) {
  return error_of([&] { read_corpus(options); });
}

}  // namespace

TEST_CASE("tsv: columns by number and by name, and no quoting") {
  Temporary t;
  std::string path =
      t.file("a.tsv", "\xEF\xBB\xBFid\ttext\ttwo\tlabel\n7\t\"open\tits\" end\t1\n8\tb\tc\t0\n");
  Corpus corpus =
      read_corpus({.paths = {path}, .source = {"text", "3"}, .target = "label", .header = true});
  REQUIRE(corpus.examples.size() == 2);
  CHECK(corpus.examples[0].source == "\"open\tits\" end");
  CHECK(corpus.examples[0].target == "1");
  CHECK(corpus.checksum == checksum(path));
  CHECK_THAT(failure({.paths = {path}, .source = {"txt"}, .header = true}),
             Contains("a.tsv:1: no column 'txt'; there are: id, text, two, label"));
  CHECK_THAT(failure({.paths = {path}, .source = {"text"}}),
             Contains("is not a number from 1; set header"));
  CHECK_THAT(failure({.paths = {path}, .target = "5"}),
             Contains("a.tsv:1: 4 tab-separated columns, at least 5 expected"));
  CHECK_THAT(failure({.paths = {t.file("e", "")}, .header = true}), Contains("the file is empty"));
}

TEST_CASE("parallel: line by line, and lengths must agree") {
  Temporary t;
  std::string en = t.file("en", "one\ntwo\nthree\n"), ro = t.file("ro", "unu\ndoi\ntrei");
  Corpus corpus = read_corpus({.format = "parallel", .paths = {en, ro}});
  REQUIRE(corpus.examples.size() == 3);
  CHECK(corpus.examples[2].source == "three");
  CHECK(corpus.examples[2].target == "trei");
  CHECK(corpus.checksum == checksum(en) + "+" + checksum(ro));
  std::string longer = t.file("longer", "unu\ndoi\ntrei\npatru\ncinci\n");
  CHECK_THAT(failure({.format = "parallel", .paths = {en, longer}}),
             Contains("en has 3 lines but") && Contains("longer has 5"));
  CHECK_THAT(failure({.format = "parallel", .paths = {longer, en}}),
             Contains("longer has 5 lines but"));
  CHECK_THAT(failure({.format = "parallel", .paths = {en}}), Contains("takes 2 files"));
}

TEST_CASE("jsonl: named fields, and position of what is wrong") {
  Temporary t;
  std::string path = t.file("a", R"({"document": "x\ty\nz", "summary": "ș", "n": 2.5})"
                                 "\n{\"document\": \"b\", \"summary\": \"c\", \"n\": 1}\n");
  Corpus corpus =
      read_corpus({.format = "jsonl", .paths = {path}, .source = {"document"}, .target = "n"});
  REQUIRE(corpus.examples.size() == 2);
  CHECK(corpus.examples[0].source == "x y z");
  CHECK(corpus.examples[0].target == "2.5");
  corpus = read_corpus(
      {.format = "jsonl", .paths = {path}, .source = {"document", "n"}, .target = "summary"});
  CHECK(corpus.examples[1].source == "b\t1");
  corpus = read_corpus({.format = "jsonl", .paths = {path}, .source = {}, .target = "summary"});
  CHECK(corpus.examples[0].source == "");
  auto bad = [&](const char* line) {
    return failure({.format = "jsonl",
                    .paths = {t.file("bad", std::string("{\"a\": \"1\", \"b\": \"2\"}\n") + line)},
                    .source = {"a"},
                    .target = "b"});
  };
  CHECK_THAT(bad("{\"a\": "), Contains("bad:2: not JSON at character"));
  CHECK_THAT(bad("[1]"), Contains("bad:2: array found, one JSON object a line"));
  CHECK_THAT(bad("{\"a\": \"1\"}"), Contains("bad:2: no field \"b\"; there are: a"));
  CHECK_THAT(bad("{\"a\": null, \"b\": \"\"}"), Contains("bad:2: field \"a\" is null"));
}

TEST_CASE("text: every line is a target, duplicates stay") {
  Temporary t;
  Corpus corpus = read_corpus({.format = "text", .paths = {t.file("a", "to be\n\nto be\n")}});
  CHECK(corpus.examples.size() == 2);
  CHECK(corpus.dropped == Dropped{{"empty", 1}});
}

TEST_CASE("filters count what they leave out and why") {
  Temporary t;
  std::string path =
      t.file("a",
             "a b\tc d\na\tb\na b\tc d\n \tx\na b c d\te f\na b\tlooooooooong w\nx y\tz w\n"
             "q r\ts t\n");
  ReadOptions options{.paths = {path}, .min_words = 2, .max_words = 3, .max_characters = 9};
  options.deduplicate = true;
  options.limit = 2;
  Corpus corpus = read_corpus(options);
  REQUIRE(corpus.examples.size() == 2);
  CHECK(corpus.examples[1].source == "x y");
  CHECK(corpus.dropped == Dropped{{"duplicate", 1},
                                  {"empty", 1},
                                  {"fewer than 2 words", 1},
                                  {"more than 3 words", 1},
                                  {"more than 9 characters", 1},
                                  {"past the limit of 2", 1}});
  options.min_words = 3;
  CHECK_THAT(failure(options),
             Contains("none of 8 examples is left: 1 empty, 7 fewer than 3 words"));
  CHECK_THAT(failure({.paths = {t.file("none", "")}}), Contains("none: the file is empty"));
  CHECK_THAT(failure({.format = "csv", .paths = {path}}), Contains("unknown format 'csv'"));
  Corpus labelled =
      read_corpus({.paths = {t.file("l", "one two\t1\n")}, .labelled = true, .min_words = 2});
  CHECK(labelled.examples.size() == 1);
}

TEST_CASE("published corpora have as many examples as their files have lines") {
  std::string folder = data_folder();
  if (folder.empty()) return skipped("published corpora", "RETORT_DATA is not set");
  auto size = [&](ReadOptions options) {
    for (std::string& path : options.paths) path = folder + path;
    return read_corpus(options).examples.size();
  };
  CHECK(size({.paths = {"l10n-en-ro/valid.tsv.gz"}}) == 950);
  CHECK(size({.format = "parallel", .paths = {"multi30k/train.en.gz", "multi30k/train.de.gz"}}) ==
        29000);
  CHECK(size({.format = "jsonl",
              .paths = {"debian-synopsis/test.jsonl.gz"},
              .source = {"document"},
              .target = "summary"}) == 1247);
  ReadOptions glue{.labelled = true};
  glue.paths = {"glue/CoLA/dev.tsv"}, glue.source = {"4"}, glue.target = "2";
  CHECK(size(glue) == 1043);
  glue.header = true;
  glue.paths = {"glue/SST-2/train.tsv"}, glue.source = {"sentence"}, glue.target = "label";
  CHECK(size(glue) == 67349);
  glue.paths = {"glue/RTE/dev.tsv"}, glue.source = {"sentence1", "sentence2"};
  CHECK(size(glue) == 277);
  glue.paths = {"glue/MRPC/train.tsv"}, glue.source = {"#1 String", "#2 String"},
  glue.target = "Quality";
  CHECK(size(glue) == 3667);
  CHECK(size({.format = "text", .paths = {"tinyshakespeare/input.txt"}}) == 32777);
}
