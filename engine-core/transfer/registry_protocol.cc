#include "engine-core/transfer/registry_protocol.h"

#include "base/wire.h"
#include "engine-core/transfer/protocol.h"

namespace skiff::engine::transfer {
namespace {

// Apart from those of protocol.cc, so that one kind of message is never taken for another.
enum RegistryTag : uint16_t {
  kTagRegistry = 100,
  kTagHost = 101,
  kTagRepository = 102,
  kTagPush = 103,
  kTagFrom = 104,
  kTagToken = 105,
  kTagUser = 106,
  kTagPassword = 107,
  kTagIdentity = 108,
  kTagBearer = 109,
  kTagHttpProxy = 110,
  kTagHttpsProxy = 111,
  kTagNoProxy = 112,
  kTagInsecure = 113,
  kTagCa = 114,
  kTagClientCert = 115,
  kTagClientKey = 116,
  kTagOp = 120,
  kTagReference = 121,
  kTagDigest = 122,
  kTagSize = 123,
  kTagMediaType = 124,
  kTagEtag = 125,
  kTagModified = 126,
  kTagOnce = 127,
  kTagProgress = 130,
  kTagCurrent = 131,
  kTagFound = 132,
  kTagFailure = 140,
  kTagFailureNumber = 141,
  kTagFailureText = 142,
  kTagFailureNote = 143,
};

struct TextField {
  RegistryTag tag;
  std::string* value;
};

std::vector<TextField> Fields(RegistryOpening& opening) {
  Credentials& credentials = opening.access.credentials;
  RegistrySettings& settings = opening.access.settings;
  return {{kTagHost, &opening.host},
          {kTagRepository, &opening.repository},
          {kTagFrom, &opening.from},
          {kTagToken, &opening.token},
          {kTagUser, &credentials.username},
          {kTagPassword, &credentials.password},
          {kTagIdentity, &credentials.identity_token},
          {kTagBearer, &credentials.registry_token},
          {kTagHttpProxy, &settings.http_proxy},
          {kTagHttpsProxy, &settings.https_proxy},
          {kTagNoProxy, &settings.no_proxy},
          {kTagCa, &settings.ca_pem},
          {kTagClientCert, &settings.client_cert_pem},
          {kTagClientKey, &settings.client_key_pem}};
}

}  // namespace

std::string EncodeOpening(const RegistryOpening& opening) {
  WireWriter out;
  out.Int(kTagRegistry, kVersion);
  RegistryOpening copy = opening;
  for (const TextField& field : Fields(copy)) out.Bytes(field.tag, *field.value);
  out.Bool(kTagPush, opening.push);
  out.Bool(kTagInsecure, opening.access.settings.insecure);
  return out.data();
}

bool IsOpening(std::string_view data) {
  WireReader in(data);
  return in.Next() && in.tag() == kTagRegistry;
}

Result<RegistryOpening> DecodeOpening(std::string_view data) {
  RegistryOpening opening;
  const std::vector<TextField> fields = Fields(opening);
  int64_t version = 0;
  WireReader in(data);
  while (in.Next()) {
    if (in.tag() == kTagRegistry) version = in.integer();
    if (in.tag() == kTagPush) opening.push = in.boolean();
    if (in.tag() == kTagInsecure) opening.access.settings.insecure = in.boolean();
    for (const TextField& field : fields) {
      if (in.tag() == field.tag) *field.value = in.text();
    }
  }
  if (!in.ok()) return Fail(Code::kInternal, "malformed request");
  if (version != kVersion) {
    return Fail(Code::kUnsupported, "skiff-transfer and skiff are of different versions");
  }
  return opening;
}

std::string EncodeRegistryRequest(const RegistryRequest& request) {
  WireWriter out;
  out.Int(kTagOp, static_cast<int64_t>(request.op));
  out.Bytes(kTagReference, request.reference);
  out.Bytes(kTagDigest, request.digest);
  out.Int(kTagSize, request.size);
  out.Bytes(kTagMediaType, request.media_type);
  out.Bytes(kTagFrom, request.from);
  out.Bool(kTagOnce, request.once);
  out.Bytes(kTagEtag, request.etag);
  out.Bytes(kTagModified, request.modified);
  return out.data();
}

Result<RegistryRequest> DecodeRegistryRequest(std::string_view data) {
  RegistryRequest request;
  WireReader in(data);
  while (in.Next()) {
    switch (in.tag()) {
      case kTagOp:
        request.op = static_cast<RegistryOp>(in.integer());
        break;
      case kTagReference:
        request.reference = in.text();
        break;
      case kTagDigest:
        request.digest = in.text();
        break;
      case kTagSize:
        request.size = in.integer();
        break;
      case kTagMediaType:
        request.media_type = in.text();
        break;
      case kTagFrom:
        request.from = in.text();
        break;
      case kTagOnce:
        request.once = in.boolean();
        break;
      case kTagEtag:
        request.etag = in.text();
        break;
      case kTagModified:
        request.modified = in.text();
        break;
      default:
        break;
    }
  }
  if (!in.ok()) return Fail(Code::kInternal, "malformed request");
  return request;
}

std::string EncodeRegistryAnswer(const Result<RegistryAnswer>& answer) {
  WireWriter out;
  if (!answer) {
    out.Int(kTagFailure, static_cast<int64_t>(answer.error().code));
    out.Int(kTagFailureNumber, answer.error().sys_errno);
    out.Bytes(kTagFailureText, answer.error().message);
    for (const Note& note : answer.error().notes) out.Bytes(kTagFailureNote, note.message);
    return out.data();
  }
  out.Bool(kTagProgress, answer->progress);
  out.Int(kTagCurrent, answer->current);
  out.Bool(kTagFound, answer->found);
  out.Bytes(kTagMediaType, answer->media_type);
  out.Bytes(kTagDigest, answer->digest);
  out.Int(kTagSize, answer->size);
  out.Bytes(kTagToken, answer->token);
  out.Bytes(kTagHost, answer->base);
  out.Bytes(kTagEtag, answer->etag);
  out.Bytes(kTagModified, answer->modified);
  return out.data();
}

Result<RegistryAnswer> DecodeRegistryAnswer(std::string_view data) {
  RegistryAnswer answer;
  Error error;
  bool failed = false;
  WireReader in(data);
  while (in.Next()) {
    switch (in.tag()) {
      case kTagProgress:
        answer.progress = in.boolean();
        break;
      case kTagCurrent:
        answer.current = in.integer();
        break;
      case kTagFound:
        answer.found = in.boolean();
        break;
      case kTagMediaType:
        answer.media_type = in.text();
        break;
      case kTagDigest:
        answer.digest = in.text();
        break;
      case kTagSize:
        answer.size = in.integer();
        break;
      case kTagToken:
        answer.token = in.text();
        break;
      case kTagHost:
        answer.base = in.text();
        break;
      case kTagEtag:
        answer.etag = in.text();
        break;
      case kTagModified:
        answer.modified = in.text();
        break;
      case kTagFailure:
        failed = true;
        error.code = static_cast<Code>(in.integer());
        break;
      case kTagFailureNumber:
        error.sys_errno = static_cast<int>(in.integer());
        break;
      case kTagFailureText:
        error.message = in.text();
        break;
      case kTagFailureNote:
        error.notes.push_back({in.text(), {}});
        break;
      default:
        break;
    }
  }
  if (!in.ok()) return Fail(Code::kInternal, "malformed answer of skiff-transfer");
  if (failed) return Fail(std::move(error));
  return answer;
}

}  // namespace skiff::engine::transfer
