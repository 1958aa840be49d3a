#include <linux/magic.h>

#include "engine-core/child/inside/mounts.h"
#include "engine-core/child/inside/path.h"
#include "engine-core/child/inside/process.h"
#include "engine-core/child/inside/report.h"

namespace skiff::engine::child::inside {
namespace {

int OpenContainerTerminal(int root, const ProcessPlan& plan) {
  // No link may lead elsewhere: the container can change its /dev, not the devpts below it.
  const int ptmx =
      OpenInRoot(root, "/dev/pts/ptmx", kOpenReadWrite | kOpenNoctty, kResolveNoSymlinks);
  if (ptmx < 0) Die(ptmx, "cannot open", "/dev/pts/ptmx");
  const int terminal = OpenTerminal(ptmx, plan);
  Close(ptmx);
  return terminal;
}

}  // namespace

void RunExec(ExecPlan& plan) {
  const ProcessPlan& process = plan.process;
  ResetProcess(process);
  SetOomScore(process);
  JoinCgroups(process);
  const int host_null = OpenNull();
  if (host_null < 0) Die(host_null, "cannot open the host's /dev/null");
  const Word entered = Syscall(__NR_setns, plan.init_pidfd, static_cast<Word>(plan.namespaces));
  if (entered < 0) Die(entered, "cannot enter the container");
  Close(plan.init_pidfd);

  const int root = Open("/", kOpenPath | kOpenDirectory);
  if (root < 0) Die(root, "cannot open", "/");
  const int terminal = process.tty ? OpenContainerTerminal(root, process) : -1;
  TakeStdio(process, terminal, ContainersNull(root, "dev/null", host_null));
  static Identity identity;
  ResolveUser(root, process.user, process.groups, &identity);
  SetHome(process, identity);
  Close(root);
  const int working_directory = OpenWorkingDirectory(process);
  SetLimits(process);
  const char* program = BecomeUser(process, identity, working_directory);
  Execute(process, program);
}

}  // namespace skiff::engine::child::inside
