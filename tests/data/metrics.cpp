// BLEU and chrF against the values sacreBLEU gave (metrics.json, written by metrics.py).
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "data/bleu.h"
#include "data/chrf.h"
#include "data/text.h"
#include "tests/data/temporary.h"

using namespace retort;
using Catch::Contains;

namespace {

using Segments = std::vector<std::string>;

nlohmann::json stored() {
  std::string source = __FILE__;
  return nlohmann::json::parse(read_file(source.substr(0, source.rfind('/') + 1) + "metrics.json"));
}

// Signatures agree but for the version.
void check_signature(const std::string& ours, const std::string& theirs) {
  size_t version = theirs.find("version:");
  CHECK(ours == theirs.substr(0, version) + "version:retort-" + RETORT_VERSION);
}

}  // namespace

TEST_CASE("bleu and chrf equal sacreBLEU's") {
  auto cases = stored()["cases"];
  REQUIRE(cases.size() == 31);
  for (auto& one : cases) {
    INFO(one["name"]);
    auto hypotheses = one["hypotheses"].get<Segments>();
    auto references = one["references"].get<std::vector<Segments>>();
    Bleu b = bleu(hypotheses, references);
    CHECK(b.score == Approx(one["bleu"].get<double>()).margin(1e-9).epsilon(1e-12));
    for (int n = 0; n < 4; n++) {
      CHECK(b.matches[n] == one["matches"][n].get<long>());
      CHECK(b.totals[n] == one["totals"][n].get<long>());
    }
    CHECK(b.hypothesis_length == one["lengths"][0].get<long>());
    CHECK(b.reference_length == one["lengths"][1].get<long>());
    check_signature(b.signature, one["bleu_signature"]);
    Chrf c = chrf(hypotheses, references);
    CHECK(c.score == Approx(one["chrf"].get<double>()).margin(1e-9).epsilon(1e-12));
    check_signature(c.signature, one["chrf_signature"]);
  }
}

TEST_CASE("13a tokens equal sacreBLEU's") {
  for (auto& one : stored()["tokens"])
    CHECK(tokenize_13a(one["segment"]) == one["tokens"].get<Segments>());
}

TEST_CASE("metrics refuse segments that do not belong together") {
  CHECK_THAT(error_of([] {
               bleu({"a"}, {{"a", "b"}});
             }),
             Contains("bleu: 1 hypotheses but 2 segments in reference set 1"));
  CHECK_THAT(error_of([] {
               chrf({"a"}, {{"a"}, {}});
             }),
             Contains("chrf: 1 hypotheses but 0 segments in reference set 2"));
  CHECK_THAT(error_of([] { bleu({"a"}, {}); }), Contains("bleu: no references to score"));
  CHECK_THAT(error_of([] { chrf({}, {{}}); }), Contains("chrf: no hypotheses to score"));
}
