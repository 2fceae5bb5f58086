// The formats data sets are published in: how records become examples, several references, errors
// with their line, and the published sets where there are any. The samples are made up.
#include <zlib.h>
#include <catch2/catch.hpp>

#include "data/reader.h"
#include "tests/data/temporary.h"
#include "tests/skip.h"

using namespace retort;
using Catch::Contains;

namespace {

using Dropped = std::map<std::string, size_t>;
using Texts = std::vector<std::string>;

// The error of reading a file of these bytes, which ends in "/bad".
std::string failure(const std::string& format, const std::string& bytes) {
  Temporary t;
  return error_of([&] { read_corpus({.format = format, .paths = {t.file("bad", bytes)}}); });
}

std::string entry(const std::string& triples, const std::string& lex) {
  return "  <entry category=\"C\" eid=\"Id1\">\n    <modifiedtripleset>\n" + triples +
         "    </modifiedtripleset>\n" + lex + "  </entry>\n";
}

std::string benchmark(const std::string& entries) {
  return "<?xml version='1.0' encoding='utf-8'?>\n<benchmark><entries>\n" + entries +
         "</entries></benchmark>\n";
}

const char* const kDart = R"([
  {"tripleset": [["Old_Mill", "HAS_WHEELS", "\"two\""], ["[TABLECONTEXT]", "[TITLE]", "Mills"]],
   "annotations": [{"source": "s", "text": "The old mill\nhas two wheels."},
                   {"source": "s", "text": " "}, {"source": "s", "text": "Two wheels."}]},
  {"subtree_was_extended": true,
   "tripleset": [["A", "isPartOf", "B"]], "annotations": [{"source": "s", "text": "A is in B."}]}
])";

}  // namespace

TEST_CASE("formats: dart's JSON, an example of each reference, of the first, of all") {
  Temporary t;
  ReadOptions options{.format = "dart", .paths = {t.file("a.json", kDart)}};
  Corpus corpus = read_corpus(options);
  REQUIRE(corpus.examples.size() == 3);
  CHECK(corpus.examples[0].source ==
        "Old Mill : has wheels : two | [TABLECONTEXT] : [title] : Mills");
  CHECK(corpus.examples[0].target == "The old mill has two wheels.");
  CHECK(corpus.examples[1].source == corpus.examples[0].source);
  CHECK(corpus.examples[1].target == "Two wheels.");
  CHECK(corpus.examples[1].references.empty());
  CHECK(corpus.examples[2].source == "A : is part of : B");
  CHECK(corpus.examples[2].line == 5);
  CHECK(corpus.dropped == Dropped{{"empty reference", 1}});

  options.references = "first", options.split_names = false;
  corpus = read_corpus(options);
  REQUIRE(corpus.examples.size() == 2);
  CHECK(corpus.examples[0].source ==
        "Old_Mill : has_wheels : \"two\" | [TABLECONTEXT] : [title] : Mills");
  CHECK(corpus.examples[1].source == "A : ispartof : B");

  options.references = "together";
  corpus = read_corpus(options);
  REQUIRE(corpus.examples.size() == 2);
  CHECK(corpus.examples[0].target == "The old mill has two wheels.");
  CHECK(corpus.examples[0].references == Texts{"The old mill has two wheels.", "Two wheels."});
  CHECK(corpus.examples[1].references == Texts{"A is in B."});
}

