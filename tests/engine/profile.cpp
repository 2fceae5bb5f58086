// The profile of operators: calls, operations by hand, the trace's file.
#include "engine/profile.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "engine/gradcheck.h"
#include "engine/ops.h"

using namespace retort;

TEST_CASE("a profile counts operators, forward and backward") {
  Tensor x = random_tensor({8, 16}, 1), w = parameter(random_tensor({4, 16}, 2));
  Profile::start("trace.json");
  for (int i = 0; i < 3; i++) backward(sum(linear(x, w)));
  auto [file, table, events] = Profile::finish();
  CHECK(file == "trace.json");
  CHECK(!Profile::on());
  CHECK(table.find("| linear | 3 |") != std::string::npos);
  CHECK(table.find("| linear backward | 3 |") != std::string::npos);
  CHECK(table.find("| sum backward | 3 |") != std::string::npos);
  auto trace = nlohmann::json::parse(events);
  double end = 0;
  int linear = 0;
  for (const auto& e : trace["traceEvents"]) {
    CHECK(e["ts"].get<double>() >= end - 0.01);  // one behind the other
    end = e["ts"].get<double>() + e["dur"].get<double>();
    linear += e["name"] == "linear";
  }
  CHECK(linear == 3);
}

TEST_CASE("what an operator's backward calls counts to it") {
  Tensor qkv = parameter(random_tensor({1, 4, 6, 8}, 1));
  Profile::start("");
  backward(sum(reshape(attention(qkv, 2), {-1})));
  std::string table = Profile::finish().table;
  CHECK(table.find("| attention backward | 1 |") != std::string::npos);
  CHECK(table.find("| concat ") == std::string::npos);
}

TEST_CASE("a profile of nothing has nothing to write") {
  Profile::start("trace.json");
  CHECK(Profile::finish().trace.empty());
}
