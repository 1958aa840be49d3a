#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace skiff::builder {

// The content of one file into another, empty one: shared where the file system can, holes kept.
// `blocks`: of the source, in units of 512 bytes.
Status CopyData(int from, int to, int64_t size, int64_t blocks, const std::string& path);

}  // namespace skiff::builder
