#include "engine-core/child/inside/process.h"

#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/seccomp.h>

#include "engine-core/child/inside/path.h"
#include "engine-core/child/inside/program.h"
#include "engine-core/child/inside/report.h"
#include "engine-core/child/inside/stat.h"

namespace skiff::engine::child::inside {
namespace {

constexpr int kSignals = 64;
constexpr int kSigKill = 9;

struct CapabilityData {
  uint64_t permitted = 0;
  uint64_t effective = 0;
  uint64_t inheritable = 0;
};

Word GetCapabilities(CapabilityData* data) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct raw[2] = {};
  const Word result = Syscall(__NR_capget, W(&header), W(raw));
  data->permitted = raw[0].permitted | static_cast<uint64_t>(raw[1].permitted) << 32;
  return result;
}

Word SetCapabilities(uint64_t permitted, uint64_t effective) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const auto low = [](uint64_t set) { return static_cast<uint32_t>(set); };
  const auto high = [](uint64_t set) { return static_cast<uint32_t>(set >> 32); };
  const __user_cap_data_struct raw[2] = {{low(effective), low(permitted), 0},
                                         {high(effective), high(permitted), 0}};
  return Syscall(__NR_capset, W(&header), W(raw));
}

Word Prctl(int option, Word a = 0, Word b = 0) {
  return Syscall(__NR_prctl, option, a, b, 0, 0);
}

// Bounding set: what no set-uid program of the container can ever get.
void DropBounding(uint64_t keep) {
  for (int cap = 0; cap < 64; ++cap) {
    const Word has = Prctl(PR_CAPBSET_READ, cap);
    if (has < 0) return;  // Past the last one.
    if (has == 0 || (keep >> cap & 1) != 0) continue;
    const Word dropped = Prctl(PR_CAPBSET_DROP, cap);
    if (dropped < 0) Die(dropped, "cannot drop capabilities");
  }
}

void ResetSignals() {
  struct Action {
    void* handler;
    unsigned long flags;
    void* restorer;
    uint64_t mask;
  } standard = {};
  for (int number = 1; number <= kSignals; ++number)
    Syscall(__NR_rt_sigaction, number, W(&standard), 0, sizeof standard.mask);
  const uint64_t none = 0;
  Syscall(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, W(&none), 0, sizeof none);
}

void CloseAllBut(const List<int>& keep) {
  unsigned first = 3;
  for (const int fd : keep) {
    if (fd < static_cast<int>(first)) continue;
    if (static_cast<unsigned>(fd) > first)
      Syscall(__NR_close_range, first, static_cast<unsigned>(fd) - 1, 0);
    first = static_cast<unsigned>(fd) + 1;
  }
  Syscall(__NR_close_range, first, ~0u, 0);
}

void TakeIdentity(const Identity& identity) {
  Word result =
      Syscall(__NR_setgroups, static_cast<Word>(identity.group_count), W(identity.groups));
  if (result < 0) Die(result, "cannot set the supplementary groups");
  result = Syscall(__NR_setresgid, identity.gid, identity.gid, identity.gid);
  if (result < 0) Die(result, "cannot set the group");
  result = Syscall(__NR_setresuid, identity.uid, identity.uid, identity.uid);
  if (result < 0) Die(result, "cannot set the user");
}

// The current folder must be below "/": a descriptor of the host could lead outside.
void VerifyWorkingDirectory() {
  PathText path;
  const Word size = Syscall(__NR_getcwd, W(path.data), sizeof path.data);
  if (size < 0) Die(size, "cannot tell the working directory");
  if (path.data[0] != '/')
    DieWith("the working directory is outside of the container's root", EPERM, 128);
}

