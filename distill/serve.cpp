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
namespace {

// Whether a request asks for this machine by a name of its own. A name that a stranger's page made
// to point here is not one: its script would read the runs (DNS rebinding).
bool is_own(const std::string& host, int port) {
  for (std::string name : {"127.0.0.1", "localhost", "[::1]"})
    if (host == fmt::format("{}:{}", name, port) || (port == 80 && host == name)) return true;
  return false;
}

}  // namespace

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
  server.set_pre_routing_handler([&](const httplib::Request& request, httplib::Response& response) {
    if (is_own(request.get_header_value("Host"), port))
      return httplib::Server::HandlerResponse::Unhandled;
    response.status = 403;
    response.set_content(fmt::format("This page is served at http://127.0.0.1:{}/ alone.\n", port),
                         "text/plain; charset=utf-8");
    return httplib::Server::HandlerResponse::Handled;
  });
  server.set_exception_handler(
      [](const httplib::Request&, httplib::Response& response, std::exception_ptr thrown) {
        try {
          std::rethrow_exception(thrown);
        } catch (const std::exception& e) {
          response.set_content(std::string(e.what()) + "\n", "text/plain; charset=utf-8");
        }
        response.status = 500;
      });
  server.set_socket_options([](int socket) {  // the library's own would share a port that is taken
    int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.set_default_headers(
      {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
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
