#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace skiff::engine::image {

// A folder descriptor that shows the union of layers (`diffs`: top first), read-only. Several
// layers are an overlay mount that exists in no mount table of the host: it is made in a mount
// namespace of a thread that ends, and lives as long as the descriptor. `tmp`: a folder to use as
// mount point there.
Result<Fd> OpenMergedRoot(const std::vector<std::string>& diffs, const std::string& tmp);

}  // namespace skiff::engine::image
