#include "engine-core/transfer/confine.h"

#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>

namespace skiff::engine::transfer {
namespace {

constexpr uint64_t Bit(int capability) {
  return uint64_t{1} << capability;
}
constexpr uint64_t kKept = Bit(CAP_CHOWN) | Bit(CAP_DAC_OVERRIDE) | Bit(CAP_FOWNER) |
                           Bit(CAP_FSETID) | Bit(CAP_MKNOD) | Bit(CAP_SETFCAP);

// What reading, decompressing and writing a tree takes, and what libc does on its own.
constexpr const char* kCalls[] = {
    "read",
    "write",
    "pread64",
    "pwrite64",
    "readv",
    "writev",
    "close",
    "fstat",
    "newfstatat",
    "lseek",
    "openat",
    "openat2",
    "mkdirat",
    "mknodat",
    "symlinkat",
    "linkat",
    "unlinkat",
    "readlinkat",
    "fchown",
    "fchownat",
    "fchmod",
    "fchmodat",
    "utimensat",
    "fsetxattr",
    "ftruncate",
    "getdents64",
    "dup",
    "fcntl",
    "sendmsg",
    "recvmsg",
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "brk",
    "futex",
    "exit",
    "exit_group",
    "rt_sigreturn",
    "getrandom",
    "clock_gettime",
    "gettimeofday",
    "time",
    "rt_sigaction",
    "rt_sigprocmask",
    "getpid",
    "gettid",
    "tgkill",
    "restart_syscall",
    "sched_yield",
    "fadvise64",
    "umask",
    "statx",
    "sched_getaffinity",
    "membarrier",
    "fallocate",
};

// Beside those: sockets, name resolution with a thread of its own, TLS.
constexpr const char* kNetworkCalls[] = {
    "socket",       "connect",       "bind",        "getsockname",     "getpeername",
    "getsockopt",   "setsockopt",    "sendto",      "recvfrom",        "sendmmsg",
    "recvmmsg",     "poll",          "ppoll",       "select",          "pselect6",
    "epoll_create1", "epoll_ctl",    "epoll_wait",  "epoll_pwait",     "eventfd2",
    "pipe2",        "socketpair",    "shutdown",    "ioctl",           "uname",
    "sysinfo",      "getuid",        "geteuid",     "getgid",          "getegid",
    "clone",        "clone3",        "set_robust_list", "rseq",        "stat",
    "lstat",        "access",        "faccessat",   "faccessat2",      "open",
    "getcwd",       "readlink",      "clock_nanosleep", "nanosleep",   "pipe",
    "getrlimit",    "prlimit64",     "sigaltstack", "arch_prctl",      "prctl",
    "getresuid",    "getresgid",     "readahead",   "alarm",           "dup2",
    "dup3",         "accept4",       "listen",      "sched_setaffinity",
};

Status Limit(int resource, rlim_t value) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return FailErrno("cannot read a limit");
  limit.rlim_cur = std::min(limit.rlim_max, value);
  limit.rlim_max = limit.rlim_cur;
  if (::setrlimit(resource, &limit) != 0) return FailErrno("cannot set a limit");
  return {};
}

Status DropCapabilities() {
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if ((kKept & Bit(capability)) != 0) continue;
    // EINVAL: this kernel has fewer; EPERM: there is nothing to drop.
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL && errno != EPERM) {
      return FailErrno("cannot drop a capability");
    }
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return FailErrno("cannot read capabilities");
  for (int half = 0; half < 2; ++half) {
    const auto kept = static_cast<uint32_t>(kKept >> (32 * half));
    data[half].permitted &= kept;
    data[half].effective = data[half].permitted;
    data[half].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, data) != 0) return FailErrno("cannot drop capabilities");
  return {};
}

Status Enter(int folder_fd) {
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) {
    // An unprivileged caller has nothing such namespaces would take away.
    if (errno == EPERM) return {};
    return FailErrno("cannot make namespaces");
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return FailErrno("cannot make mounts private");
  }
  if (::fchdir(folder_fd) != 0) return FailErrno("cannot enter the folder");
  if (::chroot(".") != 0) return FailErrno("cannot change the root");
  return {};
}

Status FilterCalls(std::span<const char* const> more) {
  const std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)),
                                                      seccomp_release);
  if (!filter) return Fail(Code::kExhausted, "cannot make a system call filter");
  for (const std::span<const char* const> names : {std::span<const char* const>(kCalls), more}) {
    for (const char* name : names) {
      const int number = seccomp_syscall_resolve_name(name);
      if (number == __NR_SCMP_ERROR) continue;  // Not of this architecture.
      const int result = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, number, 0);
      if (result != 0) return FailErrno(-result, "cannot filter system calls");
    }
  }
  if (const int result = seccomp_load(filter.get()); result != 0) {
    return FailErrno(-result, "cannot load the system call filter");
  }
  return {};
}

}  // namespace

Status Confine(int folder_fd) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return FailErrno("cannot follow the parent's end");
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return FailErrno("cannot become undumpable");
  ::umask(0);
  SKIFF_TRY(Limit(RLIMIT_CORE, 0));
  SKIFF_TRY(Limit(RLIMIT_NOFILE, 64));
  SKIFF_TRY(Enter(folder_fd));
  SKIFF_TRY(DropCapabilities());
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return FailErrno("cannot set no_new_privs");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // The sanitizers' run-time makes calls of its own and reserves terabytes.
  SKIFF_TRY(Limit(RLIMIT_AS, rlim_t{1} << 30));
  SKIFF_TRY(FilterCalls({}));
#else
  [[maybe_unused]] const auto unused = &FilterCalls;
#endif
  return {};
}

Status ConfineToNetwork() {
  constexpr uid_t kNobody = 65534;
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return FailErrno("cannot become undumpable");
  SKIFF_TRY(Limit(RLIMIT_CORE, 0));
  SKIFF_TRY(Limit(RLIMIT_NOFILE, 64));
  if (::geteuid() == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
        ::setresuid(kNobody, kNobody, kNobody) != 0) {
      return FailErrno("cannot become nobody");
    }
  }
  // A change of user clears it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return FailErrno("cannot follow the parent's end");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return FailErrno("cannot set no_new_privs");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  SKIFF_TRY(Limit(RLIMIT_AS, rlim_t{1} << 30));
  SKIFF_TRY(FilterCalls(kNetworkCalls));
#endif
  return {};
}

}  // namespace skiff::engine::transfer
