#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "engine-core/images.h"

// Messages of a session with a registry, or with any web server (kDownload), between a command and
// skiff-transfer. The first message opens it,
// then come requests, one at a time, each answered by any number of progress messages and one that
// ends it. Bodies pass as descriptors of files.
namespace skiff::engine::transfer {

enum class RegistryOp : int {
  kPing = 1,      // Are the credentials good? Answer: token.
  kGetManifest,   // reference -> descriptor gets the body; answer: media_type, digest, size.
  kFetchBlob,     // digest, size -> descriptor; goes on behind what the file holds already.
  kHasBlob,       // digest -> found.
  kMountBlob,     // digest, from -> found.
  // digest, size, descriptor -> found; with `once` it may not be (registry_session.h, PutBlob).
  kPutBlob,
  kPutManifest,   // reference, media_type, descriptor -> digest.
  // reference (a URL), etag and modified of an earlier answer -> descriptor gets the body unless it
  // is the same still (not found); answer: digest, size, etag, modified.
  kDownload,
};

struct RegistryOpening {
  std::string host;        // "docker.io", "localhost:5000", the URL of a mirror; "": only kDownload.
  std::string repository;  // "" for kPing.
  bool push = false;
  std::string from;  // Another repository blobs may be mounted from.
  RegistryAccess access;
  std::string token;  // One that an earlier session got.
};
// Begins with a mark that tells it from other requests.
std::string EncodeOpening(const RegistryOpening& opening);
bool IsOpening(std::string_view data);
Result<RegistryOpening> DecodeOpening(std::string_view data);

struct RegistryRequest {
  RegistryOp op = RegistryOp::kPing;
  std::string reference;  // Tag or digest.
  std::string digest;
  int64_t size = 0;
  std::string media_type;
  std::string from;
  bool once = false;           // The descriptor is a pipe.
  std::string etag, modified;  // As the headers say them.
};
std::string EncodeRegistryRequest(const RegistryRequest& request);
Result<RegistryRequest> DecodeRegistryRequest(std::string_view data);

struct RegistryAnswer {
  bool progress = false;  // More follows.
  int64_t current = 0;
  bool found = false;
  std::string media_type;
  std::string digest;
  int64_t size = 0;
  std::string token;
  std::string base;  // URL the registry was reached by.
  std::string etag, modified;
};
std::string EncodeRegistryAnswer(const Result<RegistryAnswer>& answer);
Result<RegistryAnswer> DecodeRegistryAnswer(std::string_view data);

}  // namespace skiff::engine::transfer
