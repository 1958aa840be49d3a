#include "engine-core/transfer/registry_session.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/identity.h"
#include "base/text.h"
#include "engine-core/transfer/blob_download.h"

namespace skiff::engine::transfer {
namespace {

using Json = nlohmann::json;

constexpr const char* kDockerHub = "registry-1.docker.io";
constexpr size_t kMaximumManifestBody = 4u << 20;
constexpr int kAttempts = 4;
constexpr int64_t kPatienceSeconds = 60;
constexpr const char* kManifestTypes =
    "Accept: application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

std::string Base64(std::string_view bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0);
    }
    for (size_t j = 0; j < 4; ++j) {
      out += j <= count ? kDigits[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

std::string UrlEncoded(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

// "https://host:port"
std::string OriginOf(const std::string& url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return "";
  return url.substr(0, url.find('/', scheme + 3));
}

bool IsTransient(int status) {
  return status == 429 || status == 408 || (status >= 500 && status != 501);
}

}  // namespace

int64_t RetryAfterSeconds(const std::string& header, int64_t now) {
  if (header.empty()) return -1;
  if (const auto seconds = ParseNumber<int64_t>(header)) return std::max<int64_t>(*seconds, 0);
  tm date{};
  if (::strptime(header.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date) == nullptr) return -1;
  return std::max<int64_t>(::timegm(&date) - now, 0);
}

std::string RegistryErrorText(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return "";
  std::string text;
  const auto text_of = [](const Json& in, const char* key) {
    const auto it = in.find(key);
    return it != in.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  const auto errors = json.find("errors");
  if (errors == json.end() || !errors->is_array()) return text_of(json, "details");
  for (const Json& error : *errors) {
    if (!error.is_object()) continue;
    std::string code = text_of(error, "code");
    std::ranges::transform(code, code.begin(), [](char c) {
      if (c == '_') return ' ';
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    const std::string message = text_of(error, "message");
    text += (text.empty() ? "" : "; ") + code + (message.empty() ? "" : ": " + message);
  }
  return text;
}

RegistrySession::RegistrySession(RegistryOpening opening, std::function<bool(int)> wait)
    : opening_(std::move(opening)), wait_(std::move(wait)), http_(opening_.access.settings) {
  const Credentials& credentials = opening_.access.credentials;
  token_ = credentials.registry_token.empty() ? opening_.token : credentials.registry_token;
  if (!token_.empty()) authorization_ = "Bearer " + token_;
}

std::string RegistrySession::Url(const std::string& path) const {
  return base_ + "/v2/" + (opening_.repository.empty() ? "" : opening_.repository + "/") + path;
}

// True when something answers there as a registry does.
Result<bool> RegistrySession::TryBase(const std::string& base, bool verify) {
  HttpRequest request;
  request.url = base + "/v2/";
  request.verify = verify;
  request.authorization = authorization_;
  bool secure_failed = false;
  const auto answer = http_.Do(request, &secure_failed);
  if (!answer) {
    if (opening_.access.settings.insecure) return false;
    if (!secure_failed) return Fail(answer.error());
    return Fail(Error(answer.error())
                    .With("a registry without TLS, or with a certificate of its own, has to be named "
                          "in \"insecure-registries\", or its authority kept in certs.d"));
  }
  base_ = base;
  verify_ = verify;
  // 401 tells how to ask for access: done ahead, so that no body is sent in vain.
  if (answer->status == 401 && authorization_.empty()) {
    SKIFF_TRY(Authorize(ParseAuthChallenge(answer->Header("www-authenticate"))));
  }
  return true;
}

Status RegistrySession::Connect() {
  if (!base_.empty()) return {};
  std::string host = opening_.host;
  while (host.ends_with('/')) host.pop_back();
  if (host.starts_with("http://") || host.starts_with("https://")) {
    SKIFF_ASSIGN(const bool there, TryBase(host, !opening_.access.settings.insecure));
    if (there) return {};
    return Fail(Code::kUnavailable, "nobody answers at " + host);
  }
  if (host == "docker.io") host = kDockerHub;
  SKIFF_ASSIGN(const bool secure, TryBase("https://" + host, true));
  if (secure) return {};
  // Only insecure ones come here.
  SKIFF_ASSIGN(const bool unverified, TryBase("https://" + host, false));
  if (unverified) return {};
  opening_.access.settings.insecure = false;  // The last chance tells what is wrong.
  SKIFF_ASSIGN(const bool plain, TryBase("http://" + host, true));
  static_cast<void>(plain);
  return {};
}

Status RegistrySession::ReadToken(const HttpAnswer& answer) {
  const Json json = Json::parse(answer.body, nullptr, false);
  if (!json.is_object()) return Fail(Code::kUnavailable, "the token server's answer is no object");
  const auto text_of = [&](const char* key) {
    const auto it = json.find(key);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  token_ = text_of("token");
  if (token_.empty()) token_ = text_of("access_token");
  if (token_.empty()) return Fail(Code::kUnavailable, "the token server gave no token");
  if (token_.find_first_of("\r\n") != std::string::npos) {
    return Fail(Code::kUnavailable, "the token server's token is malformed");
  }
  identity_token_ = text_of("refresh_token");
  authorization_ = "Bearer " + token_;
  return {};
}

Status RegistrySession::FetchToken(const AuthChallenge& challenge) {
  const std::string realm = challenge.Parameter("realm");
  const bool open = realm.starts_with("http://") && base_.starts_with("http://");
  if (!realm.starts_with("https://") && !open) {
    return Fail(Code::kUnavailable, "the registry names '" + realm + "' as its token server");
  }
  const Credentials& credentials = opening_.access.credentials;
  std::vector<std::string> scopes;
  if (!opening_.repository.empty()) {
    scopes.push_back("repository:" + opening_.repository + (opening_.push ? ":pull,push" : ":pull"));
  }
  if (!opening_.from.empty()) scopes.push_back("repository:" + opening_.from + ":pull");
  std::string query = "service=" + UrlEncoded(challenge.Parameter("service"));
  HttpRequest request;
  request.verify = verify_;
  if (!credentials.identity_token.empty()) {
    request.method = "POST";
    request.url = realm;
    request.headers = {"Content-Type: application/x-www-form-urlencoded"};
    request.body = "grant_type=refresh_token&client_id=docker&" + query + "&scope=" +
                   UrlEncoded(Join(scopes, " ")) +
                   "&refresh_token=" + UrlEncoded(credentials.identity_token);
  } else {
    for (const std::string& scope : scopes) query += "&scope=" + UrlEncoded(scope);
    if (!credentials.username.empty()) {
      query += "&account=" + UrlEncoded(credentials.username);
      if (wants_identity_) query += "&offline_token=true&client_id=docker";
      request.authorization = "Basic " + Base64(credentials.username + ":" + credentials.password);
    }
    request.url = realm + (realm.find('?') == std::string::npos ? "?" : "&") + query;
  }
  SKIFF_ASSIGN(const HttpAnswer answer, http_.Do(request));
  if (answer.status != 200) return Refused(answer, "cannot get a token");
  return ReadToken(answer);
}

Status RegistrySession::Authorize(const AuthChallenge& challenge) {
  const Credentials& credentials = opening_.access.credentials;
  authorization_.clear();
  if (challenge.scheme == "bearer") return FetchToken(challenge);
  if (challenge.scheme == "basic") {
    if (credentials.username.empty()) {
      return Fail(Error(Code::kPermissionDenied, "no basic auth credentials")
                      .With("log in first: skiff docker login " + opening_.host));
    }
    authorization_ = "Basic " + Base64(credentials.username + ":" + credentials.password);
    return {};
  }
  return Fail(Code::kPermissionDenied, "unauthorized: authentication required");
}

Result<HttpAnswer> RegistrySession::SendOnce(HttpRequest& request) {
  request.verify = verify_;
  // A token is for the registry, not for whom it sends us to.
  const bool own = OriginOf(request.url) == OriginOf(base_);
  request.authorization = own ? authorization_ : "";
  SKIFF_ASSIGN(HttpAnswer answer, http_.Do(request));
  if (answer.status != 401 || !own) return answer;
  // An old token, or one for less than this takes.
  const AuthChallenge challenge = ParseAuthChallenge(answer.Header("www-authenticate"));
  const std::string before = authorization_;
  SKIFF_TRY(Authorize(challenge));
  if (challenge.scheme == "basic" && authorization_ == before) return answer;
  if (request.once) return answer;
  request.authorization = authorization_;
  return http_.Do(request);
}

Result<HttpAnswer> RegistrySession::Send(HttpRequest request) {
  for (int attempt = 1;; ++attempt) {
    auto answer = SendOnce(request);
    const bool broken = !answer && answer.error().code == Code::kUnavailable;
    if (!broken && (!answer || !IsTransient(answer->status))) return answer;
    if (attempt == kAttempts) return answer;
    int64_t seconds = attempt * 2 - 1;
    if (answer) {
      const int64_t asked = RetryAfterSeconds(answer->Header("retry-after"), ::time(nullptr));
      if (asked > kPatienceSeconds) return answer;
      if (asked >= 0) seconds = asked;
      if (asked < 0 && answer->status == 429) return answer;
    }
    if (!wait_(static_cast<int>(seconds * 1000))) return Fail(Code::kCancelled, "cancelled");
  }
}

tl::unexpected<Error> RegistrySession::Refused(const HttpAnswer& answer,
                                               const std::string& what) const {
  const std::string said = RegistryErrorText(answer.body);
  const std::string text = said.empty() ? "the registry answered with status " +
                                              std::to_string(answer.status)
                                        : said;
  switch (answer.status) {
    case 401:
    case 403: {
      const bool login = opening_.repository.empty();
      return Fail(Error(Code::kPermissionDenied,
                        login ? what + ": " + text
                              : (opening_.push ? "push" : "pull") + std::string(" access denied for ") +
                                    opening_.repository +
                                    ", repository does not exist or may require 'docker login': " +
                                    text));
    }
    case 404:
      return Fail(Code::kNotFound, what + ": " + text);
    case 429: {
      const int64_t seconds =
          RetryAfterSeconds(answer.Header("retry-after"), ::time(nullptr));
      Error error(Code::kUnavailable, "toomanyrequests: " + (said.empty() ? "too many requests" : said));
      if (seconds < 0) return Fail(std::move(error));
      return Fail(std::move(error).With("the registry asks to wait " + std::to_string(seconds) +
                                        " seconds"));
    }
    default:
      return Fail(Code::kUnavailable, what + ": " + text);
  }
}

Result<RegistryAnswer> RegistrySession::Ping() {
  wants_identity_ = true;
  SKIFF_TRY(Connect());
  HttpRequest request;
  request.url = base_ + "/v2/";
  SKIFF_ASSIGN(const HttpAnswer answer, SendOnce(request));
  if (answer.status != 200) {
    return Fail(Code::kPermissionDenied, "login attempt to " + request.url +
                                             " failed with status: " +
                                             std::to_string(answer.status) +
                                             (answer.status == 401 ? " Unauthorized" : ""));
  }
  RegistryAnswer done;
  done.token = identity_token_;
  return done;
}

Result<RegistryAnswer> RegistrySession::GetManifest(const RegistryRequest& request, int fd) {
  HttpRequest get;
  get.url = Url("manifests/" + request.reference);
  get.headers = {kManifestTypes};
  get.follow = true;
  SKIFF_ASSIGN(const HttpAnswer answer, Send(get));
  if (answer.status == 404) {
    const std::string said = RegistryErrorText(answer.body);
    return Fail(Code::kNotFound, "manifest for " + opening_.repository +
                                     (request.reference.find(':') == std::string::npos ? ":" : "@") +
                                     request.reference + " not found" +
                                     (said.empty() ? "" : ": " + said));
  }
  if (answer.status != 200) return Refused(answer, "cannot get the manifest");
  if (answer.stopped || answer.body.size() > kMaximumManifestBody) {
    return Fail(Code::kExhausted, "the manifest is larger than 4 MiB");
  }
  RegistryAnswer done;
  done.digest = "sha256:" + Sha256Hex(answer.body);
  // One that was asked for by its digest must have it.
  const bool by_digest = request.reference.starts_with("sha256:");
  const std::string said = answer.Header("docker-content-digest");
  const std::string& expected = by_digest ? request.reference : said;
  if (expected.starts_with("sha256:") && expected != done.digest) {
    return Fail(Code::kCorrupted, "the manifest has the digest " + done.digest + ", not " + expected);
  }
  std::string_view type = answer.headers.contains("content-type")
                              ? std::string_view(answer.headers.at("content-type"))
                              : std::string_view();
  done.media_type = type.substr(0, type.find(';'));
  done.size = static_cast<int64_t>(answer.body.size());
  SKIFF_TRY(WriteAll(fd, answer.body, "the manifest"));
  return done;
}

Result<RegistryAnswer> RegistrySession::FetchBlob(const RegistryRequest& request, int fd,
                                                  const std::function<void(int64_t)>& progress) {
  SKIFF_ASSIGN(BlobDownload download, BlobDownload::Begin(fd, request.digest, request.size));
  for (int attempt = 1; !download.complete(); ++attempt) {
    const int64_t before = download.size();
    HttpRequest get;
    get.url = Url("blobs/" + request.digest);
    get.follow = true;
    const bool resumed = before > 0;
    if (resumed) get.headers = {"Range: bytes=" + std::to_string(before) + "-"};
    get.sink = [&](int status, std::string_view data) {
      const bool taken = download.Take(status, resumed, data);
      progress(download.size());
      return taken;
    };
    download.NextAnswer();
    const auto answer = SendOnce(get);
    SKIFF_TRY(download.status());
    if (answer && answer->status >= 400 && !IsTransient(answer->status)) {
      if (answer->status != 416) return Refused(*answer, "cannot get the blob " + request.digest);
      SKIFF_TRY(download.Restart());
    }
    if (!answer && answer.error().code != Code::kUnavailable) return Fail(answer.error());
    if (download.complete()) break;
    if (download.size() > before) attempt = 1;  // It gets on.
    if (attempt == kAttempts) {
      if (!answer) return Fail(answer.error());
      if (answer->status >= 400) return Refused(*answer, "cannot get the blob " + request.digest);
      return Fail(Code::kUnavailable, "the blob " + request.digest + " ends after " +
                                          std::to_string(download.size()) + " of " +
                                          std::to_string(request.size) + " bytes");
    }
    int64_t seconds = attempt - 1;
    if (answer && answer->status == 429) {
      seconds = RetryAfterSeconds(answer->Header("retry-after"), ::time(nullptr));
      if (seconds < 0 || seconds > kPatienceSeconds) return Refused(*answer, "cannot get a blob");
    }
    if (!wait_(static_cast<int>(seconds * 1000))) return Fail(Code::kCancelled, "cancelled");
  }
  SKIFF_TRY(download.Finish());
  return RegistryAnswer();
}

Result<RegistryAnswer> RegistrySession::HasBlob(const RegistryRequest& request) {
  HttpRequest head;
  head.method = "HEAD";
  head.url = Url("blobs/" + request.digest);
  head.follow = true;
  SKIFF_ASSIGN(const HttpAnswer answer, Send(head));
  if (answer.status == 401 || answer.status == 403) return Refused(answer, "cannot ask for a blob");
  RegistryAnswer done;
  done.found = answer.status == 200;
  return done;
}

Result<RegistryAnswer> RegistrySession::MountBlob(const RegistryRequest& request) {
  HttpRequest post;
  post.method = "POST";
  post.url = Url("blobs/uploads/?mount=" + UrlEncoded(request.digest) +
                 "&from=" + UrlEncoded(request.from));
  SKIFF_ASSIGN(const HttpAnswer answer, Send(post));
  // 202 opens an upload instead; it lapses by itself.
  RegistryAnswer done;
  done.found = answer.status == 201;
  return done;
}

Result<RegistryAnswer> RegistrySession::PutBlob(const RegistryRequest& request, int fd,
                                                const std::function<void(int64_t)>& progress) {
  for (int attempt = 1;; ++attempt) {
    HttpRequest post;
    post.method = "POST";
    post.url = Url("blobs/uploads/");
    SKIFF_ASSIGN(const HttpAnswer opened, Send(post));
    if (opened.status != 202) return Refused(opened, "cannot upload a blob");
    std::string location = opened.Header("location");
    if (location.empty()) return Fail(Code::kUnavailable, "the registry names no place to upload to");
    if (location.starts_with('/')) location = OriginOf(base_) + location;
    HttpRequest put;
    put.method = "PUT";
    put.url = location + (location.find('?') == std::string::npos ? "?" : "&") +
              "digest=" + UrlEncoded(request.digest);
    put.headers = {"Content-Type: application/octet-stream"};
    put.body_fd = fd;
    put.size = request.size;
    put.once = request.once;
    put.progress = progress;
    const auto answer = SendOnce(put);
    RegistryAnswer done;
    done.found = answer && answer->status == 201;
    if (done.found) return done;
    // What was wrong is told when it goes from a file.
    if (request.once) return done;
    const bool broken = answer ? IsTransient(answer->status)
                               : answer.error().code == Code::kUnavailable;
    if (!broken || attempt == kAttempts) {
      if (!answer) return Fail(answer.error());
      return Refused(*answer, "cannot upload the blob " + request.digest);
    }
    if (!wait_(attempt * 1000)) return Fail(Code::kCancelled, "cancelled");
  }
}

Result<RegistryAnswer> RegistrySession::PutManifest(const RegistryRequest& request, int fd) {
  HttpRequest put;
  put.method = "PUT";
  put.url = Url("manifests/" + request.reference);
  put.headers = {"Content-Type: " + request.media_type};
  SKIFF_ASSIGN(put.body, ReadAll(fd, kMaximumManifestBody, "the manifest"));
  SKIFF_ASSIGN(const HttpAnswer answer, Send(put));
  if (answer.status != 201) return Refused(answer, "cannot upload the manifest");
  RegistryAnswer done;
  done.digest = "sha256:" + Sha256Hex(put.body);
  const std::string said = answer.Header("docker-content-digest");
  if (said.starts_with("sha256:") && said != done.digest) {
    return Fail(Code::kCorrupted, "the registry took the manifest for " + said + ", not " + done.digest);
  }
  return done;
}

Result<RegistryAnswer> RegistrySession::Download(const RegistryRequest& request, int fd,
                                                 const std::function<void(int64_t)>& progress) {
  for (int attempt = 1;; ++attempt) {
    if (::ftruncate(fd, 0) != 0 || ::lseek(fd, 0, SEEK_SET) != 0) {
      return FailErrno("cannot write what is downloaded");
    }
    Sha256 hash;
    RegistryAnswer done;
    Status written;
    HttpRequest get;
    get.url = request.reference;
    get.follow = true;
    if (!request.etag.empty()) get.headers.push_back("If-None-Match: " + request.etag);
    if (!request.modified.empty()) get.headers.push_back("If-Modified-Since: " + request.modified);
    get.sink = [&](int, std::string_view data) {
      hash.Update(data);
      done.size += static_cast<int64_t>(data.size());
      written = WriteAll(fd, data, "what is downloaded");
      progress(done.size);
      return written.has_value();
    };
    const auto answer = http_.Do(get);
    SKIFF_TRY(written);
    const bool conditional = !request.etag.empty() || !request.modified.empty();
    if (answer && answer->status == 304 && conditional) return done;
    if (answer && answer->status >= 200 && answer->status < 300) {
      done.found = true;
      done.digest = "sha256:" + hash.FinishHex();
      done.etag = answer->Header("etag");
      done.modified = answer->Header("last-modified");
      return done;
    }
    // A server that is not there at all will not be there in a second.
    const bool broken = answer ? IsTransient(answer->status) : done.size > 0;
    if (!broken || attempt == kAttempts) {
      if (!answer) return Fail(answer.error());
      return Fail(answer->status == 404 ? Code::kNotFound : Code::kUnavailable,
                  "invalid response status " + std::to_string(answer->status));
    }
    if (!wait_(attempt * 1000)) return Fail(Code::kCancelled, "cancelled");
  }
}

Result<RegistryAnswer> RegistrySession::Do(const RegistryRequest& request, int fd,
                                           const std::function<void(int64_t)>& progress) {
  if (request.op == RegistryOp::kPing) return Ping();
  if (request.op == RegistryOp::kDownload) return Download(request, fd, progress);
  SKIFF_TRY(Connect());
  Result<RegistryAnswer> answer = Fail(Code::kInternal, "unknown request");
  switch (request.op) {
    case RegistryOp::kPing:
    case RegistryOp::kDownload:
      break;
    case RegistryOp::kGetManifest:
      answer = GetManifest(request, fd);
      break;
    case RegistryOp::kFetchBlob:
      answer = FetchBlob(request, fd, progress);
      break;
    case RegistryOp::kHasBlob:
      answer = HasBlob(request);
      break;
    case RegistryOp::kMountBlob:
      answer = MountBlob(request);
      break;
    case RegistryOp::kPutBlob:
      answer = PutBlob(request, fd, progress);
      break;
    case RegistryOp::kPutManifest:
      answer = PutManifest(request, fd);
      break;
  }
  if (answer) {
    answer->token = token_;
    answer->base = base_;
  }
  return answer;
}

}  // namespace skiff::engine::transfer
