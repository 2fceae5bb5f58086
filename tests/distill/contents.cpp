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
  CHECK(of(1, "first") == std::vector<double>{3, 4});
  CHECK(of(2, "first").size() == 3);
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
  Result r = run("run " + toml + " --tensorboard");
  INFO(r.text);
  REQUIRE(r.status == 0);
  for (auto [name, kind] : {std::pair{"metrics.jsonl", "metrics"},
                            {"manifest.json", "manifest"},
                            {"inspection.json", "inspection"},
                            {"timing.json", "timing"},
                            {"results.json", "results"},
                            {"recipe.toml", "recipe"},
                            {"events.out.tfevents.retort", "TensorBoard events"}})
    CHECK(contents_of(out + "/js/" + name)["kind"] == kind);
  CHECK(contents_of(out + "/js/metrics.jsonl")["lines"] == 12);
  CHECK(contents_of(out + "/js/events.out.tfevents.retort")["records"] == 13);
  Contents c;
  for (const auto& file : fs::directory_iterator(out + "/teacher"))
    if (file.path().extension() == ".jsonl" && file.path().stem() != "metrics")
      c = contents_of(file.path().string());
  CHECK(c["kind"] == "teacher sequences");
  CHECK(c["lines"] == 200);
  c = contents_of(out);
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
  fails(write("recipe", "[train\nsteps = 2\n"), "recipe:1:");
  fails(write("key", "[train]\nstepps = 2\n"), "did you mean \"steps\"");
  fails((folder() / "absent").string(), "no such file or folder");
  fails("/dev/null", "not a regular file");
  fs::create_directories(folder() / "bare");
  fails((folder() / "bare").string(), "bare: is an empty folder");
  // Keys of a recipe say nothing of what is neither recipe nor data set.
  for (const char* file : {"/js/model.safetensors", "/tokenizer.model", "/js/results.json",
                           "/js/events.out.tfevents.retort", "/js", ""})
    fails(out + file + " train.steps=3", "of which train.steps=3 says nothing");
  std::ofstream(out + "/js/results.json") << results.substr(0, 40);
  r = run("inspect " + out);  // the others are shown
  CHECK(r.status == 0);
  CHECK(r.text.find("remove the file and `retort run` its recipe\n") != std::string::npos);
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
  CHECK(c["columns"] == "source 1, target 2, of 2");
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
  c = contents_of(lines, {"data.source=summary", "data.target=document"});
  CHECK(c["format"] == "jsonl");
  CHECK(c["rows"][0]["source"] == "s");
  Result r;
  r = run("inspect " + lines + " data.format=xsun");
  INFO(r.text);
  CHECK(r.text.find("did you mean \"xsum\"") != std::string::npos);
  c = contents_of(write("s", "sentence\tlabel\nfine\t1\n"), {"data.format=glue:sst2"});
  CHECK(c["format"] == "glue:sst2");
  CHECK(c["rows"][0]["label"] == "1");
  r = run("inspect " + tsv);
  CHECK(r.status == 0);
  for (auto [key, says] : {std::pair{"data.fromat=jsonl", "data.fromat: unknown key; did you mean"},
                           {"data.limit=x", "data.limit: expected a number"},
                           {"train.steps=3", "train.steps=3: does not say how "},
                           {"data.train=b", "data.train=b: does not say how "},
                           {"data.format", "expected key=value"},
                           {"data.format=parallel", "takes two files"}}) {
    r = run("inspect " + tsv + " " + key);
    INFO(r.text);
    CHECK(r.status == 1);
    CHECK(r.text.find(says) != std::string::npos);
    CHECK(r.text.find("read as") == std::string::npos);
    CHECK(std::count(r.text.begin(), r.text.end(), '\n') == 1);
  }
  fs::remove_all(folder());
}

