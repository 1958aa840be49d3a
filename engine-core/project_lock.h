#pragma once

#include <functional>
#include <string>

#include "base/atomic_file.h"
#include "base/error.h"

namespace skiff::engine {

// The lock of one project: the first in the one order of locks (DESIGN 5: project, container,
// network, store). Held by verbs that change a project (up, down, run, ...), not by ps and logs.
// `run`: the volatile root. `waiting` is called once when somebody else holds it, before the wait.
Result<FileLock> LockProject(const std::string& run, const std::string& project,
                             const std::function<void()>& waiting = {});

}  // namespace skiff::engine
