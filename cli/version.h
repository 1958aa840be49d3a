#pragma once

#include <string_view>

namespace skiff::cli {

// SKIFF_VERSION comes from the build (project version).
inline constexpr std::string_view kVersion = SKIFF_VERSION;

}  // namespace skiff::cli