TEST_CASE("formats: webnlg's XML, a file or all files of a folder in order") {
  Temporary t;
  std::filesystem::create_directories(t.folder + "b/deep");
  std::string one = t.file(
      "b/deep/two.xml",
      benchmark(entry("<mtriple>Old_Town,_X | 1st_runway_LengthFeet | \"12 &amp; 3\"</mtriple>\n"
                      "<mtriple> McDonald | leader\n | Ann </mtriple>",
                      "<lex>A &lt; B.</lex>\n<lex><![CDATA[<C>]]></lex>")));
  t.file("b/deep/one.xml", benchmark(entry("<mtriple>A | b | C</mtriple>", "<lex>D</lex>")));
  t.file("b/deep/notes.txt", "none of it");
  ReadOptions options{.format = "webnlg", .paths = {t.folder + "b"}};
  Corpus corpus = read_corpus(options);
  REQUIRE(corpus.examples.size() == 3);
  CHECK(corpus.examples[0].source == "A : b : C");
  CHECK(corpus.examples[1].source ==
        "Old Town, X : 1st runway length feet : 12 & 3 | McDonald : leader : Ann");
  CHECK(corpus.examples[1].target == "A < B.");
  CHECK(corpus.examples[2].target == "<C>");
  CHECK(corpus.examples[2].line == 3);
  std::string before = corpus.checksum;
  std::filesystem::rename(one, t.folder + "b/deep/three.xml");
  CHECK(read_corpus(options).checksum != before);
  options.format = "dart", options.paths = {t.folder + "b/deep/one.xml"};
  CHECK(read_corpus(options).examples[0].source == "A : b : C");
  std::filesystem::create_directory(t.folder + "none");
  options.format = "webnlg", options.paths = {t.folder + "none"};
  CHECK_THAT(error_of([&] { read_corpus(options); }),
             Contains("none: no .xml file in this folder"));
}

TEST_CASE("formats: what is wrong with triples is said with its line") {
  std::string good = "<mtriple>A | b | C</mtriple>\n", xml = benchmark(entry(good, "<lex>D</lex>"));
  for (const char* format : {"dart", "webnlg"}) {
    CHECK_THAT(failure(format, " \n"),
               Contains("bad: the file is empty, ") && Contains("expected"));
    CHECK_THAT(failure(format, xml.substr(0, xml.size() - 30)),
               Contains("bad:7: damaged or truncated XML"));
    CHECK_THAT(failure(format, "<html/>"),
               Contains("bad:1: no entries; <benchmark><entries><entry> expected"));
    CHECK_THAT(failure(format, benchmark(entry(good, ""))),
               Contains("bad:3: entry Id1 has no references; <lex> expected"));
    CHECK_THAT(failure(format, benchmark(entry("", "<lex>D</lex>"))),
               Contains("bad:3: entry Id1 has no triples"));
    for (const char* triple : {"A | b", "A | b | C | D"})
      CHECK_THAT(failure(format, benchmark(entry("\n<mtriple>" + std::string(triple) + "</mtriple>",
                                                 "<lex>D</lex>"))),
                 Contains("bad:6: entry Id1: \"" + std::string(triple) + "\" is no triple"));
    CHECK_THAT(failure(format, benchmark(entry(good, "<lex>D\xff</lex>"))),
               Contains("bad:7: byte 7 (0xff) is not UTF-8"));
  }
  std::string json = kDart;
  CHECK_THAT(failure("dart", json.substr(0, json.size() - 20)),
             Contains("bad:6: the file ends in the middle; an array of {\"tripleset\""));
  CHECK_THAT(failure("dart", "[\n{\"tripleset\"\n 7}]"), Contains("bad:3: not JSON; an array of"));
  CHECK_THAT(failure("dart", "[\n{\"tripleset\": [[\"a\", \"b\", \"c\"]], \"annotations\": []}\n]"),
             Contains("bad:2: entry 0 has no references"));
  for (const char* shape :
       {"7", "[7]", "{\"annotations\": []}",
        "{\"tripleset\": [[\"a\", \"b\"]], \"annotations\": []}",
        "{\"tripleset\": [[\"a\", \"b\", 7]], \"annotations\": []}",
        "{\"tripleset\": [[\"a\", \"b\", \"c\"]], \"annotations\": [{\"text\": 7}]}",
        "{\"tripleset\": [], \"annotations\": [{\"text\": \"a\"}]}", "{\"tripleset\": []}"})
    CHECK_THAT(failure("dart", "[\n" + std::string(shape) + "]"),
               Contains("bad:2: entry 0 has another shape; an array of"));
  CHECK_THAT(failure("dart", "[]"), Contains("bad: the file is empty, examples were expected"));
  CHECK_THAT(failure("dart", "7"), Contains("bad:1: number found, an array of"));
  CHECK_THAT(failure("dart", "{}"), Contains("bad:1: object found, an array of"));
}

