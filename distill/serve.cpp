#include "distill/serve.h"

// What Debian's library is built with; the classes' layout depends on it.
#define CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_ZLIB_SUPPORT
#define CPPHTTPLIB_BROTLI_SUPPORT
#include <fmt/core.h>
#include <httplib.h>

#include <mutex>

#include "distill/page.h"

namespace retort {

void serve(const std::vector<std::string>& folders, int port) {
  std::mutex one;  // request at a time: they share the cache
  PageCache cache;
  auto page = [&] {
    std::lock_guard lock(one);
    Json j = page_of(folders, {}, &cache);
    j["watch"] = true;
    return j;
  };
  page();  // what is wrong with the folders is said at once
  httplib::Server server;
  server.Get("/", [&](const httplib::Request&, httplib::Response& response) {
    response.set_content(html_of(page()), "text/html; charset=utf-8");
  });
  server.Get("/page.json", [&](const httplib::Request&, httplib::Response& response) {
    response.set_content(script_safe(page()), "application/json");
  });
  server.set_socket_options([](int socket) {  // the library's own would share a port that is taken
    int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.set_default_headers({{"Cache-Control", "no-store"}});
  const char* host = "127.0.0.1";
  if (port == 0)
    port = server.bind_to_any_port(host);
  else if (!server.bind_to_port(host, port))
    port = -1;
  if (port < 0)
    throw std::runtime_error("--port: it is taken, or may not be used; choose another, or 0");
  fmt::print("http://{}:{}/  (Ctrl-C ends it)\n", host, port);
  std::fflush(stdout);
  server.listen_after_bind();
}

}  // namespace retort
