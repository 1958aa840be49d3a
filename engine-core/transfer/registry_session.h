#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "engine-core/transfer/auth_challenge.h"
#include "engine-core/transfer/http_client.h"
#include "engine-core/transfer/registry_protocol.h"

namespace skiff::engine::transfer {

// One repository of one registry (reference/engine 5.4): finds out how to reach it, gets tokens,
// tries again what is worth it. Runs inside skiff-transfer.
class RegistrySession {
 public:
  // `wait(milliseconds)` is false when nobody wants the result any more.
  RegistrySession(RegistryOpening opening, std::function<bool(int)> wait);

  // `fd`: the descriptor that came with the request, -1 for none.
  Result<RegistryAnswer> Do(const RegistryRequest& request, int fd,
                            const std::function<void(int64_t)>& progress);

 private:
  Status Connect();
  Result<bool> TryBase(const std::string& base, bool verify);
  std::string Url(const std::string& path) const;
  // With authorization, a new one after 401, and patience with an overloaded registry.
  Result<HttpAnswer> Send(HttpRequest request);
  Result<HttpAnswer> SendOnce(HttpRequest& request);
  Status Authorize(const AuthChallenge& challenge);
  Status FetchToken(const AuthChallenge& challenge);
  Status ReadToken(const HttpAnswer& answer);
  tl::unexpected<Error> Refused(const HttpAnswer& answer, const std::string& what) const;

  Result<RegistryAnswer> Ping();
  Result<RegistryAnswer> GetManifest(const RegistryRequest& request, int fd);
  Result<RegistryAnswer> FetchBlob(const RegistryRequest& request, int fd,
                                   const std::function<void(int64_t)>& progress);
  Result<RegistryAnswer> HasBlob(const RegistryRequest& request);
  Result<RegistryAnswer> MountBlob(const RegistryRequest& request);
  // Of a pipe (`once`) there is one attempt: when it fails in a way that says nothing against a
  // second one, or that cannot be told apart, the answer is that the blob is not found there.
  Result<RegistryAnswer> PutBlob(const RegistryRequest& request, int fd,
                                 const std::function<void(int64_t)>& progress);
  Result<RegistryAnswer> PutManifest(const RegistryRequest& request, int fd);
  Result<RegistryAnswer> Download(const RegistryRequest& request, int fd,
                                  const std::function<void(int64_t)>& progress);

  RegistryOpening opening_;
  std::function<bool(int)> wait_;
  HttpClient http_;
  std::string base_;
  bool verify_ = true;
  bool wants_identity_ = false;
  std::string authorization_;
  std::string token_;
  std::string identity_token_;
};

// Seconds of a Retry-After header: a number, or a date after `now` (seconds since the epoch);
// -1 when it says nothing.
int64_t RetryAfterSeconds(const std::string& header, int64_t now);
// The messages of a registry's error document: "CODE: message", "" when it is none.
std::string RegistryErrorText(const std::string& body);

}  // namespace skiff::engine::transfer