TEST_CASE("formats: xsum is JSONL with document and summary, plain or gzip") {
  Temporary t;
  std::string path = t.folder + "a.gz", line = R"({"id": "1", "document": "a\nb", "summary": "c"})";
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, line.data(), line.size());
  gzclose(file);
  for (const std::string& each : {path, t.file("a", line)}) {
    Corpus corpus = read_corpus({.format = "xsum", .paths = {each}});
    CHECK(corpus.examples[0].source == "a b");
    CHECK(corpus.examples[0].target == "c");
  }
  CHECK_THAT(failure("xsum", line + "\n{\"document\": \"a\"}"),
             Contains("bad:2: no field \"summary\"; there are: document"));
  CHECK_THAT(failure("xsum", line.substr(0, 30)), Contains("bad:1: not JSON at character 31"));
  CHECK_THAT(failure("xsum", ""), Contains("bad: the file is empty"));
}

TEST_CASE("formats: wmt_sgm pairs segments by document and number") {
  Temporary t;
  std::string source =
      t.file("src.sgm",
             "<srcset setid=\"s\" srclang=\"any\">\n<DOC genre='news' docid=\"D.1\">\n"
             "<p>\n<seg id=\"1\">R&amp;D &lt;5&#37; &#x2264; a & b; c&d</seg>\n"
             "<seg id=2> two\nlines </seg>\n</p>\n</DOC>\n"
             "<doc docid=\"e\"><hl><seg id=\"1\">other</seg></hl></doc></srcset>\n");
  std::string set =
      "<doc sysid=\"r\" docid=\"e\"><seg id=\"1\">altul</seg></doc>\n"
      "<doc docid=\"d.1\">\n<seg id=\"1\">unu</seg>\n<seg id=\"2\">doi</seg>\n</doc>\n";
  ReadOptions options{.format = "wmt_sgm",
                      .paths = {source, t.file("ref.sgm", "<refset>\n" + set + "</refset>\n")}};
  Corpus corpus = read_corpus(options);
  REQUIRE(corpus.examples.size() == 3);
  CHECK(corpus.examples[0].source == "R&D <5% ≤ a & b; c&d");
  CHECK(corpus.examples[0].target == "unu");
  CHECK(corpus.examples[1].source == "two lines");
  CHECK(corpus.examples[1].line == 5);
  CHECK(corpus.examples[2].target == "altul");
  options.references = "together";
  options.paths[1] = t.file("two.sgm", set + "<doc docid=\"e\"><seg id=\"1\">alt</seg></doc>");
  CHECK(read_corpus(options).examples[2].references == Texts{"altul", "alt"});

  auto error = [&](const std::string& reference) {
    options.paths[1] = t.file("bad", reference);
    return error_of([&] { read_corpus(options); });
  };
  CHECK_THAT(error(set.substr(0, set.rfind("</seg>"))),
             Contains("bad:4: <seg id=\"2\"> has no </seg>; the file is cut off or damaged"));
  CHECK_THAT(error("<seg id=\"1\">a\n<seg id=\"2\">b</seg>"),
             Contains("bad:1: <seg id=\"1\"> has no"));
  CHECK_THAT(error(set.substr(0, set.rfind("<seg"))),
             Contains("src.sgm:5: segment 2 of document \"d.1\" has no reference in"));
  CHECK_THAT(error(set + "<doc docid=\"f\">\n<seg id=\"9\">x</seg></doc>"),
             Contains("bad:7: segment 9 of document \"f\" has no source in"));
  CHECK_THAT(error("<refset></refset>"), Contains("bad:1: no segments; SGM with <seg"));
  CHECK_THAT(error(""), Contains("bad: the file is empty, SGM"));
}

