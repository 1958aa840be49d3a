#pragma once

#include <memory>
#include <string_view>

#include "base/error.h"
#include "engine-core/image/tar_stream.h"
#include "engine-core/images.h"

namespace skiff::engine::image {

// Compresses a stream on all processors (at most four), with a few megabytes for each. The same
// bytes give the same result, whatever the number of processors. Used by one thread.
class Compressor {
 public:
  // gzip: a member for each MiB, which every reader takes for one stream (RFC 1952, 2.2); zstd: one
  // frame with a checksum. kInvalidArgument: the kind has no such level, or is none of the two.
  static Result<std::unique_ptr<Compressor>> Make(const LayerCompression& compression,
                                                  ByteSink sink);
  virtual ~Compressor() = default;
  virtual Status Write(std::string_view data) = 0;
  // What is still held; nothing may follow.
  virtual Status Finish() = 0;
};

// "gzip", "zstd": what follows the media type of a layer.
std::string_view MediaSuffix(CompressionKind kind);

}  // namespace skiff::engine::image
