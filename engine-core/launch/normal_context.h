#pragma once

#include <cstdint>
#include <vector>

// The code of a monitor between clone and exec. It shares the memory of the command that starts it
// (CLONE_VM, like posix_spawn), so it only makes system calls and writes to its own stack.
namespace skiff::engine::launch {

struct ContextPlan {
  const std::vector<int>* cgroup_entries = nullptr;  // OpenCgroupEntry.
  int image = -1;                                    // The monitor's program (O_PATH).
  int channel = -1;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  int error = 0;  // Set when the exec fails.
};

// clone(2)'s function: resets what a process inherits, then executes the monitor.
int RunMonitor(void* plan);

}  // namespace skiff::engine::launch
