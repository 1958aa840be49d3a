#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace skiff {

// Bytes of the regular files of a tree, one with several names once. Links are not followed; what
// goes meanwhile is not counted; a path that is not there has 0.
Result<int64_t> TreeSize(const std::string& path);

}  // namespace skiff
