#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine-core/types.h"

// Image configurations and manifests as OCI (with docker's additions) writes them. The bytes of a
// configuration are the image's identity: they are written once and kept.
namespace skiff::engine::image {

// `layers`: diff ids, "sha256:...", bottom first. `comment` goes to the history.
std::string WriteConfig(const Image& image);
// Everything a configuration says; id, references and size are not in it.
Result<Image> ReadConfig(std::string_view json);

struct Blob {
  std::string digest;  // "sha256:..."
  int64_t size = 0;
};
// An OCI manifest of uncompressed or gzip layers.
std::string WriteManifest(const Blob& config, const std::vector<Blob>& layers,
                          const std::string& layer_media_type);

}  // namespace skiff::engine::image
