#pragma once

#include "engine-core/child/inside/sys.h"

namespace skiff::engine::child::inside {

// openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | extra), as base/root_path.h does for the
// parent:
// "/" and absolute links mean `root`, nothing outside is reached. Negative: -errno.
int OpenInRoot(int root, const char* path, int flags, uint64_t extra_resolve = 0);

enum class Missing : uint8_t { kFail, kMakeDirectory, kMakeFile };

// O_PATH descriptor of `path` in `root`; what is missing of it is made (folders 0755, the last one
// a file with kMakeFile). Links on the way are followed inside the root, also dangling ones, unless
// `plain`: then any link fails with -ELOOP.
int ResolveInRoot(int root, const char* path, Missing missing, bool plain = false);

}  // namespace skiff::engine::child::inside
