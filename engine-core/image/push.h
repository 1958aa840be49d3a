#pragma once

#include "base/error.h"
#include "engine-core/image/archive_save.h"
#include "engine-core/image/image_store.h"

namespace skiff::engine::image {

// Sends an image to the registry of `reference`, which names it here too: blobs the registry lacks
// (mounted from another of its repositories where they are known to be), the configuration, then
// the manifest, the one it came with where that is whole; of a name for several platforms all of
// them, then their list. `name@digest` becomes a reference.
Result<PushedImage> Push(ImageStore& images, store::Store& store, const Reference& reference,
                         const PushOptions& options);

// What kDefault means for a registry.
LayerCompression CompressionFor(const Reference& reference, LayerCompression wanted);

// The same for images that have no name here and get none.
Result<PushedImage> PushUnnamed(ImageStore& images, store::Store& store, const SendableSet& set,
                                const Reference& reference, const PushOptions& options);

}  // namespace skiff::engine::image
