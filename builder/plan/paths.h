#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::builder {

// The shortest equal path: no "." and "//", ".." taken back; "." for "". Of an absolute path ".."
// stops at the root.
std::string CleanPath(std::string_view path);
std::string JoinPath(std::string_view parent, std::string_view path);
std::string_view BaseName(std::string_view path);

// `path`, or `path` below `parent` when it is relative, absolute and with "/" as separator. On
// windows a drive letter C: is removed. `keep_slash`: what ends in "/" or "/." still does.
Result<std::string> AbsolutePath(std::string_view parent, std::string_view path,
                                 std::string_view os, bool keep_slash);
bool IsAbsolutePath(std::string_view path, std::string_view os);

}  // namespace skiff::builder
