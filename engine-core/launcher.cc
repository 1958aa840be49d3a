#include "engine-core/launcher.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/failpoint.h"
#include "base/text.h"
#include "engine-core/cgroup_control.h"
#include "engine-core/launch/normal_context.h"

extern "C" int clone(int (*function)(void*), void* stack, int flags, void* argument, ...);

namespace skiff::engine {
namespace {

constexpr size_t kStackSize = 64u << 10;

// A detached, read-only view of the program: /proc/<pid>/exe of whoever runs it cannot be opened
// for writing, also not by root inside a container (CVE-2019-5736).
Result<Fd> CloneReadOnly(const std::string& program) {
  Fd tree(static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, program.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!tree) return FailErrno("cannot open the monitor's program '" + program + "'");
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) !=
      0) {
    return FailErrno("cannot make the monitor's program read-only");
  }
  return tree;
}

// A stack for the new process while it shares this one's memory, with a guard page below.
class Stack {
 public:
  Stack()
      : memory_(mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {
    if (memory_ != MAP_FAILED) mprotect(memory_, 4096, PROT_NONE);
  }
  ~Stack() {
    if (memory_ != MAP_FAILED) munmap(memory_, kStackSize);
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  void* top() const {
    return memory_ == MAP_FAILED ? nullptr : static_cast<char*>(memory_) + kStackSize;
  }

 private:
  void* memory_;
};

class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t old_;
};

// A monitor's environment is not the caller's: only what tests steer it with.
std::vector<std::string> MonitorEnvironment() {
  std::vector<std::string> environment = {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  for (const char* name : {"SKIFF_FAILPOINTS", "SKIFF_TEST_BOOT_ID", "SKIFF_TRACE"}) {
    if (const char* value = getenv(name)) environment.push_back(std::string(name) + "=" + value);
  }
  return environment;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

struct ContextFacts {
  bool no_new_privileges = false;
  bool seccomp = false;
};

ContextFacts ReadContext() {
  ContextFacts facts;
  facts.no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
  facts.seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) > 0;
  return facts;
}

// True when this process sees other mounts than PID 1 does; unknown counts as no.
bool InForeignMountNamespace() {
  struct stat own, first;
  if (stat("/proc/self/ns/mnt", &own) != 0 || stat("/proc/1/ns/mnt", &first) != 0) return false;
  return own.st_ino != first.st_ino;
}

}  // namespace

std::vector<std::string> CheckCallerContext() {
  std::vector<std::string> warnings;
  const ContextFacts facts = ReadContext();
  if (facts.no_new_privileges)
    warnings.push_back(
        "this process runs with no_new_privs; containers inherit it, so that su and sudo do not "
        "work "
        "in them");
  if (facts.seccomp)
    warnings.push_back(
        "this process runs under a seccomp filter; containers inherit it and some of their system "
        "calls may fail");
  if (InForeignMountNamespace())
    warnings.push_back(
        "this process is in a mount namespace of its own; containers see the mounts it sees, not "
        "those of the host");
  return warnings;
}

Result<std::unique_ptr<Launcher>> Launcher::Create(std::string program) {
  return Create(Options{std::move(program), {}});
}

Result<std::unique_ptr<Launcher>> Launcher::Create(Options options) {
  SKIFF_ASSIGN(Fd image, CloneReadOnly(options.program));
  std::vector<Fd> cgroups;
  for (const std::string& cgroup : options.cgroups) {
    auto entry = OpenCgroupEntry(cgroup);
    if (entry) cgroups.push_back(std::move(*entry));
  }
  return std::unique_ptr<Launcher>(
      new Launcher(std::move(options.program), std::move(image), std::move(cgroups)));
}

Result<Launcher::Launched> Launcher::Launch(const Request& request) const {
  SKIFF_TRY(Failpoint("launcher.before_clone"));
  SKIFF_ASSIGN(const RuntimeSpec spec, DecodeRuntimeSpec(request.spec));
  SKIFF_ASSIGN(auto sockets, MakeSocketPair(SOCK_SEQPACKET));
  // Before the monitor exists: it never waits for this process.
  SKIFF_TRY(SendLaunchMessage(
      sockets.first.get(), request.spec,
      {request.network_namespace, request.dns_udp, request.dns_tcp, request.attach_input,
       request.attach_output, request.attach_error, request.ports}));
  std::vector<std::string> arguments = {"skiff-monitor", spec.id};
  std::vector<std::string> environment = MonitorEnvironment();
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(environment);
  std::vector<int> entries;
  for (const Fd& cgroup : cgroups_) entries.push_back(cgroup.get());
  launch::ContextPlan plan = {&entries,    image_.get(), sockets.second.get(),
                              argv.data(), envp.data(),  0};
  const Stack stack;
  if (stack.top() == nullptr) return FailErrno("cannot allocate a stack for a monitor");
  int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
  if (spec.pid.mode == NamespaceMode::kNew) flags |= CLONE_NEWPID;
  int pidfd = -1;
  Launched launched;
  {
    const SignalsBlocked blocked;
    launched.pid = clone(launch::RunMonitor, stack.top(), flags, &plan, &pidfd);
  }
  if (launched.pid < 0) return FailErrno("cannot start a monitor");
  launched.pidfd = Fd(pidfd);
  if (plan.error != 0) {
    waitpid(launched.pid, nullptr, 0);
    return FailErrno(plan.error, "cannot execute the monitor '" + program_ + "'");
  }
  launched.channel = std::move(sockets.first);
  return launched;
}

Result<Launcher::StartReport> Launcher::AwaitStart(const Launched& launched) {
  return ReceiveStartReport(launched.channel.get());
}

}  // namespace skiff::engine
