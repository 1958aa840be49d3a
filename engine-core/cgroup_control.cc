#include "engine-core/cgroup_control.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <set>

#include "base/event_loop.h"
#include "base/failpoint.h"
#include "base/text.h"

namespace skiff::engine {
namespace {

constexpr size_t kFileLimit = 4u << 20;
constexpr int kKillRounds = 100;
constexpr int kFreezeTimeoutMs = 2000;

Status WriteValue(const std::string& path, std::string_view value) {
  SKIFF_ASSIGN(const Fd file, OpenFile(path, O_WRONLY));
  return WriteAll(file.get(), value, path);
}

int MillisecondsUntil(BootTime deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Now());
  return static_cast<int>(std::max<int64_t>(left.count(), 0));
}

BootTime After(int milliseconds) {
  return Now() + std::chrono::milliseconds(milliseconds);
}

// cgroup v1 tells nobody when a process has stopped or has left: reading the state is the only way.
// Lets those processes run meanwhile.
void LetOthersRun() {
  sched_yield();
}

// The number after `key` in a file of "key number" lines; -1 without it.
int64_t NumberOf(std::string_view text, std::string_view key) {
  for (const std::string_view line : Split(text, '\n')) {
    const std::vector<std::string_view> words = SplitWords(line);
    if (words.size() == 2 && words[0] == key) return ParseNumber<int64_t>(words[1]).value_or(-1);
  }
  return -1;
}

// Waits until a key of cgroup.events has a value; the kernel tells about changes by POLLPRI.
Result<bool> AwaitEvent(const std::string& cgroup, std::string_view key, int64_t value,
                        BootTime deadline) {
  const std::string path = cgroup + "/cgroup.events";
  SKIFF_ASSIGN(const Fd file, OpenFile(path, O_RDONLY));
  for (;;) {
    if (lseek(file.get(), 0, SEEK_SET) < 0) return FailErrno("cannot read '" + path + "'");
    SKIFF_ASSIGN(const std::string text, ReadAll(file.get(), kFileLimit, path));
    if (NumberOf(text, key) == value) return true;
    const int left = MillisecondsUntil(deadline);
    if (left == 0) return false;
    pollfd waiting = {file.get(), POLLPRI, 0};
    if (poll(&waiting, 1, left) < 0 && errno != EINTR)
      return FailErrno("cannot wait for '" + path + "'");
  }
}

Result<std::vector<pid_t>> Processes(const std::string& cgroup) {
  auto text = ReadFile(cgroup + "/cgroup.procs", kFileLimit);
  if (!text && text.error().code == Code::kNotFound) return std::vector<pid_t>();
  if (!text && text.error().sys_errno == ENODEV) return std::vector<pid_t>();  // Just removed.
  if (!text) return Fail(std::move(text).error());
  std::vector<pid_t> pids;
  for (const std::string_view word : SplitWords(*text)) {
    // 0: a process this PID namespace does not see; 1 is never a container's.
    const pid_t pid = ParseNumber<pid_t>(word).value_or(0);
    if (pid > 1) pids.push_back(pid);
  }
  return pids;
}

std::vector<std::string> Subfolders(const std::string& folder) {
  struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
  };
  std::vector<std::string> folders;
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(folder.c_str()));
  if (!directory) return folders;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..")
      folders.push_back(folder + "/" + name);
  }
  return folders;
}

// The folder and all below it: containers may have made some (docker in docker).
std::vector<std::string> Tree(const std::string& folder) {
  std::vector<std::string> all = {folder};
  for (size_t i = 0; i < all.size(); ++i) {
    for (std::string& below : Subfolders(all[i])) all.push_back(std::move(below));
  }
  return all;
}

// One round of SIGKILL; how many processes were there that no round before has seen.
Result<size_t> KillRound(const std::string& cgroup, std::set<pid_t>* seen) {
  size_t fresh = 0;
  for (const std::string& folder : Tree(cgroup)) {
    SKIFF_ASSIGN(const std::vector<pid_t> pids, Processes(folder));
    for (const pid_t pid : pids) {
      if (seen->insert(pid).second) ++fresh;
      if (kill(pid, SIGKILL) != 0 && errno != ESRCH)
        return FailErrno("cannot kill process " + std::to_string(pid) + " of a container");
    }
  }
  return fresh;
}

// Waits until one of the processes in a folder has ended, or nothing can be waited for.
Status AwaitLeaving(const std::string& folder, BootTime deadline) {
  SKIFF_ASSIGN(const std::vector<pid_t> pids, Processes(folder));
  std::vector<Fd> pidfds;
  std::vector<pollfd> waiting;
  for (const pid_t pid : pids) {
    Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd) continue;
    waiting.push_back({pidfd.get(), POLLIN, 0});
    pidfds.push_back(std::move(pidfd));
  }
  if (waiting.empty()) {
    LetOthersRun();  // Its last process is leaving: gone from the list, still counted.
    return {};
  }
  if (poll(waiting.data(), waiting.size(), MillisecondsUntil(deadline)) < 0 && errno != EINTR)
    return FailErrno("cannot wait for the processes of a cgroup");
  return {};
}

Status RemoveTreeOf(const std::string& cgroup, BootTime deadline) {
  std::vector<std::string> folders = Tree(cgroup);
  std::reverse(folders.begin(), folders.end());
  for (const std::string& folder : folders) {
    while (rmdir(folder.c_str()) != 0 && errno != ENOENT) {
      const int error = errno;
      if (error != EBUSY) return FailErrno(error, "cannot remove the cgroup '" + folder + "'");
      if (MillisecondsUntil(deadline) == 0)
        return Fail(Error(Code::kFailedPrecondition,
                          "cannot remove the cgroup '" + folder + "': it has processes", 0));
      SKIFF_TRY(AwaitLeaving(folder, deadline));
    }
  }
  return {};
}

}  // namespace

