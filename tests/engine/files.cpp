// Files of the engine: safetensors.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "engine/gradcheck.h"
#include "engine/number_types.h"
#include "engine/ops.h"
#include "engine/safetensors.h"
#include "tests/devices.h"
#include "tests/engine/scratch.h"

using namespace retort;

namespace {
std::string bytes_of(const std::string& path) {
  std::ifstream f(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(f), {}};
}
}  // namespace

TEST_CASE("tensors of any device and layout are written as they are", "[cuda][small]") {
  for (Device device : devices()) {
    std::string path = scratch("devices.safetensors");
    Tensor x = random_tensor({3, 5}, 1), part = slice(transpose(x), 0, 1, 3);
    save_safetensors(path, {{"x", x.to(device)},
                            {"part", slice(transpose(x.to(device)), 0, 1, 3)},
                            {"half", x.to(Dtype::bf16).to(device)},
                            {"ids", Tensor::from(std::vector<int>{1, 2, 3}, {3}, device)}});
    auto back = load_safetensors(path).tensors;
    CHECK(back["x"].values() == x.values());
    CHECK(back["part"].values() == part.values());
    CHECK(back["half"].values() == x.to(Dtype::bf16).values());
    CHECK(back["ids"].ints() == std::vector<int>{1, 2, 3});
  }
}

TEST_CASE("a safetensors file cut anywhere, or lying, is one error") {
  std::string path = scratch("file.safetensors"), cut = scratch("cut.safetensors");
  save_safetensors(
      path, {{"a", random_tensor({3, 5}, 1)}, {"b", Tensor::from(std::vector<int>{1, 2}, {2})}},
      {{"k", "v"}});
  TensorFile back = load_safetensors(path);
  CHECK(back.tensors["a"].values() == random_tensor({3, 5}, 1).values());
  CHECK(back.tensors["b"].ints() == std::vector<int>{1, 2});
  CHECK(back.metadata["k"] == "v");
  std::string whole = bytes_of(path);
  for (size_t n = 0; n < whole.size(); n++) {
    std::ofstream(cut, std::ios::binary) << whole.substr(0, n);
    REQUIRE_THROWS_WITH(load_safetensors(cut), Catch::Contains("cut.safetensors: "));
  }
  auto lie = [&](const std::string& header) {
    uint64_t n = header.size();
    std::ofstream(cut, std::ios::binary)
        << std::string(reinterpret_cast<char*>(&n), 8) << header << std::string(16, '\0');
    CHECK_THROWS_WITH(load_safetensors(cut), Catch::Contains("cut.safetensors: "));
  };
  lie(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}})");
  lie(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[4,20]}})");
  lie(R"({"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})");
  lie(R"({"a":{"dtype":"F32","shape":[4000000000,4000000000],"data_offsets":[0,16]}})");
  lie(R"({"a":{"dtype":"Q8","shape":[16],"data_offsets":[0,16]}})");
  lie(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})");
  lie(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})");
  lie(R"({"a":)");
  lie(R"([1])");
  CHECK_THROWS_WITH(load_safetensors(scratch("absent")),
                    Catch::Contains("absent: cannot be opened"));
}

