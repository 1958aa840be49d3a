#pragma once

#include <sys/types.h>

#include <string_view>

#include "base/owner.h"

namespace skiff::builder {

// --chmod: octal, or clauses as for chmod(1): "u=rwX,go-w". `mode`: as the file has it.
mode_t ApplyMode(std::string_view change, mode_t mode, bool is_folder);

// Of the folders that a COPY or ADD makes to have a destination: the permissions of an octal
// `--chmod`; 0755 without one and for a symbolic one, as BuildKit has it.
mode_t NewFolderMode(std::string_view change);

}  // namespace skiff::builder
