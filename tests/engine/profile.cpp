// The profile of operators: calls, operations by hand, the trace's file.
#include "engine/profile.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/gradcheck.h"
#include "engine/ops.h"
#include "tests/engine/scratch.h"

using namespace retort;

TEST_CASE("a profile counts operators, forward and backward") {
  std::string path = scratch("trace.json");
  Tensor x = random_tensor({8, 16}, 1), w = parameter(random_tensor({4, 16}, 2));
  Profile::start(path);
  for (int i = 0; i < 3; i++) backward(sum(linear(x, w)));
  std::string table = Profile::finish();
  CHECK(!Profile::on());
  CHECK(table.find("| linear | 3 |") != std::string::npos);
  CHECK(table.find("| linear backward | 3 |") != std::string::npos);
  CHECK(table.find("| sum backward | 3 |") != std::string::npos);
  auto trace = nlohmann::json::parse(std::ifstream(path));
  double end = 0;
  int linear = 0;
  for (const auto& e : trace["traceEvents"]) {
    CHECK(e["ts"].get<double>() >= end - 0.01);  // one behind the other
    end = e["ts"].get<double>() + e["dur"].get<double>();
    linear += e["name"] == "linear";
  }
  CHECK(linear == 3);
}

TEST_CASE("a profile whose trace cannot be written is refused at the start") {
  CHECK_THROWS_WITH(Profile::start("/nonexistent/trace.json"),
                    Catch::Contains("cannot be written"));
  CHECK(!Profile::on());
}
