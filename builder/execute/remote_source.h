#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::builder {

// The last part of a URL's path, decoded; "__unnamed__" when it has none (the reference's rule).
std::string FileNameOf(std::string_view url);

// The path of an opened folder that no layers lie below.
Result<std::string> FolderOf(int fd);

}  // namespace skiff::builder