TEST_CASE("numbers of every type of the format can be looked at, to the bit; few are read") {
  struct Case {
    const char* type;
    std::string bytes;
    std::vector<double> values;
  };
  auto of = [](auto... x) {
    std::string bytes;
    (bytes.append(reinterpret_cast<const char*>(&x), sizeof x), ...);
    return bytes;
  };
  auto b = [](auto... x) { return std::string{char(x)...}; };
  // By hand: e.g. E4M3 0x7e is 1.75 2^8, its least 2^-9; E5M2 0x7b is 1.75 2^15, its least 2^-16.
  const std::vector<Case> cases = {
      {"I64", of(int64_t(1) << 40, int64_t(-3)), {0x1p40, -3}},
      {"U64", of(~uint64_t(0), uint64_t(7)), {0x1p64, 7}},
      {"U32", of(uint32_t(4000000000), 1u), {4e9, 1}},
      {"U16", of(uint16_t(65535)), {65535}},
      {"I16", of(int16_t(-32768)), {-32768}},
      {"I8", b(0x80, 0x7f), {-128, 127}},
      {"U8", b(0x80, 0x7f), {128, 127}},
      {"BOOL", b(1, 0), {1, 0}},
      {"F64", of(0.1), {0.1}},
      {"F32", of(0.1f), {double(0.1f)}},
      {"F16", b(0x01, 0x00, 0xff, 0x7b, 0x00, 0xfc), {0x1p-24, 65504, -INFINITY}},
      {"BF16", b(0x80, 0x3f, 0x01, 0x00), {1, 0x1p-133}},
      {"F8_E4M3", b(0x7e, 0x01, 0xb8, 0x08), {448, 0x1p-9, -1, 0x1p-6}},
      {"F8_E5M2", b(0x7b, 0x01, 0xbc, 0xfc), {57344, 0x1p-16, -1, -INFINITY}},
      {"F8_E8M0", b(0x7f, 0x00, 0xfe), {1, 0x1p-127, 0x1p127}},
      {"C64", of(1.f, 2.f), {}},
      {"F4", b(0x21, 0x43), {}},
      {"F6_E2M3", b(1, 2, 3), {}},
      {"Q9", b(1, 2, 3), {}}};
  std::string path = scratch("types.safetensors");
  for (const Case& c : cases) {
    INFO(c.type);
    size_t count = std::string(c.type) == "F4" || std::string(c.type) == "F6_E2M3" ? 4
                   : c.values.empty()                                              ? 1
                                      : c.values.size();
    std::string header = std::string(R"({"x":{"dtype":")") + c.type + R"(","shape":[)" +
                         std::to_string(count) + R"(],"data_offsets":[0,)" +
                         std::to_string(c.bytes.size()) + "]}}";
    uint64_t n = header.size();
    std::ofstream(path, std::ios::binary) << of(n) << header << c.bytes;
    TensorReader file(path);
    CHECK(file.stored_type("x") == c.type);
    CHECK(file.stored("x") == c.bytes);
    CHECK(file.values("x", 0, count) == c.values);
    if (c.values.size() > 1) CHECK(file.values("x", 1, 1) == std::vector<double>{c.values[1]});
    std::string type = c.type;
    bool read = type == "F64" || type == "F32" || type == "F16" || type == "BF16" || type == "U8" ||
                type == "BOOL";
    if (read)
      CHECK(load_safetensors(path).tensors["x"].values() == c.values);
    else
      CHECK_THROWS_WITH(
          load_safetensors(path),
          Catch::Contains(type == "I64" ? "element 0 lies outside 32 bits"
                                        : "dtype " + type + " is not read; F32, F64"));
  }
  CHECK(std::isnan(find_number_type("F8_E4M3")->value("\x7f")));
  CHECK(std::isnan(find_number_type("F8_E4M3")->value("\xff")));
  CHECK(std::isnan(find_number_type("F8_E5M2")->value("\x7e")));
  CHECK(std::isnan(find_number_type("F8_E8M0")->value("\xff")));
}

TEST_CASE("a file's tensors are written and read row by row, in any order") {
  std::string path = scratch("rows.safetensors");
  std::filesystem::remove(path);
  Tensor x = random_tensor({5, 2, 3}, 1), ids = Tensor::from(std::vector<int>{7, 8, 9}, {3});
  std::map<std::string, TensorSpec> specs{{"x", {x.dtype, x.shape}}, {"ids", {Dtype::i32, {3}}}};
  {
    TensorWriter file(path, specs, {{"k", "v"}});
    file.write("x", slice(x, 0, 3, 2), 3);
    CHECK_THROWS_WITH(file.finish(), Catch::Contains("rows.safetensors: 96 of 252 bytes"));
    CHECK_THROWS_WITH(file.write("x", slice(x, 0, 3, 2), 4), Catch::Contains("no rows from 4 on"));
    CHECK_THROWS_WITH(file.write("x", ids), Catch::Contains("are no rows"));
    CHECK(std::filesystem::exists(path + ".tmp"));
  }  // not finished: nothing stays
  CHECK(!std::filesystem::exists(path));
  CHECK(!std::filesystem::exists(path + ".tmp"));
  std::string whole = scratch("whole.safetensors");
  save_safetensors(whole, {{"x", x}, {"ids", ids}}, {{"k", "v"}});
  TensorWriter file(path, specs, load_safetensors(whole).metadata);
  file.write("x", slice(x, 0, 3, 2), 3), file.write("ids", ids), file.write("x", slice(x, 0, 0, 3));
  file.finish();
  CHECK(bytes_of(path) == bytes_of(whole));
  TensorReader reader(path);
  CHECK(reader.tensors() == specs);
  CHECK(reader.metadata().at("k") == "v");
  CHECK(reader.read("x", 1, 3).values() == slice(x, 0, 1, 3).values());
  CHECK(reader.read("ids").ints() == std::vector<int>{7, 8, 9});
  CHECK_THROWS_WITH(reader.read("x", 3, 3), Catch::Contains("has 5 rows, asked for 3 from 3 on"));
}

TEST_CASE("a number that changed on the disk is noticed; files of others need no checksum") {
  std::string path = scratch("flipped.safetensors");
  save_safetensors(path, {{"x", random_tensor({4, 3}, 1)}}, {{"k", "v"}});
  CHECK(load_safetensors(path).metadata.at("checksum").size() == 32);
  std::string bytes = bytes_of(path);
  bytes[bytes.size() - 3] ^= 4;
  std::ofstream(path, std::ios::binary) << bytes;
  CHECK_THROWS_WITH(load_safetensors(path),
                    path + ": its numbers are not those that were written; the file is damaged");
  TensorWriter other(path, {{"x", {Dtype::f64, {1}}}}, {});
  other.write("x", Tensor::zeros({1}, Dtype::f64));
  other.finish();
  CHECK(load_safetensors(path).tensors.at("x").values()[0] == 0);
}
