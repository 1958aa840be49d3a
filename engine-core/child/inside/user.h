#pragma once

#include "engine-core/child/inside/plan.h"
#include "engine-core/child/inside/sys.h"

namespace skiff::engine::child::inside {

inline constexpr size_t kMaximumGroups = 1024;

struct Identity {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t groups[kMaximumGroups] = {};
  size_t group_count = 0;
  char home[1024] = {};  // "/" when unknown.
};

// Resolves "", "1000", "name", "1000:group", ":5" by the container's /etc/passwd and /etc/group
// below `root` (docker's rules): digits are never a name; numbers above 2^31-1 are refused; a group
// that is named keeps the member lists out; `extra` are supplementary groups by name or number.
// Both files are regular, at most 1 MiB with lines of at most 64 KiB, or the process ends.
void ResolveUser(int root, const char* user, const List<const char*>& extra, Identity* identity);

}  // namespace skiff::engine::child::inside
