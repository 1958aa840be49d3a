#pragma once

#include <string_view>

namespace skiff::builder {

// Whether a file that begins with these bytes (512 are enough) may be a tar archive, plain or
// compressed as moby knows it: gzip, bzip2, xz, zstd.
bool LooksLikeArchive(std::string_view beginning);

}  // namespace skiff::builder
