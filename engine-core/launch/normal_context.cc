#include "engine-core/launch/normal_context.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "engine-core/launch_protocol.h"

namespace skiff::engine::launch {
namespace {

constexpr char kOomScore[] = "-999";
constexpr char kNeutralOomScore[] = "0";

// Raw calls: glibc's wrappers of set*id and setgroups tell all threads of the caller.
long Sys(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  return syscall(number, a, b, c, d, e);
}

void ResetSignals() {
  struct KernelAction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)();
    unsigned long mask;
  } standard = {};
  for (int number = 1; number < 65; ++number)
    Sys(SYS_rt_sigaction, number, reinterpret_cast<long>(&standard), 0, sizeof standard.mask);
  const unsigned long none = 0;
  Sys(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&none), 0, sizeof none);
}

// What dockerd gives containers under systemd, as far as this process may.
void ResetLimits() {
  struct Row {
    int resource;
    rlim_t soft;
    rlim_t hard;
  };
  static constexpr Row kRows[] = {
      {RLIMIT_NOFILE, 1024, 524288},
      {RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_STACK, 8u << 20, RLIM_INFINITY},
      {RLIMIT_AS, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_CPU, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_DATA, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_RSS, RLIM_INFINITY, RLIM_INFINITY},
      {RLIMIT_LOCKS, RLIM_INFINITY, RLIM_INFINITY},
  };
  for (const Row& row : kRows) {
    const rlimit64 wanted = {row.soft, row.hard};
    if (Sys(SYS_prlimit64, 0, row.resource, reinterpret_cast<long>(&wanted), 0) == 0) continue;
    // Not allowed to raise the hard limit: the soft one as near as may be.
    rlimit64 now = {};
    Sys(SYS_prlimit64, 0, row.resource, 0, reinterpret_cast<long>(&now));
    now.rlim_cur = row.soft < now.rlim_max ? row.soft : now.rlim_max;
    Sys(SYS_prlimit64, 0, row.resource, reinterpret_cast<long>(&now), 0);
  }
}

void SetOomScore() {
  const long fd = Sys(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/oom_score_adj"),
                      O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  // The monitor should be the last to go; without CAP_SYS_RESOURCE at least not the first.
  if (Sys(SYS_write, fd, reinterpret_cast<long>(kOomScore), sizeof kOomScore - 1) < 0)
    Sys(SYS_write, fd, reinterpret_cast<long>(kNeutralOomScore), sizeof kNeutralOomScore - 1);
  Sys(SYS_close, fd);
}

void ResetScheduling() {
  const int normal = 0;  // sched_param.sched_priority
  Sys(SYS_sched_setscheduler, 0, SCHED_OTHER, reinterpret_cast<long>(&normal));
  Sys(SYS_setpriority, PRIO_PROCESS, 0, 0);
  unsigned char all[128];
  memset(all, 0xff, sizeof all);
  Sys(SYS_sched_setaffinity, 0, sizeof all, reinterpret_cast<long>(all));
  Sys(SYS_set_mempolicy, MPOL_DEFAULT, 0, 0);
  Sys(SYS_prctl, PR_SET_TIMERSLACK, 0);
  Sys(SYS_personality, PER_LINUX);
}

// Descriptors 0 to 2 are /dev/null, kLaunchChannel the channel; nothing else survives the exec.
bool SetDescriptors(const ContextPlan& plan) {
  const long channel = Sys(SYS_fcntl, plan.channel, F_DUPFD_CLOEXEC, kLaunchChannel + 1);
  const long null =
      Sys(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/dev/null"), O_RDWR | O_CLOEXEC);
  const long copy = Sys(SYS_fcntl, null, F_DUPFD_CLOEXEC, kLaunchChannel + 1);
  // The image may lie where the channel has to go.
  const long image = Sys(SYS_fcntl, plan.image, F_DUPFD_CLOEXEC, kLaunchChannel + 1);
  if (channel < 0 || copy < 0 || image < 0) return false;
  for (int fd = 0; fd < 3; ++fd) {
    if (Sys(SYS_dup3, copy, fd, 0) < 0) return false;
  }
  if (Sys(SYS_dup3, channel, kLaunchChannel, 0) < 0) return false;
  Sys(SYS_close_range, kLaunchChannel + 1, ~0u, CLOSE_RANGE_CLOEXEC);
  Sys(SYS_execveat, image, reinterpret_cast<long>(""), reinterpret_cast<long>(plan.argv),
      reinterpret_cast<long>(plan.envp), AT_EMPTY_PATH);
  return false;
}

}  // namespace

int RunMonitor(void* argument) {
  ContextPlan& plan = *static_cast<ContextPlan*>(argument);
  ResetSignals();
  Sys(SYS_setsid);
  Sys(SYS_umask, 022);
  Sys(SYS_chdir, reinterpret_cast<long>("/"));
  // A cgroup that cannot be entered (another owner, a frozen parent): the monitor stays.
  for (const int entry : *plan.cgroup_entries)
    Sys(SYS_write, entry, reinterpret_cast<long>("0"), 1);
  Sys(SYS_setgroups, 0, 0);
  Sys(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0);
  ResetScheduling();
  ResetLimits();
  SetOomScore();
  SetDescriptors(plan);
  plan.error = errno;
  Sys(SYS_exit, 127);
  return 127;
}

}  // namespace skiff::engine::launch