TEST_CASE("JSON that is no data set: what its fields and keys are", "[inspect]") {
  fs::remove_all(folder());
  // Lines without the names of source and target: fields as they are met.
  Contents c = contents_of(
      write("x", "\n{\"q\": \"why\", \"n\": 3}\n{\"q\": \"how\", \"tags\": [1, [2]]}\n"), {}, 1);
  CHECK(c["kind"] == "JSON lines");
  CHECK(c["lines"] == 2);
  CHECK(c["as_a_data_set"].get<std::string>().starts_with("data.source=FIELD data.target=FIELD"));
  REQUIRE(c["fields"].size() == 3);
  CHECK(c["fields"][0]["field"] == "n");
  CHECK(c["fields"][0]["lines"] == 1);
  CHECK(c["fields"][1] ==
        Contents{
            {"field", "q"}, {"type", "string"}, {"lines", 2}, {"first", "why"}, {"last", "how"}});
  CHECK(c["fields"][2]["first"] == "[2 items]");
  CHECK(c["rows"] == Contents::array({{{"line", 2}, {"n", 3}, {"q", "why"}}}));
  // The metrics of a run that goes on: its last line is torn.
  std::string lines;
  for (int i = 1; i <= 1500; i++) lines += fmt::format("{{\"loss\":{}.5,\"step\":{}}}\n", 2 * i, i);
  for (const char* torn : {"", "{\"loss\":1."}) {
    c = contents_of(write("x", lines + torn));
    CHECK(c["kind"] == "metrics");
    CHECK(c["lines"] == (*torn ? 1501 : 1500));
    CHECK(c["fields"][0]["first"] == 2.5);
    CHECK(c["fields"][0]["last"] == 3000.5);
    CHECK(c["fields"][1]["last"] == 1500);
    CHECK(c.contains("last_line") == bool(*torn));
    CHECK(!c.contains("no_objects"));
  }
  CHECK(contents_of(write("x", "{\"step\":1,\"loss\":2}\n"))["kind"] == "metrics");
  c = contents_of(write("x", "{\"a\":1}\nno\n{\"a\":2}\n{"));
  CHECK(c["no_objects"] == 1);
  CHECK(c["fields"][0]["last"] == 2);
  c = contents_of(
      write("x", "{\"a\": {\"b\": 1, \"c\": {}}, \"d\": [1, 2], \"e\": [1, 2, 3, 4, 5]}"));
  CHECK(c["kind"] == "JSON object");
  CHECK(c["values"] == Contents::array({{{"key", "a.b"}, {"value", 1}},
                                        {{"key", "a.c"}, {"value", "{0 keys}"}},
                                        {{"key", "d"}, {"value", {1, 2}}},
                                        {{"key", "e"}, {"value", "[5 items]"}}}));
  // Many keys: counted, the first told.
  std::string wide = "{\"0\":0";
  for (int i = 1; i < 50000; i++) wide += fmt::format(",\"{0}\":{0}", i);
  c = contents_of(write("x", wide + "}\n" + wide + "}\n"));
  CHECK(c["fields_in_all"] == 50000);
  CHECK(c["fields"].size() == 64);
  c = contents_of(write("x", wide + ",\"x\":{}}\n"));
  CHECK(c["keys"] == 50001);
  CHECK(c["values"].size() == 3);
  c = contents_of(write("x", "[\n {\"a\": 1},\n {}]"));
  CHECK(c["kind"] == "JSON list");
  CHECK(c["items"] == 2);
  CHECK(contents_of(write("x", "[1] says so\n"))["format"] == "text");
  // Nested without end.
  std::string deep(200000, '[');
  CHECK(contents_of(write("x", "{\"a\":" + deep + std::string(deep.size(), ']') + "}"))["keys"] ==
        1);
  CHECK_THROWS_WITH(contents_of(write("x", "{\n\"a\": 1,\n\"b\" 2}")),
                    Catch::Contains("x:3: not JSON; one JSON object or list"));
  CHECK_THROWS_WITH(contents_of(write("x", "{\n\"a\": 1,")), Catch::Contains("ends in the middle"));
  fs::remove_all(folder());
}

