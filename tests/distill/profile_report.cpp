// --profile: the table and the trace by hand, and what commands make of the option.
#include "distill/profile_report.h"

#include <catch2/catch.hpp>

#include "tests/data/temporary.h"
#include "tests/distill/program.h"

using namespace retort;
using Catch::Contains;

namespace {

Profile::Result made() {
  Profile::Result p;
  p.seconds = 2, p.product_rate = 100e9, p.sum_rate = 10e9;
  p.totals["add"] = {3, 0.5, 0, 1e9};
  p.totals["matmul"] = {1, 1.5, 75e9, 3e9};
  p.events = {{"add", 0, 0.5}, {"matmul", 0.5, 1.5}};
  return p;
}

}  // namespace

TEST_CASE("profile: the table has the longest first, rates and their share of the limit") {
  Profile::Result p = made();
  std::string table = table_of(p);
  CHECK(table ==
        "profile: 2.00 s; limits: product 100 GFLOP/s, sum of large tensors 10.0 GB/s\n"
        "| operator | calls | ms | share | GFLOP/s | GB/s | of the limit |\n"
        "|---|---:|---:|---:|---:|---:|---:|\n"
        "| matmul | 1 | 1500.0 | 75.0 % | 50.0 | 2.00 | 0.50 |\n"
        "| add | 3 | 500.0 | 25.0 % | 0.0 | 2.00 | 0.20 |\n");
  p.more = 1;
  CHECK(table_of(p) == table + "the trace holds the first 2 operators\n");
}

TEST_CASE("profile: the trace is Chrome's") {
  Json events = Json::parse(trace_of(made())).at("traceEvents");
  REQUIRE(events.size() == 2);
  CHECK(events[1] == Json({{"name", "matmul"},
                           {"ph", "X"},
                           {"pid", 1},
                           {"tid", 1},
                           {"ts", 0.5e6},
                           {"dur", 1.5e6}}));
}

TEST_CASE("profile: a command writes it, or says at once that it cannot") {
  Temporary t;
  std::string file = t.folder + "t.json";
  Result r = run("gradcheck --loss js --profile " + file);
  INFO(r.text);
  CHECK(r.status == 0);
  CHECK_THAT(r.text, Contains("| operator | calls |") && Contains("trace: " + file));
  CHECK(Json::parse(read_file(file)).at("traceEvents").size() > 0);
  r = run("gradcheck --loss js --profile " + t.folder + "none/t.json");
  CHECK(r.status == 1);
  CHECK(r.text.rfind("retort: " + t.folder + "none/t.json: no such folder", 0) == 0);
  std::string input = t.file("in.tsv", "a\tb\n");
  r = run("inspect " + input + " --profile " + input);
  CHECK(r.status == 1);
  CHECK(r.text == "retort: --profile " + input + ": is the file of file; name another\n");
  CHECK(read_file(input) == "a\tb\n");
  r = run("inspect " + input + " --profile ''");
  CHECK(r.status == 2);
  CHECK_THAT(r.text, Contains("--profile: name a file"));
  r = run("inspect " + input + " --profile " + t.folder + "none.json");
  CHECK(r.status == 0);
  CHECK_THAT(r.text,
             Contains("profile: no operator ran; " + t.folder + "none.json is not written"));
}
