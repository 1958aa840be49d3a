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

// What a process of one thread writes "0" to in order to move into the folder. On v1 that is
// `tasks`: a thread that moves itself needs no lock there, while writing to cgroup.procs stops
// every fork and exit on the machine for a moment and waits for a grace period of RCU first, 10 ms
// and more.
Result<Fd> OpenCgroupEntry(const std::string& cgroup);
// True for a folder of cgroup v2, which a process is best born in (CLONE_INTO_CGROUP).
bool IsUnifiedCgroup(const std::string& cgroup);

// True when no process is left in any of the folders (a missing folder is empty).
Result<bool> CgroupIsEmpty(const std::vector<std::string>& cgroups);

// How many processes the OOM killer has killed there (memory.events, memory.oom_control).
// 0 when the kernel does not say or the folder is "".
Result<int64_t> CountOomKills(const std::string& memory_cgroup, bool unified);

// True where processes that run out of memory wait in place of being killed (v1, oom_kill_disable).
Result<bool> OomKillerIsOff(const std::string& memory_cgroup, bool unified);

// A descriptor that tells about OOM: v1 an eventfd (readable; drain it), v2 memory.events itself
// (POLLPRI, re-read by CountOomKills). Invalid without an error where there is none.
Result<Fd> OpenOomEvents(const std::string& memory_cgroup, bool unified);

// Removes empty folders, children first. kFailedPrecondition when processes are left after
// `wait_ms` (their end is awaited by event: pidfds of what is still there).
Status RemoveCgroups(const std::vector<std::string>& cgroups, int wait_ms);

}  // namespace skiff::engine
