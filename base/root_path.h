#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace skiff {

// The one way to resolve a path that untrusted content controls (a root file system, a volume, a
// build context, a layer): as chroot(2) would, "/" and absolute links mean the root, ".." stops at
// it, and nothing outside is ever reached, also while somebody renames folders meanwhile
// (openat2 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS; component by component on kernels without it).
//
// Act on the returned descriptor, never on a path made from it.
Result<Fd> OpenInRoot(int root_fd, std::string_view path, int flags, mode_t mode = 0);

// mkdir -p inside the root; returns the last folder (O_PATH). Links on the way are followed inside
// the root, a dangling link's target is made. `mode` is for the folders it makes.
Result<Fd> MakeDirectoriesInRoot(int root_fd, std::string_view path, mode_t mode);

// A new empty file for a bind mount's target, unless something is there already (O_PATH).
Result<Fd> MakeFileInRoot(int root_fd, std::string_view path, mode_t mode);

// For tests: pretend that the kernel has no openat2.
void DisableOpenat2ForTesting(bool disabled);

}  // namespace skiff