void InstallFilter(const ProcessPlan& plan) {
  struct Program {
    unsigned short length;
    const void* filter;
  } program = {static_cast<unsigned short>(plan.filter_size), plan.filter};
  // Speculation stays as it is for every process (docker: SPEC_ALLOW).
  Word result =
      Syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, W(&program));
  if (result == -EINVAL) result = Syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, W(&program));
  if (result < 0) Die(result, "cannot install the seccomp filter");
}

}  // namespace

void ResetProcess(const ProcessPlan& plan) {
  SetStatusSocket(plan.status);
  if (plan.die_with_parent) Prctl(PR_SET_PDEATHSIG, kSigKill);
  Prctl(PR_SET_DUMPABLE, 0);
  CloseAllBut(plan.keep);
  ResetSignals();
  Syscall(__NR_umask, 0);
  Syscall(__NR_setsid);
}

void JoinCgroups(const ProcessPlan& plan) {
  for (const int entry : plan.cgroup_entries) {
    const Word written = Write(entry, "0", 1);
    if (written < 0) Die(written, "cannot enter the container's cgroup");
    Close(entry);
  }
}

void SetLimits(const ProcessPlan& plan) {
  for (const LimitPlan& limit : plan.limits) {
    struct Limit {
      uint64_t soft;
      uint64_t hard;
    } wanted = {limit.soft, limit.hard}, old = {};
    Word result = Syscall(__NR_prlimit64, 0, limit.resource, W(&wanted), 0);
    if (result == -EPERM) {
      // Not allowed to raise the hard limit here: as near as possible, and say so.
      Syscall(__NR_prlimit64, 0, limit.resource, 0, W(&old));
      if (wanted.hard > old.hard) wanted.hard = old.hard;
      if (wanted.soft > wanted.hard) wanted.soft = wanted.hard;
      Warn(result, "cannot raise the hard limit; it stays as it is: ulimit", limit.name);
      result = Syscall(__NR_prlimit64, 0, limit.resource, W(&wanted), 0);
    }
    if (result < 0) Die(result, "cannot set ulimit", limit.name);
  }
}

void SetOomScore(const ProcessPlan& plan) {
  if (plan.oom_score_adj == nullptr) return;
  const int fd = Open("/proc/self/oom_score_adj", kOpenWrite);
  const Word result = fd < 0 ? fd : Write(fd, plan.oom_score_adj, Length(plan.oom_score_adj));
  if (fd >= 0) Close(fd);
  if (result < 0) Warn(result, "cannot set oom_score_adj to", plan.oom_score_adj);
}

int ContainersNull(int dev, const char* path, int fallback) {
  const int probe = dev < 0 ? dev : OpenInRoot(dev, path, kOpenPath, kResolveNoSymlinks);
  if (probe < 0) return fallback;
  const bool is_null = IsCharacterDevice(probe, 1, 3);
  Close(probe);
  if (!is_null) return fallback;
  const int fd = OpenInRoot(dev, path, kOpenReadWrite | kOpenNoctty, kResolveNoSymlinks);
  return fd >= 0 && IsCharacterDevice(fd, 1, 3) ? fd : fallback;
}

void TakeStdio(const ProcessPlan& plan, int terminal, int null) {
  const int wanted[3] = {terminal >= 0 ? terminal : plan.input,
                         terminal >= 0 ? terminal : plan.output,
                         terminal >= 0 ? terminal : plan.error};
  int copies[3];
  // Away from 0 to 2 first, so that no descriptor is overwritten before it is used.
  for (int i = 0; i < 3; ++i) {
    const int from = wanted[i] >= 0 ? wanted[i] : null;
    copies[i] = static_cast<int>(Syscall(__NR_fcntl, from, 1030 /* F_DUPFD_CLOEXEC */, 3));
    if (copies[i] < 0) Die(copies[i], "cannot set up standard input and output");
  }
  for (int i = 0; i < 3; ++i) {
    const Word result = Syscall(__NR_dup3, copies[i], i, 0);
    if (result < 0) Die(result, "cannot set up standard input and output");
    Close(copies[i]);
  }
  if (terminal >= 0) {
    const Word result = Syscall(__NR_ioctl, 0, 0x540E /* TIOCSCTTY */, 0);
    if (result < 0) Die(result, "cannot take the terminal");
  }
}

