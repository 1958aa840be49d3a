#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/owner.h"

// What a command asks of skiff-transfer, the confined program that reads archives (DESIGN 3).
// One process per request, started over a socket pair; it sees the descriptors it is given and,
// as its root, the folder it fills. Protocol: engine-core/transfer/README.md.
namespace skiff::engine {

struct UnpackLimits {
  int64_t entries = 4'000'000;
  // Bytes that come out: at most this, or `ratio` times what went in when that is more.
  int64_t bytes = int64_t{8} << 30;
  int64_t ratio = 64;
};

struct UnpackedLayer {
  std::string diff_id;      // SHA-256 of the uncompressed stream, 64 hexadecimal digits.
  std::string blob_digest;  // Of the stream as it came.
  int64_t blob_size = 0;
  std::string compression;  // "gzip", "zstd", "bzip2", "xz"; "": plain.
  int64_t content_size = 0;  // Bytes of regular files.
  int64_t entries = 0;
};

// Reads a tar stream (plain, gzip, bzip2, xz or zstd) from `tar_fd` into the empty folder
// `folder_fd`. Whiteouts become overlayfs's own. `blob_fd` (-1: none) gets the bytes as they came.
// On failure the folder's content is undefined; nothing outside it was touched. `program`:
// skiff-transfer.
Result<UnpackedLayer> UnpackLayer(const std::string& program, int tar_fd, int folder_fd,
                                  int blob_fd, const UnpackLimits& limits);

// Where UnpackInto() puts entries, and whose they are.
struct UnpackTarget {
  std::string folder;          // In the root, links followed inside it; "": the root. It is there.
  std::optional<Owner> owner;  // Of all that comes, instead of what the archive says.
};

// The same into a tree in use, as `docker cp` does it: what no entry names stays, no folder is
// replaced by something else nor the other way round (kInvalidArgument: "cannot overwrite ..."), and
// ".wh." is a name like others. Parents are followed inside `root_fd`. On failure what came before
// it has been written. The answer has no digests.
Result<UnpackedLayer> UnpackInto(const std::string& program, int tar_fd, int root_fd,
                                 const UnpackTarget& target, const UnpackLimits& limits);

}  // namespace skiff::engine
