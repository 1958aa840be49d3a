#pragma once

#include "base/error.h"
#include "engine-core/image/image_store.h"

namespace skiff::engine::image {

// Fetches an image from a registry (its mirrors first): manifest, configuration and the layers that
// are not here yet, each verified before it is used. Blobs that came in part stay for the next pull
// (Download). References are pending until Store::Commit().
Result<PulledImage> Pull(ImageStore& images, store::Store& store, const Reference& reference,
                         const PullOptions& options);

// What the registry (its mirrors first) has by this name, without its layers. Nothing is stored.
Result<OfferedImage> AskRegistry(ImageStore& images, store::Store& store,
                                 const Reference& reference, const PullOptions& options);
Result<RegistryArtifact> FetchArtifact(ImageStore& images, store::Store& store,
                                       const Reference& reference,
                                       const std::vector<std::string>& types, const PullOptions& options);
// Layers of it by their diff ids, those that are here already left out; their blobs do not stay.
Status TakeFromRegistry(ImageStore& images, store::Store& store, const Reference& reference,
                        const std::vector<std::string>& diff_ids, const PullOptions& options);

}  // namespace skiff::engine::image
