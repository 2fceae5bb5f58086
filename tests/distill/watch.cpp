// retort watch: whom it answers, and what it says when the run's folder goes away.
#define CPPHTTPLIB_OPENSSL_SUPPORT  // as Debian's library is built
#define CPPHTTPLIB_ZLIB_SUPPORT
#define CPPHTTPLIB_BROTLI_SUPPORT
#include <httplib.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "tests/distill/made_runs.h"
#include "tests/distill/program.h"

using namespace retort;
using Catch::Contains;

namespace {

// The program that serves a run, on a free port, stopped at the end.
struct Watch {
  explicit Watch(const std::string& run)
      : out(popen(
            ("echo $$; exec " + std::string(program()) + " watch " + run + " --port 0").c_str(),
            "r")) {
    int read = std::fscanf(out, "%d http://127.0.0.1:%d/", &process, &port);
    if (read != 2) throw std::runtime_error("watch: no address");
  }
  ~Watch() {
    ::kill(process, SIGTERM);
    pclose(out);
  }
  httplib::Response get(const std::string& host, const std::string& path = "/") const {
    httplib::Client client("127.0.0.1", port);
    httplib::Result result = client.Get(path, {{"Host", host}});
    if (!result) throw std::runtime_error("watch: no answer");
    return *result;
  }
  std::string own() const { return "127.0.0.1:" + std::to_string(port); }
  FILE* out;
  int process = 0, port = 0;
};

}  // namespace

TEST_CASE("watch: only this machine's own names are answered") {
  Runs runs;
  runs.write("run", results("kl", 1, {0.5, 0.25}));
  Watch watch(runs("run"));
  std::string port = ":" + std::to_string(watch.port);
  for (const char* name : {"127.0.0.1", "localhost", "[::1]"}) {
    httplib::Response r = watch.get(name + port);
    CHECK(r.status == 200);
    CHECK(data_in(r.body)["runs"][0]["label"] == "run");
    CHECK(watch.get(name + port, "/page.json").status == 200);
  }
  for (const std::string& host :
       {"rebound.example" + port, std::string("rebound.example"), std::string("127.0.0.1"),
        std::string("localhost:1"), "localhost.rebound.example" + port, "127.0.0.1" + port + "0"})
    for (const char* path : {"/", "/page.json", "/none"}) {
      INFO(host);
      httplib::Response r = watch.get(host, path);
      CHECK(r.status == 403);
      CHECK(r.body == "This page is served at http://127.0.0.1" + port + "/ alone.\n");
    }
}

TEST_CASE("watch: a folder that goes away is one line, and the page is back when it is") {
  Runs runs;
  runs.write("run", results("kl", 1, {0.5, 0.25}));
  Watch watch(runs("run"));
  std::filesystem::rename(runs("run"), runs("away"));
  for (const char* path : {"/", "/page.json"}) {
    httplib::Response r = watch.get(watch.own(), path);
    CHECK(r.status == 500);
    CHECK(r.body == runs("run") + ": no such folder; give the output of a `retort run`\n");
    CHECK(r.get_header_value("Content-Type") == "text/plain; charset=utf-8");
  }
  std::filesystem::rename(runs("away"), runs("run"));
  CHECK(watch.get(watch.own()).status == 200);
}
