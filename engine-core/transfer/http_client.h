#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine-core/images.h"

namespace skiff::engine::transfer {

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  // "Accept: x"
  std::string authorization;         // Never follows a redirect to another host.
  bool follow = false;               // Redirects, of GET and HEAD.
  bool verify = true;                // The certificate.
  std::string body;
  // Instead of `body`: `size` bytes from the start of the descriptor; `once`: from a pipe, which
  // cannot be sent a second time.
  int body_fd = -1;
  int64_t size = -1;
  bool once = false;
  // Gets the bytes of an answer of status 2xx; false stops the transfer. Without it they are kept.
  std::function<bool(int status, std::string_view)> sink;
  // Bytes sent or received so far.
  std::function<void(int64_t)> progress;
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // Names in lower case; the last one counts.
  std::string body;                            // At most kMaximumBody bytes.
  bool stopped = false;                        // By the sink.
  std::string Header(const std::string& name) const {
    const auto it = headers.find(name);
    return it == headers.end() ? "" : it->second;
  }
};

inline constexpr size_t kMaximumBody = 5u << 20;

// One connection's worth of libcurl, kept alive between requests. Only http and https.
class HttpClient {
 public:
  explicit HttpClient(const RegistrySettings& settings);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // kUnavailable: nobody there, TLS that does not hold, a transfer that broke off or stalled.
  // `secure_failed` becomes true when it was TLS that failed.
  Result<HttpAnswer> Do(const HttpRequest& request, bool* secure_failed = nullptr);

 private:
  struct Curl;
  RegistrySettings settings_;
  std::unique_ptr<Curl> curl_;
};

}  // namespace skiff::engine::transfer
