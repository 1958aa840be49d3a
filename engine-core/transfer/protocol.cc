#include "engine-core/transfer/protocol.h"

#include "base/wire.h"

namespace skiff::engine::transfer {
namespace {

enum Tag : uint16_t {
  kTagVersion = 1,
  kTagLimitEntries = 2,
  kTagLimitBytes = 3,
  kTagLimitRatio = 4,
  kTagHasBlob = 5,
  kTagFolder = 6,
  kTagUid = 7,
  kTagGid = 8,
  kTagDiffId = 20,
  kTagBlobDigest = 21,
  kTagBlobSize = 22,
  kTagCompression = 23,
  kTagContentSize = 24,
  kTagEntries = 25,
  kTagOpaque = 26,
  kTagErrorCode = 40,
  kTagErrorNumber = 41,
  kTagErrorText = 42,
};

}  // namespace

std::string EncodeRequest(const UnpackRequest& request) {
  WireWriter out;
  out.Int(kTagVersion, kVersion);
  out.Int(kTagLimitEntries, request.limits.entries);
  out.Int(kTagLimitBytes, request.limits.bytes);
  out.Int(kTagLimitRatio, request.limits.ratio);
  out.Bool(kTagHasBlob, request.has_blob);
  if (request.target) {
    out.Bytes(kTagFolder, request.target->folder);
    if (request.target->owner) {
      out.Int(kTagUid, request.target->owner->uid);
      out.Int(kTagGid, request.target->owner->gid);
    }
  }
  return out.data();
}

Result<UnpackRequest> DecodeRequest(std::string_view data) {
  UnpackRequest request;
  int64_t version = 0;
  std::optional<Owner> owner;
  WireReader in(data);
  while (in.Next()) {
    switch (in.tag()) {
      case kTagVersion:
        version = in.integer();
        break;
      case kTagLimitEntries:
        request.limits.entries = in.integer();
        break;
      case kTagLimitBytes:
        request.limits.bytes = in.integer();
        break;
      case kTagLimitRatio:
        request.limits.ratio = in.integer();
        break;
      case kTagHasBlob:
        request.has_blob = in.boolean();
        break;
      case kTagFolder:
        request.target.emplace().folder = in.text();
        break;
      case kTagUid:
        if (!owner) owner.emplace();
        owner->uid = static_cast<uid_t>(in.integer());
        break;
      case kTagGid:
        if (!owner) owner.emplace();
        owner->gid = static_cast<gid_t>(in.integer());
        break;
      default:
        break;
    }
  }
  if (!in.ok()) return Fail(Code::kInternal, "malformed request");
  if (version != kVersion) {
    return Fail(Code::kUnsupported, "skiff-transfer and skiff are of different versions");
  }
  if (request.target) request.target->owner = owner;
  return request;
}

std::string EncodeAnswer(const Result<UnpackAnswer>& answer) {
  WireWriter out;
  if (!answer) {
    out.Int(kTagErrorCode, static_cast<int64_t>(answer.error().code));
    out.Int(kTagErrorNumber, answer.error().sys_errno);
    out.Bytes(kTagErrorText, answer.error().message);
    return out.data();
  }
  out.Bytes(kTagDiffId, answer->layer.diff_id);
  out.Bytes(kTagBlobDigest, answer->layer.blob_digest);
  out.Int(kTagBlobSize, answer->layer.blob_size);
  out.Bytes(kTagCompression, answer->layer.compression);
  out.Int(kTagContentSize, answer->layer.content_size);
  out.Int(kTagEntries, answer->layer.entries);
  out.Strings(kTagOpaque, answer->opaque);
  return out.data();
}

Result<UnpackAnswer> DecodeAnswer(std::string_view data) {
  UnpackAnswer answer;
  Error error;
  bool failed = false;
  bool complete = false;
  WireReader in(data);
  while (in.Next()) {
    switch (in.tag()) {
      case kTagDiffId:
        answer.layer.diff_id = in.text();
        break;
      case kTagBlobDigest:
        answer.layer.blob_digest = in.text();
        break;
      case kTagBlobSize:
        answer.layer.blob_size = in.integer();
        break;
      case kTagCompression:
        answer.layer.compression = in.text();
        break;
      case kTagContentSize:
        answer.layer.content_size = in.integer();
        break;
      case kTagEntries:
        answer.layer.entries = in.integer();
        complete = true;
        break;
      case kTagOpaque:
        answer.opaque.push_back(in.text());
        break;
      case kTagErrorCode:
        failed = true;
        error.code = static_cast<Code>(in.integer());
        break;
      case kTagErrorNumber:
        error.sys_errno = static_cast<int>(in.integer());
        break;
      case kTagErrorText:
        error.message = in.text();
        break;
      default:
        break;
    }
  }
  if (!in.ok()) return Fail(Code::kInternal, "malformed answer of skiff-transfer");
  if (failed) return Fail(std::move(error));
  const size_t digits = answer.layer.diff_id.size();
  if (!complete || (digits != 64 && digits != 0)) {
    return Fail(Code::kInternal, "incomplete answer of skiff-transfer");
  }
  return answer;
}

}  // namespace skiff::engine::transfer
