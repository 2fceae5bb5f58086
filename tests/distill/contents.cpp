// What `retort inspect` tells of each kind of file, and what it says of those it cannot read.
#include "distill/contents.h"

#include <fmt/core.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/gradcheck.h"
#include "engine/safetensors.h"
#include "tests/distill/program.h"

namespace fs = std::filesystem;
using namespace retort;
using Json = nlohmann::json;

TEST_CASE("tensors: what they are, and what is in them", "[inspect]") {
  fs::remove_all(folder());
  std::string path = (folder() / "x").string();  // no extension tells
  Tensor a = Tensor::from({1, -2, NAN, 6}, {2, 2}, Dtype::f64);
  save_safetensors(path,
                   {{"a", a},
                    {"b", Tensor::from(std::vector<int>{3, 4}, {2})},
                    {"c", random_tensor({2000, 1031}, 1, 1, 5).to(Dtype::bf16)},
                    {"none", Tensor::zeros({0, 3})}},
                   {{"format", "retort-model"}, {"stage", "js"}});
  Contents c = contents_of(path);
  CHECK(c["kind"] == "weights");
  CHECK(c["metadata"]["stage"] == "js");
  CHECK(c["numbers"] == 4 + 2 + 2000 * 1031);
  CHECK(c["bytes"] == fs::file_size(path));
  CHECK(c["checksum"] == checksum(path));
  auto of = [&](size_t i, const char* key) { return c["tensors"][i][key]; };
  CHECK(of(0, "tensor") == "a");
  CHECK(of(0, "dtype") == "F64");
  CHECK(of(0, "shape") == Shape{2, 2});
  CHECK(of(0, "bytes") == 32);
  CHECK(of(0, "min") == -2);
  CHECK(of(0, "max") == 6);
  CHECK(of(0, "mean").get<double>() == Approx(5. / 3));
  CHECK(of(0, "non_finite") == 1);
  CHECK(of(0, "checksum") == checksum_of({static_cast<const char*>(a.bytes()), 32}));
  CHECK(of(1, "dtype") == "I32");
  CHECK(of(1, "mean") == 3.5);
  CHECK(of(2, "dtype") == "BF16");  // as it is stored, not as it is read
  CHECK(of(2, "bytes") == 2 * 2000 * 1031);
  CHECK(of(2, "mean").get<double>() == Approx(5).epsilon(1e-3));
  CHECK(of(3, "min").is_null());
  CHECK(of(3, "non_finite") == 0);
  Result r = run("inspect " + path);
  INFO(r.text);
  CHECK(r.status == 0);
  CHECK(r.text.find("F64") != std::string::npos);
  fs::remove_all(folder());
}

