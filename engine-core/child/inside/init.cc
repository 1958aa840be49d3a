#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/sched.h>

#include "engine-core/child/inside/mounts.h"
#include "engine-core/child/inside/path.h"
#include "engine-core/child/inside/process.h"
#include "engine-core/child/inside/report.h"
#include "engine-core/child/inside/stat.h"

namespace skiff::engine::child::inside {
namespace {

void Enter(int space, uint64_t kind, const char* what) {
  if (space < 0) return;
  const Word entered = Syscall(__NR_setns, space, static_cast<Word>(kind));
  if (entered < 0) Die(entered, "cannot enter the namespace", what);
  Close(space);
}

void EnterNamespaces(const InitPlan& plan) {
  Enter(plan.network_namespace, CLONE_NEWNET, "net");
  Enter(plan.ipc_namespace, CLONE_NEWIPC, "ipc");
  Enter(plan.uts_namespace, CLONE_NEWUTS, "uts");
  Enter(plan.cgroup_namespace, CLONE_NEWCGROUP, "cgroup");
  if (!plan.new_cgroup_namespace) return;
  // Only now: its root is the cgroup this process is in at this moment.
  const Word made = Syscall(__NR_unshare, CLONE_NEWCGROUP);
  if (made < 0) Die(made, "cannot make a cgroup namespace");
}

void SetNames(const InitPlan& plan) {
  if (plan.hostname != nullptr) {
    const Word set =
        Syscall(__NR_sethostname, W(plan.hostname), static_cast<Word>(Length(plan.hostname)));
    if (set < 0) Die(set, "cannot set the host name", plan.hostname);
  }
  if (plan.domainname != nullptr) {
    const Word set =
        Syscall(__NR_setdomainname, W(plan.domainname), static_cast<Word>(Length(plan.domainname)));
    if (set < 0) Die(set, "cannot set the domain name", plan.domainname);
  }
}

// Through the host's procfs, which shows the sysctls of this process's own namespaces and which no
// image can reach.
void SetSysctls(const InitPlan& plan) {
  if (plan.sysctls.size == 0) return;
  const int sys = Open("/proc/sys", kOpenPath | kOpenDirectory);
  if (sys < 0 || FileSystemMagic(sys) != PROC_SUPER_MAGIC)
    Die(sys < 0 ? sys : -ENODEV, "cannot set sysctls");
  for (const SysctlPlan& sysctl : plan.sysctls) {
    OpenHow how = {static_cast<uint64_t>(kOpenWrite | kOpenCloexec), 0,
                   kResolveBeneath | kResolveNoXdev | kResolveNoSymlinks};
    const int fd =
        static_cast<int>(Syscall(__NR_openat2, sys, W(sysctl.path), W(&how), sizeof how));
    const Word result = fd < 0 ? fd : Write(fd, sysctl.value, Length(sysctl.value));
    if (fd >= 0) Close(fd);
    if (result < 0) Die(result, "cannot set sysctl", sysctl.name);
  }
  Close(sys);
}

// A keyring of its own: keys of the caller's session must not be visible inside.
void NewKeyring() {
  const Word joined = Syscall(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0);
  if (joined == -EDQUOT) Warn(joined, "cannot make a session keyring");
}

// The console: a terminal of the container's own devpts, also at /dev/console.
int MakeConsole(const ProcessPlan& process, const MountedRoot& mounted) {
  if (mounted.devpts < 0)
    DieWith("cannot give the container a terminal: it has no /dev/pts", ENODEV, 128);
  const int ptmx = OpenAt(mounted.devpts, "ptmx", kOpenReadWrite | kOpenNoctty | kOpenNofollow);
  if (ptmx < 0) Die(ptmx, "cannot open", "/dev/pts/ptmx");
  const int terminal = OpenTerminal(ptmx, process);
  Close(ptmx);
  if (mounted.dev >= 0) {
    const int made =
        OpenAt(mounted.dev, "console", kOpenWrite | kOpenCreate | kOpenExclusive, 0600);
    if (made >= 0) Close(made);
    const int target = OpenAt(mounted.dev, "console", kOpenPath | kOpenNofollow);
    const int tree = OpenTree(terminal, "", false);
    const Word result = tree < 0 ? tree : target < 0 ? target : MoveMount(tree, target);
    if (result < 0) Die(result, "cannot mount on", "/dev/console");
    Close(tree);
    Close(target);
  }
  return terminal;
}

}  // namespace

void RunInit(InitPlan& plan) {
  const ProcessPlan& process = plan.process;
  ResetProcess(process);
  SetOomScore(process);
  JoinCgroups(process);
  EnterNamespaces(plan);
  SetNames(plan);
  SetSysctls(plan);
  NewKeyring();

  MountedRoot mounted;
  mounted.host_null = OpenNull();
  if (mounted.host_null < 0) Die(mounted.host_null, "cannot open the host's /dev/null");
  CopyBindSources(plan);
  const Word made_private = Syscall(__NR_mount, 0, W("/"), 0, MS_REC | MS_PRIVATE, 0);
  if (made_private < 0) Die(made_private, "cannot separate the container's mounts");
  mounted.root = MountRoot(plan);
  MountAll(plan, mounted);
  MakeDevices(plan, mounted);
  const int terminal = process.tty ? MakeConsole(process, mounted) : -1;
  TakeStdio(process, terminal, ContainersNull(mounted.dev, "null", mounted.host_null));
  HidePaths(plan, mounted);

  static Identity identity;
  ResolveUser(mounted.root, process.user, process.groups, &identity);
  SetHome(process, identity);
  // Made while the root can still be written.
  const int made = ResolveInRoot(mounted.root, process.cwd, Missing::kMakeDirectory);
  if (made < 0) Die(made, "cannot use the working directory", process.cwd);
  Close(made);
  EnterRoot(plan, mounted);
  const int working_directory = OpenWorkingDirectory(process);
  // After the last descriptor: a low limit is the program's, not ours.
  SetLimits(process);

  const char* program = BecomeUser(process, identity, working_directory);

  ReportStage(kStageReady);
  AwaitRelease();
  if (plan.use_init) RunTinyInit(plan, program);
  Execute(process, program);
}

}  // namespace skiff::engine::child::inside
