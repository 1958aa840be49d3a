#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

// What is done to the cgroup of a container that exists: used by monitors and by commands that
// repair. `unified` and the paths are those of RuntimeSpec.
namespace skiff::engine {

// Stops all processes in it. v1 returns when FROZEN is reached, v2 when cgroup.events says so.
Status FreezeCgroup(const std::string& freezer_cgroup, bool unified);
Status ThawCgroup(const std::string& freezer_cgroup, bool unified);

// SIGKILL to every process in the folders, also while they fork; thaws first. Returns when the
// signals have been sent: cgroup.kill, or rounds over cgroup.procs until nobody new appears.
Status KillCgroup(const std::vector<std::string>& cgroups, const std::string& freezer_cgroup,
                  bool unified);

// True when no process is left in any of the folders (a missing folder is empty).
Result<bool> CgroupIsEmpty(const std::vector<std::string>& cgroups);

// How many processes the OOM killer has killed there (memory.events, memory.oom_control).
// 0 when the kernel does not say or the folder is "".
Result<int64_t> CountOomKills(const std::string& memory_cgroup, bool unified);

// A descriptor that tells about OOM: v1 an eventfd (readable; drain it), v2 memory.events itself
// (POLLPRI, re-read by CountOomKills). Invalid without an error where there is none.
Result<Fd> OpenOomEvents(const std::string& memory_cgroup, bool unified);

// Removes empty folders, children first. kFailedPrecondition when processes are left after
// `wait_ms` (their end is awaited by event: pidfds of what is still there).
Status RemoveCgroups(const std::vector<std::string>& cgroups, int wait_ms);

}  // namespace skiff::engine
