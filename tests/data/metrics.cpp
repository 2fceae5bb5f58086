// The metrics against what sacreBLEU, rouge-score and NLTK say: values stored by metrics.py, and
// where python3 has the libraries, fresh cases and real text.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "data/bleu.h"
#include "data/chrf.h"
#include "data/lowercase.h"
#include "data/meteor.h"
#include "data/porter.h"
#include "data/rouge.h"
#include "data/text.h"
#include "data/wordnet.h"
#include "tests/data/temporary.h"
#include "tests/skip.h"

using namespace retort;
using Catch::Contains;
using nlohmann::json;

namespace {

std::string beside(const std::string& name) {
  std::string source = __FILE__;
  return source.substr(0, source.rfind('/') + 1) + name;
}

json stored() { return json::parse(read_file(beside("metrics.json"))); }

// Signatures agree but for the version.
void check_signature(const std::string& ours, const std::string& theirs) {
  size_t version = theirs.find("version:");
  CHECK(ours == theirs.substr(0, version) + "version:retort-" + RETORT_VERSION);
}

// Compares every value of a case; those with WordNet's synonyms only where it is installed.
void check_case(const json& one, bool synonyms) {
  INFO(one["name"]);
  auto hypotheses = one["hypotheses"].get<Segments>();
  auto references = one["references"].get<std::vector<Segments>>();
  for (auto& [name, value] : one["values"].items()) {
    INFO(name);
    Measurement m;
    if (name == "meteor")
      m = measure_meteor(hypotheses, references, "");
    else if (name != "meteor_wordnet")
      m = find_metric(name).measure(hypotheses, references);
    else if (synonyms)
      m = measure_meteor(hypotheses, references);
    else
      continue;
    CHECK(m.score() == Approx(value.get<double>()).margin(1e-9).epsilon(1e-12));
    if (one["signatures"].contains(name)) check_signature(m.signature, one["signatures"][name]);
  }
  Bleu b = bleu(hypotheses, references);
  for (int n = 0; n < 4; n++) {
    CHECK(b.matches[n] == one["matches"][n].get<long>());
    CHECK(b.totals[n] == one["totals"][n].get<long>());
  }
  CHECK(b.hypothesis_length == one["lengths"][0].get<long>());
  CHECK(b.reference_length == one["lengths"][1].get<long>());
  CHECK(b.score == Approx(one["values"]["bleu"].get<double>()).margin(1e-9));
  CHECK(chrf(hypotheses, references).score ==
        Approx(one["values"]["chrf"].get<double>()).margin(1e-9));
}

}  // namespace

TEST_CASE("metrics equal the stored values of their reference libraries") {
  auto cases = stored()["cases"];
  REQUIRE(cases.size() == 48);
  bool synonyms = Wordnet::is_in(wordnet_folder);
  if (!synonyms) skipped("METEOR's synonyms", "the package wordnet-base is not installed");
  for (auto& one : cases) check_case(one, synonyms);
}

TEST_CASE("metrics equal their reference libraries on other text") {
  if (std::system("python3 -c 'import sacrebleu, rouge_score, nltk' 2>/dev/null") != 0)
    return skipped("metrics against the libraries", "python3 has no sacrebleu, rouge_score, nltk");
  Temporary t;
  auto write = [&](const std::string& arguments) {
    std::string out = t.folder + "cases.json";
    REQUIRE(std::system(
                ("python3 '" + beside("metrics.py") + "' " + out + " " + arguments).c_str()) == 0);
    return json::parse(read_file(out))["cases"];
  };
  for (auto& one : write("12345")) check_case(one, false);
  std::string folder = data_folder();
  if (folder.empty()) return skipped("metrics on 1,000 real pairs", "RETORT_DATA is not set");
  std::string set = "'" + folder + "l10n-en-ro/";
  auto real = write("1 " + set + "test.tsv.gz' " + set + "valid.tsv.gz'");
  REQUIRE(real[0]["hypotheses"].size() == 1000);
  for (auto& one : real) check_case(one, false);
}

