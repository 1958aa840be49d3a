#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/failpoint.h"
#include "engine-core/cgroup_control.h"
#include "engine-core/child/child.h"
#include "engine-core/child/plan_builder.h"

namespace skiff::engine::child {
namespace {

// What main() and tests set, before any process is started.
char* g_title = nullptr;
size_t g_title_size = 0;
OverlayMethod g_overlay = OverlayMethod::kAutomatic;

// The caller's own PID namespace for children, restored however the function is left.
class PidNamespaceOfChildren {
 public:
  // `target`: a namespace file, or a pidfd of a process in it.
  static Result<PidNamespaceOfChildren> Enter(int target) {
    PidNamespaceOfChildren guard;
    SKIFF_ASSIGN(guard.own_, OpenFile("/proc/self/ns/pid", O_RDONLY));
    if (setns(target, CLONE_NEWPID) != 0) {
      if (errno == ESRCH) {
        return Fail(Code::kFailedPrecondition,
                    "the container is not running: its first process has ended");
      }
      return FailErrno("cannot enter the container's PID namespace");
    }
    guard.entered_ = true;
    return guard;
  }
  PidNamespaceOfChildren() = default;
  PidNamespaceOfChildren(PidNamespaceOfChildren&& other) noexcept
      : own_(std::move(other.own_)), entered_(std::exchange(other.entered_, false)) {}
  PidNamespaceOfChildren& operator=(PidNamespaceOfChildren&&) = delete;
  ~PidNamespaceOfChildren() {
    // Cannot fail: it is the namespace this process has never left.
    if (entered_) setns(own_.get(), CLONE_NEWPID);
  }

 private:
  Fd own_;
  bool entered_ = false;
};

struct CloneRequest {
  uint64_t flags = 0;
  Fd cgroup;  // v2: the folder the process is born in.
};

Result<CloneRequest> PrepareClone(const RuntimeSpec& spec, uint64_t flags) {
  CloneRequest request;
  request.flags = flags | CLONE_PIDFD;
  // The hybrid layout has one hierarchy of v2 among those of v1.
  const auto unified =
      spec.unified ? spec.cgroups.begin() : std::ranges::find_if(spec.cgroups, IsUnifiedCgroup);
  if (unified != spec.cgroups.end()) {
    SKIFF_ASSIGN(request.cgroup, OpenFile(*unified, O_RDONLY | O_DIRECTORY));
    request.flags |= CLONE_INTO_CGROUP;
  }
  return request;
}

// Blocks all signals while the process is cloned: no handler of this program may run in it.
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

// Clones a copy of this process that runs `program`, which never returns.
template <typename Program>
Result<Starting> Clone(const CloneRequest& request, Program program) {
  clone_args arguments = {};
  int pidfd = -1;
  arguments.flags = request.flags;
  arguments.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  if (request.cgroup) arguments.cgroup = static_cast<uint64_t>(request.cgroup.get());
  SignalsBlocked blocked;
  const long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) program();
  if (pid < 0) return FailErrno("cannot start a process");
  Starting started;
  started.pid = static_cast<pid_t>(pid);
  started.pidfd = Fd(pidfd);
  return started;
}

Error WithText(const inside::ReportMessage& message, std::string text) {
  const int number = message.sys_errno < 0 ? -message.sys_errno : 0;
  return Error(CodeOfErrno(number), std::move(text), number);
}

}  // namespace

void UseArgumentArea(int argc, char** argv) {
  if (argc < 1) return;
  g_title = argv[0];
  char* end = argv[0];
  for (int i = 0; i < argc && argv[i] == end; ++i) end = argv[i] + std::strlen(argv[i]) + 1;
  g_title_size = static_cast<size_t>(end - argv[0]);
}

void ForceOverlayMethodForTesting(OverlayMethod method) {
  g_overlay = method;
}

