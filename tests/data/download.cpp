// data/get for sets that are downloaded, against a server on this machine: pins, wrong and cut
// files, what the archives become; and debian-synopsis, with apt's lists made here.
#include <catch2/catch.hpp>
#include <csignal>

#include "data/reader.h"
#include "tests/data/get.h"
#include "tests/skip.h"

using namespace retort;
using Catch::Contains;

namespace {

// Serves the folder it is started in on a free port, which it writes to the file "port". Of a file
// beside which NAME.cut lies it promises all and sends half.
const char* const kServer = R"(
import http.server, os
class Handler(http.server.SimpleHTTPRequestHandler):
    def copyfile(self, source, out):
        cut = os.path.exists(source.name + ".cut")
        data = source.read()
        out.write(data[:len(data) // 2] if cut else data)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open("port.tmp", "w") as file:
    file.write(f"{server.server_address[1]}\n{os.getpid()}")
os.rename("port.tmp", "port")
server.serve_forever()
)";

// The files of webnlg, xsum, wmt16-en-ro, glue, superglue and wikitext-2 in small, in the
// publishers' archives.
const char* const kArchives = R"(
import io, json, os, tarfile, zipfile
def tgz(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
for name in ("webnlg", "xsum", "wmt16-en-ro", "glue", "superglue", "wikitext-2"):
    os.mkdir(name)
with zipfile.ZipFile("wikitext-2/wikitext-2-raw-v1.zip", "w") as file:
    for part in ("train", "valid", "test"):
        file.writestr(f"wikitext-2-raw/wiki.{part}.raw", f" \n = {part} = \n \n A lobster . \n")
with zipfile.ZipFile("webnlg/webnlg-dataset-master.zip", "w") as file:
    for part in ("train", "dev", "test"):
        xml = ("<benchmark><entries><entry eid='1'><modifiedtripleset><mtriple>A | b | C</mtriple>"
               f"</modifiedtripleset><lex>{part}</lex></entry></entries></benchmark>")
        file.writestr(f"webnlg-dataset-master/release_v2/xml/{part}/1triples/one.xml", xml)
        file.writestr(f"webnlg-dataset-master/release_v1/xml/{part}/1triples/one.xml", "old")
article = "[SN]URL[SN]\nhttp://x\n\n[SN]TITLE[SN]\nt\n\n[SN]FIRST-SENTENCE[SN]\nFirst {0}.\n\n" \
          "[SN]RESTBODY[SN]\nShare this with\nRest [of] it.\nMore {0}.\n"
tgz("xsum/XSUM-EMNLP18-Summary-Data-Original.tar.gz",
    {f"bbc-summary-data/{i}.summary": article.format(i) for i in range(1, 6)})
with open("xsum/XSum-TRAINING-DEV-TEST-SPLIT-90-5-5.json", "w") as file:
    json.dump({"train": ["1", "4"], "validation": ["3"], "test": ["2"]}, file)
tgz("wmt16-en-ro/training-parallel-ep-v8.tgz",
    {"training-parallel-ep-v8/europarl-v8.ro-en.ro": "unu\n", "europarl-v8.fi-en.en": "no\n",
     "training-parallel-ep-v8/europarl-v8.ro-en.en": "one\n"})
with zipfile.ZipFile("wmt16-en-ro/setimes-en-ro.txt.zip", "w") as file:
    file.writestr("SETIMES.en-ro.en", "two\n")
    file.writestr("SETIMES.en-ro.ro", "doi\n")
seg = "<doc docid='d'><seg id='1'>{}</seg></doc>"
for part, name in (("dev", "newsdev2016"), ("test", "newstest2016")):
    tgz(f"wmt16-en-ro/{part}.tgz", {f"{part}/{name}-enro-src.en.sgm": seg.format("cat"),
                                    f"{part}/{name}-enro-ref.ro.sgm": seg.format("pisica")})
for archive, task, parts in (("CoLA", "CoLA", ""), ("SST-2", "SST-2", ""), ("STS-B", "STS-B", ""),
                             ("QQP-clean", "QQP", ""), ("QNLIv2", "QNLI", ""), ("RTE", "RTE", ""),
                             ("WNLI", "WNLI", ""), ("MNLI", "MNLI", "_matched _mismatched")):
    with zipfile.ZipFile(f"glue/{archive}.zip", "w") as file:
        for part in ["train", *("dev" + kind for kind in parts.split(" "))]:
            file.writestr(f"{task}/{part}.tsv", f"x\t1\t\t{task} {part}.\n")
            file.writestr(f"__MACOSX/{task}/._{part}.tsv", "no")
rows = "".join(f"{i % 2}\t{i}\t{i + 10}\tA \" {i}\tB\r\n" for i in range(5))
for part in ("train", "test"):
    with open(f"glue/msr_paraphrase_{part}.txt", "wb") as file:
        text = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n" + rows
        file.write(text.encode())
with open("glue/mrpc_dev_ids.tsv", "w") as file:
    file.write("1\t11\n3\t13\n")
for task in ("BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC"):
    with zipfile.ZipFile(f"superglue/{task}.zip", "w") as file:
        for part in ("train", "val", "test"):
            file.writestr(f"{task}/{part}.jsonl", json.dumps({"question": part, "passage": task,
                                                             "label": True}) + "\n")
)";

struct Server {
  Temporary files;
  std::string mirror;
  pid_t pid = 0;
  Server() {
    files.file("server.py", kServer);
    std::string start = "cd " + files.folder + " && { python3 server.py >log 2>&1 & }";
    if (std::system(start.c_str()) != 0) return;
    for (int i = 0; i < 100 && !std::filesystem::exists(files.folder + "port"); i++)
      if (std::system("sleep 0.1") != 0) break;
    std::vector<std::string> port = read_lines(files.folder + "port");
    mirror = "no_proxy=127.0.0.1 RETORT_MIRROR=http://127.0.0.1:" + port.at(0),
    pid = std::stoi(port.at(1));
  }
  ~Server() { stop(); }
  void stop() {
    if (pid) ::kill(pid, SIGTERM);
    pid = 0;
  }
};

}  // namespace

TEST_CASE("data/get downloads, pins and checks; what goes wrong leaves nothing") {
  if (!have("python3")) return skipped("data/get downloads", "needs python3");
  Server server;
  Temporary t;
  std::string sets = t.folder + "sets", name = "commonsense-dialogues ";
  std::filesystem::create_directory(server.files.folder + "commonsense-dialogues");
  for (const char* part : {"train", "valid", "test"})
    server.files.file("commonsense-dialogues/" + std::string(part) + ".json",
                      "{\"1\": {\"context\": \"c\", \"turns\": [\"a\", \"b\"]}}");
  auto [status, log] = get(t.folder, name + sets, server.mirror);
  INFO(log);
  REQUIRE(status == 0);
  std::string pin = sets + "/commonsense-dialogues.sha256",
              json = "/commonsense-dialogues/valid.json";
  CHECK_THAT(log, Contains("44 bytes, SHA-256 ") && Contains("sizes and SHA-256 are in " + pin));
  CHECK(read_lines(pin).size() == 3);
  CHECK_THAT(read_lines(pin)[1], Contains("  44  valid.json"));
  CHECK(read_corpus({.format = "commonsense_dialogues", .paths = {sets + json}}).examples.size() ==
        1);
  CHECK_THAT(get(t.folder, name + sets, server.mirror).second, Contains("is there already"));

  auto fails = [&](const std::string& before, const std::string& why) {
    std::filesystem::remove_all(sets + "/commonsense-dialogues");
    auto [status, log] = get(t.folder, name + sets, before);
    CHECK(status == 1);
    CHECK_THAT(log, Contains(why));
    CHECK_THAT(log, !Contains("Traceback"));
    size_t left = 0;
    for ([[maybe_unused]] auto& entry : std::filesystem::directory_iterator(sets)) left++;
    CHECK(left == 1);  // the pins
  };
  server.files.file(json.substr(1), "{\"2\": {\"context\": \"c\", \"turns\": [\"a\", \"b\"]}}");
  fails(server.mirror, "valid.json: SHA-256 ");
  fails(server.mirror, "the file is damaged or was changed by its publisher: remove its line");
  server.files.file(json.substr(1) + ".cut", "");
  fails(server.mirror, "valid.json: broke off after 22 of 44 bytes; call it again");
  std::filesystem::remove(server.files.folder + json.substr(1));
  fails(server.mirror, "valid.json: the server says 404 File not found");
  server.files.file("commonsense-dialogues/train.json", std::string(10000, ' '));
  fails("ulimit -f 4;" + server.mirror, "File too large");
  server.stop();
  fails(server.mirror, "cannot be reached ([Errno 111] Connection refused); is there a network");
}

TEST_CASE("data/get unpacks what the publishers pack") {
  if (!have("python3")) return skipped("data/get archives", "needs python3");
  Server server;
  Temporary t;
  server.files.file("archives.py", kArchives);
  std::string sets = t.folder + "sets/";
  REQUIRE(std::system(("cd " + server.files.folder + " && python3 archives.py").c_str()) == 0);
  for (const char* name : {"webnlg", "xsum", "wmt16-en-ro", "glue", "superglue", "wikitext-2"}) {
    auto [status, log] = get(t.folder, name + (" " + sets), server.mirror);
    INFO(log);
    REQUIRE(status == 0);
  }
  Corpus corpus = read_corpus({.format = "webnlg", .paths = {sets + "webnlg/dev"}});
  REQUIRE(corpus.examples.size() == 1);
  CHECK(corpus.examples[0].target == "dev");
  corpus = read_corpus({.format = "xsum", .paths = {sets + "xsum/train.jsonl.gz"}});
  REQUIRE(corpus.examples.size() == 2);
  CHECK(corpus.examples[1].source == "Rest [of] it. More 4.");
  CHECK(corpus.examples[1].target == "First 4.");
  CHECK(read_lines(sets + "xsum/valid.jsonl.gz").size() == 1);
  std::string wmt = sets + "wmt16-en-ro/", test = wmt + "newstest2016-enro-";
  corpus = read_corpus({.format = "parallel", .paths = {wmt + "train.en", wmt + "train.ro"}});
  REQUIRE(corpus.examples.size() == 2);
  CHECK(corpus.examples[1].target == "doi");
  corpus = read_corpus({.format = "wmt_sgm", .paths = {test + "src.en.sgm", test + "ref.ro.sgm"}});
  CHECK(corpus.examples[0].target == "pisica");
  corpus = read_corpus({.format = "glue:cola", .paths = {sets + "glue/CoLA/dev.tsv"}});
  CHECK(corpus.examples[0].source == "cola sentence: CoLA dev.");
  CHECK(read_lines(sets + "glue/MNLI/dev_mismatched.tsv")[0] == "x\t1\t\tMNLI dev_mismatched.");
  corpus = read_corpus({.format = "glue:mrpc", .paths = {sets + "glue/MRPC/dev.tsv"}});
  REQUIRE(corpus.examples.size() == 2);
  CHECK(corpus.examples[1].source == "mrpc sentence1: A \" 3 sentence2: B");
  CHECK(read_lines(sets + "glue/MRPC/train.tsv").size() == 4);
  corpus =
      read_corpus({.format = "superglue:boolq", .paths = {sets + "superglue/BoolQ/val.jsonl"}});
  CHECK(corpus.examples[0].source == "boolq passage: BoolQ question: val");

  corpus = read_corpus({.format = "text", .paths = {sets + "wikitext-2/valid.txt"}});
  REQUIRE(corpus.examples.size() == 2);
  CHECK(corpus.examples[1].target == " A lobster . ");

  std::filesystem::remove_all(sets + "xsum");
  std::filesystem::remove(sets + "xsum.sha256");
  std::filesystem::path archive =
      server.files.folder + "xsum/XSUM-EMNLP18-Summary-Data-Original.tar.gz";
  std::filesystem::resize_file(archive, std::filesystem::file_size(archive) / 2);
  auto [status, log] = get(t.folder, "xsum " + sets, server.mirror);
  CHECK(status == 1);
  CHECK_THAT(log, Contains("xsum: what was downloaded cannot be unpacked"));
  CHECK(!std::filesystem::exists(sets + "xsum"));
  CHECK(!std::filesystem::exists(sets + "xsum.sha256"));
}

TEST_CASE("data/get debian-synopsis pairs descriptions with synopses, split by source") {
  if (!have("python3") || !std::filesystem::exists("/usr/lib/apt/apt-helper"))
    return skipped("data/get debian-synopsis", "needs python3 and apt");
  Temporary t;
  std::string packages, texts, body;
  for (int i = 0; i < 25; i++) body += " word" + std::to_string(i) + (i % 5 ? "" : "\n .\n");
  auto add = [&](const std::string& name, const std::string& source, const std::string& text) {
    packages += "Package: " + name + "\nSource: " + source + " (1.0)\nDescription-md5: m" + name +
                "\nDepends: a,\n b\nSection: misc\n\n";
    texts += "Package: " + name + "\nDescription-md5: m" + name + "\nDescription-en: synopsis of " +
             name + "\n" + text + "\n\n";
  };
  for (int i = 100; i < 400; i++) {
    std::string name = "p" + std::to_string(i), source = "s" + std::to_string(i);
    add(name, source, " about " + name + "\n" + body);
    add(name + "-doc", source, " on " + name + "\n" + body);
  }
  add("a-short", "s1", " too short");
  add("a-twin", "s1", " about p100\n" + body);
  add("long", "s1", body + body + body + body + body + body + body);
  t.file("Packages", packages);
  t.file("Translation-en", texts);
  t.file("apt-get", "#!/bin/sh\necho \"Packages " + t.folder + "Packages\"\necho \"Translations " +
                        t.folder + "Translation-en\"\n");
  std::filesystem::permissions(t.folder + "apt-get", std::filesystem::perms::owner_all);
  auto [status, log] = get(t.folder, "debian-synopsis " + t.folder + "sets");
  INFO(log);
  REQUIRE(status == 0);
  CHECK_THAT(log, Contains("1 over 150 words, 1 the same description again, 1 under 20 words"));
  std::map<std::string, int> part_of;  // by the number of the package, which its source shares
  for (int part : {0, 1, 2}) {
    const char* names[] = {"train", "valid", "test"};
    std::string path = t.folder + "sets/debian-synopsis/" + names[part] + ".jsonl.gz";
    Corpus corpus = read_corpus({.format = "xsum", .paths = {path}});
    for (const Example& example : corpus.examples) {
      size_t at = example.target.find_first_of("0123456789");
      std::string number = at == std::string::npos ? "twin" : example.target.substr(at, 3);
      CHECK(part_of.emplace(number, part).first->second == part);
      CHECK(words_of(example.source).size() == 27);
    }
  }
  CHECK(part_of.size() == 301);
  std::tie(status, log) = get(t.folder, "debian-descriptions " + t.folder + "sets");
  INFO(log);
  REQUIRE(status == 0);
  for (std::string part : {"train", "valid", "test"}) {
    std::string sets = t.folder + "sets/debian-", name = "/" + part;
    Corpus pairs =
               read_corpus({.format = "xsum", .paths = {sets + "synopsis" + name + ".jsonl.gz"}}),
           text =
               read_corpus({.format = "text", .paths = {sets + "descriptions" + name + ".txt.gz"}});
    REQUIRE(text.examples.size() == pairs.examples.size());
    CHECK(text.examples.back().target == pairs.examples.back().source);
  }
  t.file("apt-get",
         "#!/bin/sh\ncase \"$*\" in *update*) echo 'E: no network' >&2; exit 100;; esac\n");
  std::tie(status, log) = get(t.folder, "debian-synopsis " + t.folder + "other");
  CHECK(status == 1);
  CHECK_THAT(log, Contains("apt-get update: no network; is there a network connection"));
  CHECK(std::filesystem::is_empty(t.folder + "other"));
}
