#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace skiff::engine::monitor {

// <run_dir>/lock: an OFD write lock held by the monitor for its life; the file holds its host pid
// as decimal text. Unlike flock, an OFD lock can be asked for without being taken.

// The monitor's side. kFailedPrecondition when another monitor lives.
Result<Fd> HoldLock(const std::string& run_dir, int64_t host_pid);

// A missing lock file means that nobody holds it.
bool LockIsHeld(const std::string& run_dir);
// The pidfd of the monitor that holds the lock: verified after opening, so a reused pid is never
// taken for it. kNotFound: nobody holds it. kUnavailable: it has not written its pid yet.
Result<Fd> OpenMonitor(const std::string& run_dir);

// The host's number of a process, from a pidfd's fdinfo. Needs the host's /proc. 0: it has ended.
Result<int64_t> HostPid(int pidfd);

int OpenPidfd(pid_t pid);

}  // namespace skiff::engine::monitor