Result<Starting> StartInit(const RuntimeSpec& spec, int network_namespace, const Stdio& stdio) {
  SKIFF_TRY(Failpoint("child.start_init.before_clone"));
  SKIFF_ASSIGN(auto sockets, MakeSocketPair(SOCK_SEQPACKET));
  PlanMemory memory;
  const InitInput input = {spec,      network_namespace, stdio,       sockets.second.get(),
                           g_overlay, g_title,           g_title_size};
  SKIFF_ASSIGN(inside::InitPlan plan, BuildInitPlan(input, memory));
  uint64_t flags = CLONE_NEWNS;
  if (spec.pid.mode == NamespaceMode::kNew) flags |= CLONE_NEWPID;
  if (spec.ipc.mode == NamespaceMode::kNew) flags |= CLONE_NEWIPC;
  if (spec.uts.mode == NamespaceMode::kNew) flags |= CLONE_NEWUTS;
  PidNamespaceOfChildren joined;
  if (spec.pid.mode == NamespaceMode::kJoin) {
    SKIFF_ASSIGN(const Fd target, OpenFile(spec.pid.path, O_RDONLY));
    auto entered = PidNamespaceOfChildren::Enter(target.get());
    if (!entered) return Fail(std::move(entered).error());
    PidNamespaceOfChildren guard = std::move(*entered);
    SKIFF_ASSIGN(const CloneRequest request, PrepareClone(spec, flags));
    SKIFF_ASSIGN(Starting started, Clone(request, [&plan] { inside::RunInit(plan); }));
    started.status = std::move(sockets.first);
    return started;
  }
  SKIFF_ASSIGN(const CloneRequest request, PrepareClone(spec, flags));
  SKIFF_ASSIGN(Starting started, Clone(request, [&plan] { inside::RunInit(plan); }));
  started.status = std::move(sockets.first);
  return started;
}

Result<Starting> StartExec(const RuntimeSpec& spec, int init_pidfd, const ExecSpec& exec,
                           const Stdio& stdio) {
  SKIFF_TRY(Failpoint("child.start_exec.before_clone"));
  SKIFF_ASSIGN(auto sockets, MakeSocketPair(SOCK_SEQPACKET));
  PlanMemory memory;
  SKIFF_ASSIGN(inside::ExecPlan plan,
               BuildExecPlan({spec, exec, init_pidfd, stdio, sockets.second.get()}, memory));
  SKIFF_ASSIGN(const CloneRequest request, PrepareClone(spec, 0));
  // A process cannot change its own PID namespace, only that of its children: so the parent enters,
  // clones its direct child and goes back.
  auto entered = PidNamespaceOfChildren::Enter(init_pidfd);
  if (!entered) return Fail(std::move(entered).error());
  PidNamespaceOfChildren guard = std::move(*entered);
  SKIFF_ASSIGN(Starting started, Clone(request, [&plan] { inside::RunExec(plan); }));
  started.status = std::move(sockets.first);
  return started;
}

Status Release(const Starting& process) {
  SKIFF_TRY(Failpoint("child.release"));
  return SendMessage(process.status.get(), "r", {}, MSG_NOSIGNAL);
}

Result<std::unique_ptr<Report>> ReadReport(const Starting& process) {
  bool executing = false;
  for (;;) {
    SKIFF_ASSIGN(ReceivedMessage received,
                 ReceiveMessage(process.status.get(), sizeof(inside::ReportMessage)));
    if (received.data.empty()) {
      if (executing) return std::unique_ptr<Report>();
      auto report = std::make_unique<Report>();
      report->text = "the process was killed before its program was executed";
      return report;
    }
    inside::ReportMessage message = {};
    if (received.data.size() < inside::kReportHeader)
      return Fail(Code::kCorrupted, "a starting process sent a malformed report");
    std::memcpy(&message, received.data.data(), received.data.size());
    if (message.text_size > received.data.size() - inside::kReportHeader)
      return Fail(Code::kCorrupted, "a starting process sent a malformed report");
    if (message.stage == inside::kStageExecuting) {
      executing = true;
      continue;
    }
    auto report = std::make_unique<Report>();
    report->stage = static_cast<Stage>(message.stage);
    report->sys_errno = message.sys_errno < 0 ? -message.sys_errno : message.sys_errno;
    report->exit_code = message.exit_code;
    report->text = WithText(message, std::string(message.text, message.text_size)).Text();
    if (!received.fds.empty()) report->terminal = std::move(received.fds.front());
    return report;
  }
}

}  // namespace skiff::engine::child
