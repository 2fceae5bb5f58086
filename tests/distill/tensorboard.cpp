// TensorBoard's event files: read back through protobuf's classes and checksums of their own.
#include "distill/tensorboard.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "distill/metrics_log.h"
#include "distill/tensorboard.pb.h"
#include "tests/distill/program.h"

namespace fs = std::filesystem;
using namespace retort;

namespace {

// CRC-32C bit by bit, and as TFRecords mask it.
uint32_t crc(const std::string& bytes) {
  uint32_t c = ~0u;
  for (unsigned char byte : bytes) {
    c ^= byte;
    for (int i = 0; i < 8; i++) c = c >> 1 ^ (c & 1 ? 0x82f63b78 : 0);
  }
  return ~c;
}
uint32_t masked(uint32_t c) { return (c >> 15 | c << 17) + 0xa282ead8u; }

// The records of a file; all of its bytes belong to one.
std::vector<tensorboard::Event> events_in(const std::string& path) {
  std::vector<tensorboard::Event> events;
  std::string all = read_file(path);
  auto number = [&](size_t at) {
    uint32_t n;
    REQUIRE(at + 4 <= all.size());
    std::memcpy(&n, &all[at], 4);
    return n;
  };
  for (size_t at = 0; at < all.size();) {
    size_t length = number(at);
    CHECK(number(at + 4) == 0);  // the length's upper half
    CHECK(number(at + 8) == masked(crc(all.substr(at, 8))));
    std::string message = all.substr(at + 12, length);
    REQUIRE(message.size() == length);
    CHECK(number(at + 12 + length) == masked(crc(message)));
    REQUIRE(events.emplace_back().ParseFromString(message));
    at += length + 16;
  }
  return events;
}

// Whether the file holds the numbers of all lines of metrics.jsonl, in their order, and no others.
void check_same(const std::string& events_file, const std::string& metrics) {
  std::vector<tensorboard::Event> events = events_in(events_file);
  std::vector<std::string> lines = read_lines(metrics);
  REQUIRE(events.size() == lines.size() + 1);
  CHECK(events[0].file_version() == "brain.Event:2");
  double seconds = 0;
  for (size_t i = 0; i < lines.size(); i++) {
    Json line = Json::parse(lines[i]);
    const tensorboard::Event& e = events[i + 1];
    CHECK(e.step() == line["step"]);
    CHECK(e.wall_time() == Approx(seconds += line["seconds"].get<double>()));
    size_t numbers = line.size() - 1;  // without the step
    if (line.contains("transport")) numbers += line["transport"].size() - 1;
    CHECK(size_t(e.summary().value_size()) == numbers);
    for (const tensorboard::Value& value : e.summary().value()) {
      CHECK(value.has_simple_value());  // 0 too
      CHECK(value.simple_value() == line.at(Json::json_pointer("/" + value.tag())).get<float>());
    }
  }
}

}  // namespace

TEST_CASE("an event file is metrics.jsonl over again, after a kill too") {
  CHECK(crc("123456789") == 0xe3069283);  // the published check value
  fs::remove_all(folder());
  std::string metrics = (folder() / "metrics.jsonl").string(),
              file = events_path(folder().string());
  auto line = [](long step) {
    return Json{{"step", step},
                {"epoch", 0},
                {"loss", 1.0 / double(step)},
                {"seconds", 0.25},
                {"transport", {{"gap", 1e-3}, {"iterations", 20}}}};
  };
  {
    MetricsLog log(metrics, 0, file);
    for (long step = 1; step <= 7; step++) log.write(line(step));
  }
  check_same(file, metrics);
  std::string whole = read_file(file), torn = whole.substr(0, whole.size() - 5);
  for (const std::string& left : {torn, whole, std::string(), std::string("no event file")}) {
    std::ofstream(file) << left;  // the checkpoint is of step 4
    {
      MetricsLog log(metrics, 4, file);
      check_same(file, metrics);
      CHECK(events_in(file).size() == 5);
      for (long step = 5; step <= 7; step++) log.write(line(step));
    }
    check_same(file, metrics);
    CHECK(read_file(file) == whole);
  }
  { MetricsLog log(metrics, 7); }  // not asked for: left as it is
  CHECK(read_file(file) == whole);
}

TEST_CASE("training with --tensorboard, killed, resumed, anew") {
  fs::remove_all(folder());
  std::string toml = recipe("[students.sink]\nterms = [{loss = \"sinkhorn:unit\"}]\n"),
              out = (folder() / "out").string();
  std::string teacher = out + "/teacher/";
  std::string killed = std::string(program()) + " train " + toml +
                       " train.steps=400 --tensorboard > " + out +
                       ".log 2>&1 & p=$!; until test $(cat " + teacher +
                       "metrics.jsonl 2>/dev/null | wc -l) -ge 5; do kill -0 $p || exit 9; "
                       "sleep 0.01; done; kill -9 $p; wait $p; test $? = 137";
  REQUIRE(std::system(("bash -c '" + killed + "'").c_str()) == 0);
  REQUIRE(run("train " + toml + " train.steps=400 --resume --tensorboard").status == 0);
  check_same(events_path(out + "/teacher"), teacher + "metrics.jsonl");
  CHECK(read_lines(teacher + "metrics.jsonl").size() == 400);
  std::string trained = checksum(teacher + "model.safetensors");
  // Whether there is one is no other recipe, and a finished stage gets one by being resumed.
  Result r = run("run " + toml +
                 " train.steps=400 students.js.train.steps=5 students.mle.train.steps=5 "
                 "students.sink.train.steps=5 train.log_every=2");
  INFO(r.text);
  REQUIRE(r.status == 0);
  CHECK(checksum(teacher + "model.safetensors") == trained);
  CHECK_FALSE(fs::exists(events_path(out + "/sink")));
  r = run("distill " + toml +
          " train.steps=400 students.sink.train.steps=5 train.log_every=2 "
          "--student sink --resume --tensorboard");
  INFO(r.text);
  REQUIRE(r.status == 0);
  check_same(events_path(out + "/sink"), out + "/sink/metrics.jsonl");
  bool nested = false;
  for (const tensorboard::Event& e : events_in(events_path(out + "/sink")))
    for (const tensorboard::Value& value : e.summary().value())
      nested |= value.tag() == "transport/gap";
  CHECK(nested);
  REQUIRE(run("train " + toml + " train.steps=2 --overwrite").status == 0);
  CHECK_FALSE(fs::exists(events_path(out + "/teacher")));  // it was of another training
  fs::remove_all(folder());
}