TEST_CASE("tokens, stems and lower case equal the libraries'") {
  auto all = stored();
  for (size_t i = 0; i < all["tokens"].size(); i++) {
    std::string segment = all["tokens"][i]["segment"];
    CHECK(tokenize_13a(segment) == all["tokens"][i]["tokens"].get<Segments>());
    std::vector<std::u32string> words;
    for (std::string word : all["rouge_tokens"][i]) words.push_back(characters_of(word));
    CHECK(tokenize_rouge(segment) == words);
  }
  for (auto& [word, stem] : all["stems"].items()) {
    INFO(word);
    CHECK(porter_stem(characters_of(word)) == characters_of(stem.get<std::string>()));
  }
  for (auto& [text, lower] : all["lower"].items()) {
    INFO(text);
    CHECK(lowercase(text) == characters_of(lower.get<std::string>()));
  }
}

TEST_CASE("WordNet's synonyms: inflected words, markers and damaged files") {
  Temporary t;
  CHECK_FALSE(Wordnet::is_in(t.folder));
  std::string licence = "  1 WordNet 9.1 Copyright 2006 by Princeton University.\n";
  std::string synset = "00000000 00 a 03 glad 0 happy(p) 0 on_cloud_nine 0 000 | gloss\n";
  for (std::string part : {"noun", "verb", "adj", "adv"}) {
    bool adjective = part == "adj";
    t.file("data." + part, adjective ? licence + synset : licence);
    t.file(part + ".exc", adjective ? "gladdest glad\n" : "");
    t.file("index." + part,
           licence + (adjective ? "glad a 1 2 ! & 1 1 " + std::to_string(licence.size()) + "  \n" +
                                      "torn a 1 0 1 1 00009999  \n"
                                : ""));
  }
  Wordnet wordnet(t.folder);
  CHECK(wordnet.version() == "9.1");
  using Set = std::unordered_set<std::string>;
  CHECK(wordnet.synonyms("glad") == Set{"glad", "happy"});
  CHECK(wordnet.synonyms("gladest") == Set{"glad", "happy"});
  CHECK(wordnet.synonyms("gladdest") == Set{"glad", "happy"});
  CHECK(wordnet.synonyms("sad").empty());
  CHECK_THAT(error_of([&] { wordnet.synonyms("torn"); }), Contains("damaged"));
  std::filesystem::remove(t.folder + "index.verb");
  CHECK_THAT(error_of([&] { Wordnet again(t.folder); }), Contains("index.verb: cannot open"));
}

TEST_CASE("diversity by hand") {
  auto score = [](const char* metric, const Segments& segments) {
    return find_metric(metric).measure(segments, {}).score();
  };
  CHECK(score("distinct1", {"a b a", "b c"}) == Approx(3 / 5.));
  CHECK(score("distinct2", {"a b a", "b c"}) == Approx(1));
  CHECK(score("distinct2", {"a", ""}) == 0);
  CHECK(score("self_bleu", {"a b c d", "a b c d"}) == Approx(100));
  CHECK(score("self_bleu", {"a b c d", "e f g h"}) == 0);
  CHECK_THAT(error_of([&] { score("self_bleu", {"a"}); }), Contains("at least two"));
}

TEST_CASE("metrics refuse segments that do not belong together") {
  for (const Metric& metric : metrics()) {
    INFO(metric.name);
    CHECK_THAT(error_of([&] { metric.measure({}, {{}}); }), Contains(metric.name));
    if (!metric.needs_references) continue;
    CHECK_THAT(error_of([&] {
                 metric.measure({"a"}, {{"a", "b"}});
               }),
               Contains("1 hypotheses but 2 segments in reference set 1"));
    CHECK_THAT(error_of([&] { metric.measure({"a"}, {}); }), Contains("no references to score"));
  }
  CHECK_THAT(error_of([] { find_metric("BERTScore"); }), Contains("needs a pretrained network"));
  CHECK_THAT(error_of([] { find_metric("blue"); }), Contains("no metric \"blue\"; there are bleu"));
}
