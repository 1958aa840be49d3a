#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/image/archive_save.h"
#include "engine-core/image/image_store.h"

// What reading and writing images at other places (ImagePlace) have in common.
namespace skiff::engine::image {

// Those of the layers "sha256:..." that are not here.
Result<std::set<std::string>> MissingLayers(ImageStore& images,
                                            const std::vector<std::string>& diff_ids);

// Puts images into the OCI layout in `folder` (absolute; made when it is missing): blobs that are
// not there yet, then the list with them under `tag` ("" for none), which others may have had.
// Readers see the list before or after; one writer at a time.
Result<PushedImage> WriteLayout(ImageStore& images, const SendableSet& set,
                                const std::string& folder, const std::string& tag);

}  // namespace skiff::engine::image