TEST_CASE("formats: a dialogue becomes an example of each turn, in the file's order") {
  Temporary t;
  std::string json =
      "{\"2\": {\"context\": \"C.\", \"speaker\": \"S\",\n"
      "  \"turns\": [\"One.\", \"Two\\t?\", \"Three.\"]},\n"
      " \"10\": {\"context\": \"D.\", \"turns\": [\"E.\", \"F.\"]}}";
  ReadOptions options{.format = "commonsense_dialogues", .paths = {t.file("a", json)}};
  Corpus corpus = read_corpus(options);
  REQUIRE(corpus.examples.size() == 3);
  CHECK(corpus.examples[0].source == "C. | One.");
  CHECK(corpus.examples[0].target == "Two ?");
  CHECK(corpus.examples[1].source == "C. | One. | Two ?");
  CHECK(corpus.examples[1].target == "Three.");
  CHECK(corpus.examples[2].source == "D. | E.");
  CHECK(corpus.examples[2].line == 3);
  options.first_turn = true;
  corpus = read_corpus(options);
  REQUIRE(corpus.examples.size() == 5);
  CHECK(corpus.examples[0].source == "C.");
  CHECK(corpus.examples[0].target == "One.");

  auto bad = [](const std::string& text) { return failure("commonsense_dialogues", text); };
  CHECK_THAT(bad(json.substr(0, 90)), Contains("bad:3: the file ends in the middle; {\"1\":"));
  CHECK_THAT(bad("{\"1\":\n{\"context\": \"c\"}}"),
             Contains("bad:1: dialogue 1 has another shape"));
  CHECK_THAT(bad("{\"1\": {\"context\": \"c\", \"turns\": []}}"),
             Contains("dialogue 1 has another"));
  CHECK_THAT(bad("{\"1\": {\"context\": \"c\", \"turns\": [7]}}"),
             Contains("dialogue 1 has another"));
  CHECK(read_corpus({.format = "commonsense_dialogues",
                     .paths = {t.file("twice",
                                      "{\"1\": {}, \"1\": {\"context\": \"c\", \"turns\": "
                                      "[\"a\", \"b\"]}}")}})
            .examples.size() == 1);
  CHECK_THAT(bad("[]"), Contains("bad:1: array found, {\"1\":"));
  CHECK_THAT(bad(""), Contains("bad: the file is empty, {\"1\":"));
}

TEST_CASE("formats: published sets have the examples their publishers count") {
  std::string folder = data_folder();
  if (folder.empty()) return skipped("published formats", "RETORT_DATA is not set");
  auto read = [&](const std::string& format, const std::string& path, const char* references) {
    ReadOptions options{.format = format, .paths = {folder + path}, .references = references};
    return read_corpus(options);
  };
  auto size = [&](auto... arguments) { return read(arguments...).examples.size(); };
  std::string dart = "dart/dart-v1.1.1-full-", webnlg = "webnlg/release_v2/xml/";
  CHECK(size("dart", dart + "dev.json", "together") == 2768);
  CHECK(size("dart", dart + "dev.json", "each") == 6980);
  CHECK(size("dart", dart + "test.xml", "together") == 5097);
  Corpus test = read("dart", dart + "test.xml", "each");
  CHECK(test.examples.size() == 12551);
  CHECK(test.dropped == Dropped{{"empty reference", 1}});
  CHECK(size("webnlg", webnlg + "train", "together") == 12876);
  CHECK(size("webnlg", webnlg + "train", "each") == 34352);
  CHECK(size("webnlg", webnlg + "dev", "each") == 4316);
  CHECK(size("webnlg", webnlg + "test", "together") == 1600);
  CHECK(size("xsum", "debian-synopsis/test.jsonl.gz", "each") == 1247);
  std::string dialogues = "commonsense-dialogues/";
  CHECK(size("commonsense_dialogues", dialogues + "valid.json", "each") == 5462);
  CHECK(size("commonsense_dialogues", dialogues + "test.json", "each") == 5452);
  // Table 6 of f-DISTILL counts the first turns too.
  ReadOptions all{.format = "commonsense_dialogues", .first_turn = true};
  all.paths = {folder + dialogues + "valid.json"};
  CHECK(read_corpus(all).examples.size() == 6619);
  all.paths = {folder + dialogues + "test.json"};
  CHECK(read_corpus(all).examples.size() == 6610);
}
