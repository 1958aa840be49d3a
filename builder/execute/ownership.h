#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::builder {

struct Ownership {
  uid_t uid = 0;
  gid_t gid = 0;
};

// "user[:group]", names by the root file system's /etc/passwd and /etc/group. A user without a
// group: the user's own group, or the same number.
Result<Ownership> ResolveOwner(int root_fd, const std::string& owner);
// Names need the files of the root file system.
bool OwnerHasNames(std::string_view owner);

// --chmod: octal, or clauses as for chmod(1): "u=rwX,go-w". `mode`: as the file has it.
mode_t ApplyMode(std::string_view change, mode_t mode, bool is_folder);

// Of the folders that a COPY or ADD makes to have a destination: the permissions of an octal
// `--chmod`; 0755 without one and for a symbolic one, as BuildKit has it.
mode_t NewFolderMode(std::string_view change);

}  // namespace skiff::builder
