#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"

// A small HTTP server within the test, for registries that misbehave, token servers and proxies.
namespace skiff::e2e {

// A port of loopback that nobody has just now.
int FreePort();

struct ServerRequest {
  std::string method;
  std::string target;                          // As it came: "/v2/?x=y" or a whole URL.
  std::map<std::string, std::string> headers;  // Names in lower case.
  std::string body;                            // As long as Content-Length says.
  std::string Header(const std::string& name) const {
    const auto it = headers.find(name);
    return it == headers.end() ? "" : it->second;
  }
};

struct ServerAnswer {
  int status = 200;  // 0: the connection breaks instead.
  std::vector<std::string> headers = {};  // "Name: value"
  std::string body = {};
  // The connection breaks after so many bytes of the body.
  size_t cut = std::string::npos;
};

// One request per connection, each in turn.
class HttpServer {
 public:
  explicit HttpServer(std::function<ServerAnswer(const ServerRequest&)> handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
  // "GET /v2/", in the order they came.
  std::vector<std::string> requests();

 private:
  void Serve();
  void Answer(const Fd& connection);

  std::function<ServerAnswer(const ServerRequest&)> handler_;
  Fd listener_;
  Fd stop_;
  int port_ = 0;
  std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace skiff::e2e
