#include "engine-core/monitor/liveness.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string_view>

#include "base/failpoint.h"
#include "base/text.h"

namespace skiff::engine::monitor {
namespace {

constexpr size_t kMaxSmallFile = 4096;
constexpr int kPidTries = 10'000;

struct flock WholeFile() {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::string LockPath(const std::string& run_dir) {
  return run_dir + "/lock";
}

}  // namespace

int OpenPidfd(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

Result<Fd> HoldLock(const std::string& run_dir, int64_t host_pid) {
  SKIFF_TRY(Failpoint("monitor.lock"));
  SKIFF_ASSIGN(Fd file, OpenFile(LockPath(run_dir), O_RDWR | O_CREAT, 0600));
  struct flock lock = WholeFile();
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES) {
      return Fail(Code::kFailedPrecondition, "another monitor owns '" + run_dir + "'");
    }
    return FailErrno("cannot lock '" + LockPath(run_dir) + "'");
  }
  const std::string text = std::to_string(host_pid) + "\n";
  if (::ftruncate(file.get(), 0) != 0) return FailErrno("cannot empty '" + LockPath(run_dir) + "'");
  SKIFF_TRY(WriteAll(file.get(), text, "'" + LockPath(run_dir) + "'"));
  return file;
}

bool LockIsHeld(const std::string& run_dir) {
  const Result<Fd> file = OpenFile(LockPath(run_dir), O_RDWR);
  if (!file) return false;
  struct flock lock = WholeFile();
  return ::fcntl(file->get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

namespace {

Result<Fd> TryOpenMonitor(const std::string& run_dir) {
  if (!LockIsHeld(run_dir)) return Fail(Code::kNotFound, "no monitor owns '" + run_dir + "'");
  const Result<std::string> text = ReadFile(LockPath(run_dir), kMaxSmallFile);
  const auto pid = text && text->ends_with('\n') ? ParseNumber<pid_t>(Trim(*text)) : std::nullopt;
  if (!pid) return Fail(Code::kUnavailable, "the monitor of '" + run_dir + "' is starting");
  Fd pidfd(OpenPidfd(*pid));
  // Still held, by the process that wrote its number: the pidfd is that process.
  if (pidfd && LockIsHeld(run_dir)) {
    const Result<std::string> again = ReadFile(LockPath(run_dir), kMaxSmallFile);
    if (again && *again == *text) return pidfd;
  }
  if (!LockIsHeld(run_dir)) return Fail(Code::kNotFound, "no monitor owns '" + run_dir + "'");
  return Fail(Code::kUnavailable, "the monitor of '" + run_dir + "' is starting");
}

}  // namespace

Result<Fd> OpenMonitor(const std::string& run_dir) {
  // Between its lock and its pid in the file a monitor makes one system call.
  for (int tries = 0;; ++tries) {
    Result<Fd> opened = TryOpenMonitor(run_dir);
    if (opened || opened.error().code != Code::kUnavailable || tries == kPidTries) return opened;
    ::sched_yield();
  }
}

Result<int64_t> HostPid(int pidfd) {
  SKIFF_ASSIGN(const std::string info,
               ReadFile("/proc/self/fdinfo/" + std::to_string(pidfd), kMaxSmallFile));
  for (const std::string_view line : Split(info, '\n')) {
    if (!line.starts_with("Pid:")) continue;
    const auto pid = ParseNumber<int64_t>(Trim(line.substr(4)));
    return pid && *pid > 0 ? *pid : 0;
  }
  return Fail(Code::kUnsupported, "cannot read the pid of a process from its pidfd");
}

}  // namespace skiff::engine::monitor
