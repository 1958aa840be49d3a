#include "engine-core/transfer/http_client.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace skiff::engine::transfer {
namespace {

constexpr long kMaximumRedirects = 10;
constexpr long kConnectSeconds = 20;
constexpr long kStalledSeconds = 30;  // With less than kSlowest bytes in each of them.
constexpr long kSlowest = 16;

struct Transfer {
  const HttpRequest* request = nullptr;
  CURL* handle = nullptr;
  HttpAnswer answer;
  int64_t sent = 0;
  bool unreadable = false;
};

std::string LowerName(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

size_t OnHeader(char* data, size_t, size_t size, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  std::string_view line(data, size);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    // Of the answer after a redirect: what came before is over.
    transfer->answer.headers.clear();
    return size;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  transfer->answer.headers[LowerName(line.substr(0, colon))] = value;
  return size;
}

size_t OnBody(char* data, size_t, size_t size, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  long status = 0;
  curl_easy_getinfo(transfer->handle, CURLINFO_RESPONSE_CODE, &status);
  const std::string_view bytes(data, size);
  if (transfer->request->sink && status >= 200 && status < 300) {
    if (transfer->request->sink(static_cast<int>(status), bytes)) return size;
    transfer->answer.stopped = true;
    return 0;
  }
  if (transfer->answer.body.size() + size > kMaximumBody) {
    transfer->answer.stopped = true;
    return 0;
  }
  transfer->answer.body += bytes;
  return size;
}

ssize_t Read(const HttpRequest& request, char* data, size_t size, int64_t offset) {
  while (true) {
    const ssize_t got = request.once
                            ? ::read(request.body_fd, data, size)
                            : ::pread(request.body_fd, data, size, static_cast<off_t>(offset));
    if (got >= 0 || errno != EINTR) return got;
  }
}

size_t OnSend(char* data, size_t, size_t size, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  const HttpRequest& request = *transfer->request;
  size_t count = 0;
  if (request.body_fd < 0) {
    count = std::min(size, request.body.size() - static_cast<size_t>(transfer->sent));
    std::copy_n(request.body.data() + transfer->sent, count, data);
  } else {
    const size_t wanted = std::min(size, static_cast<size_t>(request.size - transfer->sent));
    const ssize_t got = Read(request, data, wanted, transfer->sent);
    // The registry would wait for what the file, or who writes the pipe, has not got.
    if (got < 0 || (got == 0 && wanted > 0)) {
      transfer->unreadable = true;
      return CURL_READFUNC_ABORT;
    }
    count = static_cast<size_t>(got);
  }
  transfer->sent += static_cast<int64_t>(count);
  if (request.progress) request.progress(transfer->sent);
  return count;
}

int OnSeek(void* self, curl_off_t offset, int origin) {
  auto* transfer = static_cast<Transfer*>(self);
  if (origin != SEEK_SET || (transfer->request->once && offset != transfer->sent)) {
    return CURL_SEEKFUNC_CANTSEEK;
  }
  transfer->sent = offset;
  return CURL_SEEKFUNC_OK;
}

bool IsTlsFailure(CURLcode code) {
  return code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION ||
         code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE;
}

curl_blob BlobOf(std::string& pem) {
  return {pem.data(), pem.size(), CURL_BLOB_COPY};
}

}  // namespace

struct HttpClient::Curl {
  CURL* handle = curl_easy_init();
  ~Curl() { curl_easy_cleanup(handle); }

  void SetTls(RegistrySettings& settings, bool verify) {
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
    curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!settings.ca_pem.empty()) {
      curl_blob blob = BlobOf(settings.ca_pem);
      curl_easy_setopt(handle, CURLOPT_CAINFO_BLOB, &blob);
    }
    if (settings.client_cert_pem.empty()) return;
    curl_blob cert = BlobOf(settings.client_cert_pem);
    curl_blob key = BlobOf(settings.client_key_pem);
    curl_easy_setopt(handle, CURLOPT_SSLCERT_BLOB, &cert);
    curl_easy_setopt(handle, CURLOPT_SSLKEY_BLOB, &key);
  }

  void SetProxy(const RegistrySettings& settings, const std::string& url) {
    const std::string& proxy =
        url.starts_with("https:") ? settings.https_proxy : settings.http_proxy;
    curl_easy_setopt(handle, CURLOPT_PROXY, proxy.c_str());
    const std::string none = "localhost,127.0.0.1,::1" +
                             (settings.no_proxy.empty() ? "" : "," + settings.no_proxy);
    curl_easy_setopt(handle, CURLOPT_NOPROXY, none.c_str());
  }

  void SetBody(const HttpRequest& request, Transfer& transfer) {
    const bool has_body = request.body_fd >= 0 || !request.body.empty();
    if (request.method == "HEAD") {
      curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
      return;
    }
    if (has_body || request.method == "PUT" || request.method == "PATCH") {
      const int64_t size =
          request.body_fd >= 0 ? request.size : static_cast<int64_t>(request.body.size());
      curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
      curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size));
      curl_easy_setopt(handle, CURLOPT_READFUNCTION, &OnSend);
      curl_easy_setopt(handle, CURLOPT_READDATA, &transfer);
      curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, &OnSeek);
      curl_easy_setopt(handle, CURLOPT_SEEKDATA, &transfer);
      curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
    } else if (request.method == "POST") {
      curl_easy_setopt(handle, CURLOPT_POST, 1L);
      curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, 0L);
    }
    if (request.method != "GET") {
      curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
  }
};

HttpClient::HttpClient(const RegistrySettings& settings)
    : settings_(settings), curl_(std::make_unique<Curl>()) {}
HttpClient::~HttpClient() = default;

Result<HttpAnswer> HttpClient::Do(const HttpRequest& request, bool* secure_failed) {
  CURL* handle = curl_->handle;
  if (handle == nullptr) return Fail(Code::kExhausted, "out of memory");
  curl_easy_reset(handle);  // Connections stay.
  Transfer transfer;
  transfer.request = &request;
  transfer.handle = handle;
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  // Nobody leads an encrypted transfer into the open.
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR,
                   request.url.starts_with("https:") && request.verify ? "https" : "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, request.follow ? 1L : 0L);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, kMaximumRedirects);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, kSlowest);
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 512L << 10);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "skiff/0.1.0");
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  char failure[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, failure);
  curl_->SetTls(settings_, request.verify);
  curl_->SetProxy(settings_, request.url);
  curl_->SetBody(request, transfer);
  curl_slist* list = nullptr;
  for (const std::string& header : request.headers) list = curl_slist_append(list, header.c_str());
  if (!request.authorization.empty()) {
    // libcurl leaves it out when a redirect leads to another host or port.
    list = curl_slist_append(list, ("Authorization: " + request.authorization).c_str());
  }
  list = curl_slist_append(list, "Expect:");
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, list);
  const CURLcode code = curl_easy_perform(handle);
  curl_slist_free_all(list);
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  transfer.answer.status = static_cast<int>(status);
  if (transfer.unreadable) return Fail(Code::kSystem, "cannot read what is to be sent");
  if (code == CURLE_OK || transfer.answer.stopped) return std::move(transfer.answer);
  // A refusal that came while the body was still on its way counts.
  if (status >= 400) return std::move(transfer.answer);
  if (secure_failed != nullptr) *secure_failed = IsTlsFailure(code);
  return Fail(Code::kUnavailable,
              request.method + " \"" + request.url.substr(0, request.url.find('?')) + "\": " +
                  (failure[0] != '\0' ? failure : curl_easy_strerror(code)));
}

}  // namespace skiff::engine::transfer
