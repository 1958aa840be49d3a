#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::cli {

// The columns of `ps -ef`, which `docker top` shows.
inline constexpr std::string_view kProcessTitles[] = {"UID",   "PID", "PPID", "C",
                                                      "STIME", "TTY", "TIME", "CMD"};

// What runs in the container's cgroup, by process id as this machine counts them: a row with a cell
// for each title. `now`: nanoseconds since the epoch. Empty: nothing runs.
Result<std::vector<std::vector<std::string>>> ProcessesOf(std::string_view container_id,
                                                          int64_t now);

}  // namespace skiff::cli