TEST_CASE("a run: its folder, stages, checkpoint, cache, tokenizer, recipe, results", "[inspect]") {
  fs::remove_all(folder());
  std::string toml = recipe("[students.js.teacher_sequences]\nkeep = \"top_k\"\nkeep_k = 5\n"),
              out = (folder() / "out").string();
  Contents before = contents_of(toml);
  CHECK(before["stages"][1]["state"] == "waiting");
  CHECK(before["stages"][1]["fingerprint"].get<std::string>().starts_with("none yet: "));
  Result r = run("run " + toml);
  INFO(r.text);
  REQUIRE(r.status == 0);
  Contents c = contents_of(out);
  CHECK(c["kind"] == "run");
  CHECK(c["recipe"] == "toy");
  REQUIRE(c["stages"].size() == 3);
  for (const Contents& s : c["stages"]) {
    CHECK(s["state"] == "done");
    CHECK(s["updates"] == 12);
    CHECK(s["bleu"].is_number());
  }
  c = contents_of(out + "/js");
  CHECK(c["kind"] == "stage");
  CHECK(c["checkpoint"]["step"] == "12");
  CHECK(c["figures"]["chrf"].is_number());
  c = contents_of(out + "/js/checkpoint.safetensors");
  CHECK(c["kind"] == "checkpoint");
  CHECK(c["weights"] == contents_of(out + "/js/model.safetensors")["numbers"]);
  std::string fingerprint = c["metadata"]["fingerprint"];
  c = contents_of(toml);
  CHECK(c["kind"] == "recipe");
  CHECK(c["stages"][1]["stage"] == "js");
  CHECK(c["stages"][1]["state"] == "done");
  CHECK(c["stages"][1]["fingerprint"] == fingerprint);
  CHECK(c["stages"][1]["results"] ==
        Json::parse(read_file(out + "/js/results.json"))["fingerprint"]);
  std::map<std::string, std::pair<std::string, std::string>> keys;
  c = contents_of(toml, {"student.layers=2"});
  for (const Contents& k : c["keys"]) keys[k["key"]] = {k["value"], k["from"]};
  CHECK(keys["students.js.method"] == std::pair<std::string, std::string>{"\"js\"", toml + ":24"});
  CHECK(keys["students.js.train.steps"] == std::pair<std::string, std::string>{"12", toml + ":9"});
  CHECK(keys["students.js.train.clip"].second == "default");
  CHECK(keys["students.js.model.layers"] ==
        std::pair<std::string, std::string>{"2", "command line (students.js.layers)"});
  c = contents_of(out + "/js/results.json");
  CHECK(c["kind"] == "results");
  CHECK(c["stage"] == "js");
  c = contents_of(out + "/tokenizer.model");
  CHECK(c["kind"] == "tokenizer");
  CHECK(c["pieces"] == 40);
  CHECK(c["rows"][0]["piece"] == "<pad>");
  for (const auto& file : fs::directory_iterator(out + "/teacher"))
    if (file.path().string().ends_with(".top-5.safetensors")) {
      c = contents_of(file.path().string());
      CHECK(c["kind"] == "teacher cache");
      CHECK(c["tensors"][2]["shape"][1] == 5);
    }
  CHECK(c["kind"] == "teacher cache");
  for (const std::string& what : {out, out + "/js", toml, out + "/js/results.json"}) {
    r = run("inspect " + what);
    INFO(r.text);
    CHECK(r.status == 0);
    r = run("inspect --json " + what);
    CHECK(Json::parse(r.text)["file"] == what);
  }
  // Damaged in every way: one line, exit status 1.
  auto fails = [](const std::string& path, const std::string& says) {
    Result one = run("inspect " + path);
    INFO(path << "\n" << one.text);
    CHECK(one.status == 1);
    CHECK(std::count(one.text.begin(), one.text.end(), '\n') == 1);
    CHECK(one.text.find(says) != std::string::npos);
  };
  std::string model = read_file(out + "/js/model.safetensors"), other = model,
              pieces = read_file(out + "/tokenizer.model"),
              results = read_file(out + "/js/results.json");
  other[model.size() - 3] ^= 1;
  fails(write("damaged", other), "not those that were written");
  fails(write("cut", model.substr(0, model.size() - 3)), "truncated");
  fails(write("header", model.substr(0, 50)), "truncated");
  fails(write("pieces", pieces.substr(0, pieces.size() / 2)), "pieces");
  fails(write("results", results.substr(0, results.size() / 2)), "results");
  fails(write("empty", ""), "is empty");
  fails(write("binary", std::string("\1\2\0\3\xff\xfe", 6) + std::string(99, '\0')), "neither");
  fails(write("recipe", "[train]\nsteps = = 2\n"), "recipe:2:");
  fails(write("key", "[train]\nstepps = 2\n"), "did you mean \"steps\"");
  fails((folder() / "absent").string(), "no such file or folder");
  fails("/dev/null", "not a regular file");
  fs::create_directories(folder() / "bare");
  fails((folder() / "bare").string(), "no run's folder");
  std::ofstream(out + "/js/results.json") << results.substr(0, 40);
  r = run("inspect " + out);  // the others are shown
  CHECK(r.status == 0);
  CHECK(r.text.find("damaged") != std::string::npos);
  fs::remove_all(folder());
}

TEST_CASE("a recipe is known by its tables, however they are written", "[inspect]") {
  fs::remove_all(folder());
  for (const char* text : {"[data]\ntrain = \"a\"\n", "data = { train = \"a\" }\n",
                           "seed = 1\r\ndata.train = \"a\"\r\n"})
    CHECK(contents_of(write("one.toml", text))["kind"] == "recipe");
  for (const char* text : {"train. It leaves at nine.\tTren\n", "data\tdate\n", "x [data] = 1\n"})
    CHECK(contents_of(write("one.tsv", text))["kind"] == "data set");
}

TEST_CASE("data sets are read as recipes read them", "[inspect]") {
  fs::remove_all(folder());
  std::string tsv = write("x", "a b\tc\nd e f\tg h\n\tlost\n");
  Contents c = contents_of(tsv, {}, 1);
  CHECK(c["kind"] == "data set");
  CHECK(c["format"] == "tsv");
  CHECK(c["examples"] == 2);
  CHECK(c["left_out"]["empty"] == 1);
  CHECK(c["words"]["source"]["mean"] == 2.5);
  CHECK(c["words"]["target"]["most"] == 2);
  REQUIRE(c["rows"].size() == 1);
  CHECK(c["rows"][0]["source"] == "a b");
  CHECK(c["rows"][0]["target"] == "c");
  c = contents_of(tsv, {"data.source=2", "data.target=1"});
  CHECK(c["rows"][0]["source"] == "c");
  CHECK(contents_of(write("t", "one line\nanother\n"))["format"] == "text");
  std::string lines = write("j", "{\"document\": \"d\", \"summary\": \"s\"}\n");
  CHECK(contents_of(lines, {"data.format=xsum"})["rows"][0]["source"] == "d");
  Result r = run("inspect " + lines);
  INFO(r.text);
  CHECK(r.status == 1);
  CHECK(r.text.find("there are: document, summary; read as data.format=jsonl") !=
        std::string::npos);
  r = run("inspect " + lines + " data.format=xsun");
  INFO(r.text);
  CHECK(r.text.find("did you mean \"xsum\"") != std::string::npos);
  c = contents_of(write("s", "sentence\tlabel\nfine\t1\n"), {"data.format=glue:sst2"});
  CHECK(c["format"] == "glue:sst2");
  CHECK(c["rows"][0]["label"] == "1");
  r = run("inspect " + tsv);
  CHECK(r.status == 0);
  fs::remove_all(folder());
}
