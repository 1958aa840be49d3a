#pragma once

#include "base/error.h"
#include "engine-core/image/image_store.h"

namespace skiff::engine::image {

// Sends an image to the registry of `reference`, which names it here too: blobs the registry lacks
// (mounted from another of its repositories where they are known to be), the configuration, then
// the manifest, the one it came with where that is whole. `name@digest` becomes a reference.
Result<PushedImage> Push(ImageStore& images, store::Store& store, const Reference& reference,
                         const PushOptions& options);

// The same for an image that has no name here and gets none: the bytes of a configuration over
// layers that are here.
Result<PushedImage> PushUnnamed(ImageStore& images, store::Store& store, const std::string& config,
                                const Reference& reference, const PushOptions& options,
                                const std::map<std::string, std::string>& annotations);

}  // namespace skiff::engine::image
