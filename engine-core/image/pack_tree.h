#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/image/tar_stream.h"
#include "engine-core/pack_path.h"

namespace skiff::engine::image {

struct PackOptions {
  // Of a layer's folder: overlayfs's marks become ".wh." entries, and its attributes are read for
  // what they mean. Without it: of a root file system as it is seen.
  bool layer = true;
  // Whether the folder `path` (relative) hides nothing: overlayfs marks every folder that it makes as
  // opaque, and where there is nothing below the mark is taken off, in the folder as well. Without
  // it all marks stay.
  std::function<bool(const std::string& path)> hides_nothing;
  // Later times of change become this (nanoseconds since the epoch), in the folder as well.
  std::optional<int64_t> latest_time;
  // Others may change it meanwhile: what has become a device by then is not even opened.
  bool in_use = false;
  // Absolute paths that are no content while they are an empty file or folder.
  std::vector<std::string> left_out;
};

// Writes the tree below `folder_fd` as tar, the root itself left out: names sorted, times in whole
// seconds, so that one tree has one digest. Links are not followed. A tree that changes meanwhile
// is kFailedPrecondition; marks that only one kernel's overlayfs understands (a redirected folder,
// a file without its data) are kUnsupported, never left out. Contents of files go through `files`
// where there is one.
Result<PackedTree> PackTree(int folder_fd, const PackOptions& options, const ByteSink& sink,
                            const FileSink& files = {});

// Those of `targets` (absolute), and folders above them, that are not there: where mounts make
// places of their own.
std::vector<std::string> MissingPlaces(int root_fd, const std::vector<std::string>& targets);

// Removes from a layer what a container's mounts needed as places: `paths` (absolute) that are
// empty files or folders now. Times of the folders they lay in are kept.
Status RemoveMountPlaces(int folder_fd, const std::vector<std::string>& paths);

}  // namespace skiff::engine::image