Status FreezeCgroup(const std::string& freezer_cgroup, bool unified) {
  SKIFF_TRY(Failpoint("cgroup.freeze"));
  const BootTime deadline = After(kFreezeTimeoutMs);
  if (unified) {
    SKIFF_TRY(WriteValue(freezer_cgroup + "/cgroup.freeze", "1"));
    SKIFF_ASSIGN(const bool frozen, AwaitEvent(freezer_cgroup, "frozen", 1, deadline));
    if (frozen) return {};
  } else {
    const std::string path = freezer_cgroup + "/freezer.state";
    while (MillisecondsUntil(deadline) > 0) {
      // Written anew each time: a process forked meanwhile has to be caught too.
      SKIFF_TRY(WriteValue(path, "FROZEN"));
      SKIFF_ASSIGN(const std::string state, ReadFile(path));
      if (Trim(state) == "FROZEN") return {};
      LetOthersRun();
    }
  }
  SKIFF_TRY(ThawCgroup(freezer_cgroup, unified));
  return Fail(Code::kTimeout, "cannot pause the container: a process of it does not stop");
}

Status ThawCgroup(const std::string& freezer_cgroup, bool unified) {
  SKIFF_TRY(Failpoint("cgroup.thaw"));
  if (unified) return WriteValue(freezer_cgroup + "/cgroup.freeze", "0");
  return WriteValue(freezer_cgroup + "/freezer.state", "THAWED");
}

Status KillCgroup(const std::vector<std::string>& cgroups, const std::string& freezer_cgroup,
                  bool unified) {
  SKIFF_TRY(Failpoint("cgroup.kill"));
  if (cgroups.empty()) return {};
  if (unified && access((cgroups.front() + "/cgroup.kill").c_str(), W_OK) == 0) {
    SKIFF_TRY(WriteValue(cgroups.front() + "/cgroup.kill", "1"));
    return {};
  }
  const std::string& cgroup = freezer_cgroup.empty() ? cgroups.front() : freezer_cgroup;
  std::set<pid_t> seen;
  for (int round = 0; round < kKillRounds; ++round) {
    // Frozen processes neither fork nor end, so no number read is given to somebody else.
    const bool frozen = !freezer_cgroup.empty() && !unified &&
                        WriteValue(freezer_cgroup + "/freezer.state", "FROZEN").has_value();
    const auto fresh = KillRound(cgroup, &seen);
    if (frozen) SKIFF_TRY(ThawCgroup(freezer_cgroup, unified));
    if (!fresh) return Fail(fresh.error());
    if (*fresh == 0) return {};
  }
  return Fail(Code::kFailedPrecondition,
              "cannot kill the container's processes: they fork faster than they are killed");
}

bool IsUnifiedCgroup(const std::string& cgroup) {
  return ::access((cgroup + "/tasks").c_str(), F_OK) != 0;
}

Result<Fd> OpenCgroupEntry(const std::string& cgroup) {
  return OpenFile(cgroup + (IsUnifiedCgroup(cgroup) ? "/cgroup.procs" : "/tasks"), O_WRONLY);
}

Result<bool> CgroupIsEmpty(const std::vector<std::string>& cgroups) {
  for (const std::string& cgroup : cgroups) {
    for (const std::string& folder : Tree(cgroup)) {
      auto text = ReadFile(folder + "/cgroup.procs", kFileLimit);
      if (text && !text->empty()) return false;
      if (!text && text.error().code != Code::kNotFound && text.error().sys_errno != ENODEV)
        return Fail(std::move(text).error());
    }
  }
  return true;
}

Result<int64_t> CountOomKills(const std::string& memory_cgroup, bool unified) {
  if (memory_cgroup.empty()) return 0;
  auto text = ReadFile(memory_cgroup + (unified ? "/memory.events" : "/memory.oom_control"));
  if (!text && text.error().code == Code::kNotFound) return 0;
  if (!text) return Fail(std::move(text).error());
  return std::max<int64_t>(NumberOf(*text, "oom_kill"), 0);
}

Result<bool> OomKillerIsOff(const std::string& memory_cgroup, bool unified) {
  if (memory_cgroup.empty() || unified) return false;
  SKIFF_ASSIGN(const std::string text, ReadFile(memory_cgroup + "/memory.oom_control"));
  return NumberOf(text, "oom_kill_disable") == 1;
}

Result<Fd> OpenOomEvents(const std::string& memory_cgroup, bool unified) {
  if (memory_cgroup.empty()) return Fd();
  if (unified) {
    auto events = OpenFile(memory_cgroup + "/memory.events", O_RDONLY);
    if (!events && events.error().code == Code::kNotFound) return Fd();
    return events;
  }
  auto control = OpenFile(memory_cgroup + "/memory.oom_control", O_RDONLY);
  if (!control && control.error().code == Code::kNotFound) return Fd();
  if (!control) return Fail(std::move(control).error());
  Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return FailErrno("cannot make an event descriptor");
  const std::string registration =
      std::to_string(event.get()) + " " + std::to_string(control->get());
  const Status registered = WriteValue(memory_cgroup + "/cgroup.event_control", registration);
  if (!registered && registered.error().code == Code::kNotFound) return Fd();
  if (!registered) return Fail(registered.error());
  return event;
}

Status RemoveCgroups(const std::vector<std::string>& cgroups, int wait_ms) {
  SKIFF_TRY(Failpoint("cgroup.remove"));
  const BootTime deadline = After(wait_ms);
  for (const std::string& cgroup : cgroups) SKIFF_TRY(RemoveTreeOf(cgroup, deadline));
  return {};
}

}  // namespace skiff::engine
