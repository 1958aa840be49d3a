#pragma once

#include <vector>

#include "base/error.h"
#include "engine-core/image/image_store.h"

namespace skiff::engine::image {

// Images of a docker archive (manifest.json) or an OCI layout (index.json), from a tar stream in any
// compression, or from the folder `fd` is. Everything is read inside the archive as a root, bounded
// and compared with its digest before it is used. Rows are pending afterwards.
Result<std::vector<LoadedImage>> LoadArchive(ImageStore& images, store::Store& store, int fd,
                                             const LoadOptions& options);

// Of the OCI layout in the folder `fd`: the image with this tag or digest, without its layers; then
// layers of it by their diff ids, those that are here already left out. Their blobs do not stay.
Result<OfferedImage> AskLayout(ImageStore& images, store::Store& store, int fd,
                               const std::string& name, const LoadOptions& options);
Status TakeFromLayout(ImageStore& images, store::Store& store, int fd, const std::string& name,
                      const std::vector<std::string>& diff_ids, const LoadOptions& options);

}  // namespace skiff::engine::image