int OpenWorkingDirectory(const ProcessPlan& plan) {
  if (plan.cwd[0] != '/') {
    Text<512> text;
    text.Add("the working directory '");
    text.Add(plan.cwd);
    text.Add("' is not an absolute path");
    DieWith(text.data, EINVAL, 128);
  }
  const int root = Open("/", kOpenPath | kOpenDirectory);
  if (root < 0) Die(root, "cannot open", "/");
  const int fd = ResolveInRoot(root, plan.cwd, Missing::kMakeDirectory);
  Close(root);
  if (fd < 0) Die(fd, "cannot use the working directory", plan.cwd);
  if (!IsDirectory(fd)) Die(-ENOTDIR, "cannot use the working directory", plan.cwd);
  return fd;
}

void SetHome(const ProcessPlan& plan, const Identity& identity) {
  static Text<1100> home;
  size_t at = plan.env_size;
  for (size_t i = 0; i < plan.env_size; ++i) {
    if (!StartsWith(plan.env[i], "HOME=")) continue;
    if (plan.env[i][5] != 0) return;
    at = i;
  }
  home.Add("HOME=");
  home.Add(identity.home);
  plan.env[at] = home.data;
}

const char* BecomeUser(const ProcessPlan& plan, const Identity& identity, int working_directory) {
  // Files the container inherited and may want to open anew through /dev/stdout.
  for (int fd = 0; fd < 3 && identity.uid != 0; ++fd) {
    if (plan.tty || IsPipe(fd)) Syscall(__NR_fchown, fd, identity.uid, static_cast<Word>(-1));
  }
  Word entered = Syscall(__NR_fchdir, working_directory);
  if (entered < 0 && entered != -EACCES)
    Die(entered, "cannot enter the working directory", plan.cwd);

  constexpr uint64_t kForFilter = uint64_t{1} << CAP_SYS_ADMIN;
  DropBounding(plan.capabilities);
  Prctl(PR_SET_KEEPCAPS, 1);
  TakeIdentity(identity);
  Prctl(PR_SET_KEEPCAPS, 0);
  CapabilityData own;
  Word result = GetCapabilities(&own);
  const uint64_t final_set = plan.capabilities & own.permitted;
  // What the program will have: exec takes it from all but root.
  const uint64_t effective = identity.uid == 0 ? final_set : 0;
  const uint64_t for_filter = plan.filter != nullptr ? own.permitted & kForFilter : 0;
  if (result >= 0) result = SetCapabilities(final_set | for_filter, effective);
  if (result < 0) Die(result, "cannot set capabilities");
  // Changed credentials have cleared it.
  if (plan.die_with_parent) Prctl(PR_SET_PDEATHSIG, kSigKill);

  if (entered < 0) entered = Syscall(__NR_fchdir, working_directory);
  if (entered < 0) Die(entered, "cannot enter the working directory", plan.cwd);
  VerifyWorkingDirectory();
  const char* program = FindProgram(plan);

  if (plan.no_new_privileges) Prctl(PR_SET_NO_NEW_PRIVS, 1);
  Syscall(__NR_umask, 022);
  result = Syscall(__NR_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
  if (result < 0) Die(result, "cannot close descriptors");
  if (plan.filter != nullptr) {
    // A filter needs CAP_SYS_ADMIN (or no_new_privs) once more; nothing but it follows.
    if (for_filter != 0) SetCapabilities(final_set | for_filter, effective | for_filter);
    InstallFilter(plan);
    if (for_filter != 0) result = SetCapabilities(final_set, effective);
    if (result < 0) Die(result, "cannot set capabilities");
  }
  return program;
}

}  // namespace skiff::engine::child::inside