TEST_CASE("recipes by their keys alone, folders by what they hold", "[inspect]") {
  fs::remove_all(folder());
  std::string data = write("t.tsv", "a\tb\n");
  for (const char* text :
       {"train.steps = 10\n", "# mine\n\nseed = 4\n", "name = \"x\"\r\n", "  [ data ]\n",
        "[[students.a.terms]]\nloss = \"kl\"\n", "presets.a.seed = 1\nteacher.layers = 2\n"}) {
    INFO(text);
    Contents c = contents_of(write("r", text), {"data.train='" + data + "'"});
    CHECK(c["kind"] == "recipe");
  }
  for (const char* text : {"a seed = 4\n", "train the model\n", "seed\n", "the [data]\n"}) {
    INFO(text);
    CHECK(contents_of(write("r", text))["kind"] == "data set");
  }
  // Folders.
  std::string at = folder().string();
  fs::create_directories(at + "/f/sub/1triples");
  write("f/a.txt", "xy");
  Contents c = contents_of(at + "/f");
  CHECK(c["kind"] == "folder");
  CHECK(c["entries"] == 2);
  CHECK(c["files"] ==
        Contents::array({{{"name", "a.txt"}, {"bytes", 2}}, {{"name", "sub"}, {"is", "folder"}}}));
  write("f/sub/1triples/x.xml", "<page><link/></page>");  // no WebNLG
  CHECK(contents_of(at + "/f")["kind"] == "folder");
  write("f/sub/1triples/x.xml",
        "<benchmark><entries><entry category=\"A\" eid=\"1\" shape=\"(X)\" size=\"1\">"
        "<modifiedtripleset><mtriple>A | b | C</mtriple></modifiedtripleset>"
        "<lex comment=\"good\" lid=\"Id1\">A is b of C.</lex></entry></entries></benchmark>");
  c = contents_of(at + "/f");
  CHECK(c["format"] == "webnlg");
  CHECK(c["rows"][0]["target"] == "A is b of C.");
}

TEST_CASE("whatever a file is, what is said of it is clear", "[inspect]") {
  fs::remove_all(folder());
  auto says = [](const std::string& path, int status = 1) {
    Result r = run("inspect " + path);
    INFO(path << "\n" << r.text);
    CHECK(r.status == status);
    if (status == 1) CHECK(std::count(r.text.begin(), r.text.end(), '\n') == 1);
    return r.text;
  };
  std::string at = folder().string();
  fs::create_symlink(at + "/nowhere", at + "/link");
  CHECK(says(at + "/link").find("is a link to " + at + "/nowhere, which is not there") !=
        std::string::npos);
  fs::create_symlink(at + "/loop", at + "/loop");
  CHECK(says(at + "/loop").find("loop: Too many levels") != std::string::npos);
  CHECK(says("''").find("no such file") != std::string::npos);
  says(write("a", std::string("\0\0\0\0\0\0\0\0{", 9)));
  says(write("a", "\n"));
  says(write("a", "\x1f\x8b"));
  says(write("a", "\xff\xfe\x41"));
  says(write("a", std::string(70000, 'x') + "\xff"));
  says(write("a", "{"), 0);
  says(write("a", "["), 0);
  says(write("a", std::string(3 << 20, 'x')), 0);  // one line
  says(write("a", "\nz\na"), 0);                   // begins like a SentencePiece model
  CHECK(says(write("a", "{\"a\": 1}\n{\"a\": 2}\nno\n"), 0).find("torn") != std::string::npos);
  std::string header = R"({"i":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
                       R"("f":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[8,12]},)"
                       R"("p":{"dtype":"F4","shape":[2],"data_offsets":[12,13]}})";
  uint64_t n = header.size();
  std::string file(reinterpret_cast<char*>(&n), 8);
  file += header + std::string("\0\0\0\0\1\0\0\0", 8) + "\x38\xb8\x7e\x7f" + "\x21";
  Contents c = contents_of(write("a", file));
  REQUIRE(c["tensors"].size() == 3);
  Contents f8 = c["tensors"][0], i64 = c["tensors"][1], f4 = c["tensors"][2];
  CHECK(f8["dtype"] == "F8_E4M3");
  CHECK(f8["first"] == std::vector<double>{1, -1, 448});
  CHECK(f8["non_finite"] == 1);
  CHECK(i64["max"] == 0x1p32);
  CHECK(f4["bytes"] == 1);
  CHECK(f4["first"].empty());
  CHECK(f4["min"].is_null());
  fs::remove_all(folder());
}
