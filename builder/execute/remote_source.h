#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::builder {

// The last part of a URL's path, decoded; "__unnamed__" when it has none (the reference's rule).
std::string FileNameOf(std::string_view url);

}  // namespace skiff::builder
