#include "tests/e2e/support/http_server.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

namespace skiff::e2e {

int FreePort() {
  const Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(probe.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  return ntohs(address.sin_port);
}

HttpServer::HttpServer(std::function<ServerAnswer(const ServerRequest&)> handler)
    : handler_(std::move(handler)),
      listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener_.get(), name, size), 0);
  EXPECT_EQ(::listen(listener_.get(), 64), 0);
  EXPECT_EQ(::getsockname(listener_.get(), name, &size), 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

HttpServer::~HttpServer() {
  const uint64_t one = 1;
  EXPECT_EQ(::write(stop_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  thread_.join();
}

std::vector<std::string> HttpServer::requests() {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::Serve() {
  while (true) {
    pollfd waits[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0) continue;
    if (waits[1].revents != 0) return;
    const Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) Answer(connection);
  }
}

void HttpServer::Answer(const Fd& connection) {
  std::string head;
  char byte = 0;
  while (!head.ends_with("\r\n\r\n")) {
    if (::recv(connection.get(), &byte, 1, 0) != 1) return;
    head += byte;
    if (head[0] == 0x16) return;  // Somebody tries TLS.
  }
  ServerRequest request;
  std::istringstream lines(head);
  std::string line;
  std::getline(lines, line);
  std::istringstream(line) >> request.method >> request.target;
  while (std::getline(lines, line) && line != "\r") {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    request.headers[name] = line.substr(colon + 2, line.size() - colon - 3);
  }
  if (const std::string length = request.Header("content-length"); !length.empty()) {
    request.body.resize(std::stoul(length));
    for (size_t got = 0; got < request.body.size();) {
      const ssize_t count = ::recv(connection.get(), request.body.data() + got,
                                   request.body.size() - got, 0);
      if (count <= 0) return;
      got += static_cast<size_t>(count);
    }
  }
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request.method + " " + request.target);
  }
  const ServerAnswer answer = handler_(request);
  if (answer.status == 0) return;
  std::string out = "HTTP/1.1 " + std::to_string(answer.status) + " X\r\nConnection: close\r\n";
  out += "Content-Length: " + std::to_string(answer.body.size()) + "\r\n";
  for (const std::string& header : answer.headers) out += header + "\r\n";
  out += "\r\n";
  if (request.method != "HEAD") out += answer.body.substr(0, answer.cut);
  for (size_t sent = 0; sent < out.size();) {
    const ssize_t count =
        ::send(connection.get(), out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return;
    sent += static_cast<size_t>(count);
  }
  ::shutdown(connection.get(), SHUT_WR);
  // Until the other side has seen it: an early close would take the end of the answer along.
  char rest[4096];
  while (::recv(connection.get(), rest, sizeof(rest), 0) > 0) {
  }
}

}  // namespace skiff::e2e
