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
};

// Keys sorted at the top as BuildKit has them, the inner configuration in docker's order.
std::string WriteImageDocument(const ImageDocument& document);
// kInvalidArgument: no configuration of an image, or its diff ids are none.
Result<ImageDocument> ReadImageDocument(std::string_view json);

}  // namespace skiff::engine
