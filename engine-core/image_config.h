#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine-core/types.h"

// An image's configuration as OCI (with docker's additions) writes it. The bytes are the image's
// identity: they are written once and kept.
namespace skiff::engine {

struct HistoryEntry {
  std::optional<int64_t> created_at;  // Nanoseconds since the epoch.
  std::string created_by;
  std::string author;
  std::string comment;
  bool empty_layer = false;
  bool operator==(const HistoryEntry&) const = default;
};

// A step of a build that made a layer, as an image tells other builders of it (CacheEntry).
struct CachedStep {
  std::string key;      // 64 hexadecimal digits.
  std::string diff_id;  // Of the image's layers.
  int64_t size = 0;     // Bytes of regular files.
  int64_t created_at = 0;
  bool operator==(const CachedStep&) const = default;
};

struct ImageDocument {
  std::string architecture;
  std::string variant;
  std::string os;
  std::string os_version;
  std::optional<int64_t> created_at;
  std::string author;
  ImageConfig config;
  bool args_escaped = false;          // Docker's: a builder has set a command.
  std::vector<std::string> diff_ids;  // "sha256:...", bottom first.
  std::vector<HistoryEntry> history;
  std::vector<CachedStep> cache;  // Only written: ReadCachedSteps() reads it.
};

// Keys sorted at the top as BuildKit has them, the inner configuration in docker's order.
std::string WriteImageDocument(const ImageDocument& document);
// kInvalidArgument: no configuration of an image, or its diff ids are none.
Result<ImageDocument> ReadImageDocument(std::string_view json);

// The steps a configuration tells of, under "skiff.cache.v1": a list of objects with `key`, `layer`
// (number of a diff id), `size` and `created`. None is no error; kInvalidArgument: it is malformed.
Result<std::vector<CachedStep>> ReadCachedSteps(std::string_view json);

}  // namespace skiff::engine
