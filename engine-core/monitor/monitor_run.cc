// The container's processes: a run from its clone to its end.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/failpoint.h"
#include "engine-core/cgroup_control.h"
#include "engine-core/monitor/liveness.h"
#include "engine-core/monitor/monitor.h"

namespace skiff::engine::monitor {
namespace {

using std::chrono::seconds;

// Processes in an uninterruptible sleep may not die; the container is called exited all the same.
constexpr BootTime kLongestEnd = seconds(10);

int ExitCodeOf(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

// New pipes for each run, so that nobody who kept those of the run before mixes in. `ends` are the
// container's ends, closed after the clone.
Result<child::Stdio> Monitor::OpenStreams(std::vector<Fd>* ends) {
  child::Stdio stdio;
  stdin_.Reset();
  if (message_.spec.tty) return stdio;
  for (const LogStream stream : {LogStream::kStdout, LogStream::kStderr}) {
    SKIFF_ASSIGN(Pipe pipe, MakeOutputPipe());
    SKIFF_TRY(pump_.SetSource(stream, std::move(pipe.read)));
    (stream == LogStream::kStdout ? stdio.output : stdio.error) = pipe.write.get();
    ends->push_back(std::move(pipe.write));
  }
  if (!message_.spec.open_stdin) return stdio;
  SKIFF_ASSIGN(Pipe pipe, MakePipe());
  stdio.input = pipe.read.get();
  ends->push_back(std::move(pipe.read));
  stdin_ = std::move(pipe.write);
  return stdio;
}

Status Monitor::StartRun() {
  SKIFF_TRY(Failpoint("monitor.start_run"));
  terminal_.Reset();
  ending_ = false;
  std::vector<Fd> ends;
  SKIFF_ASSIGN(const child::Stdio stdio, OpenStreams(&ends));
  SKIFF_ASSIGN(init_, child::StartInit(message_.spec, message_.network_namespace.get(), stdio));
  init_running_ = true;
  SKIFF_TRY(loop_->Add(init_.status.get(), EPOLLIN, [this](uint32_t) { ReadInitReport(); }));
  init_status_watched_ = true;
  WatchOom();
  return {};
}

void Monitor::ReadInitReport() {
  Result<std::unique_ptr<child::Report>> report = child::ReadReport(init_);
  if (report && *report != nullptr) {
    switch ((*report)->stage) {
      case child::Stage::kReady:
        return Post(InitReady{});
      case child::Stage::kTerminal: {
        const Status used = UseTerminal(std::move((*report)->terminal));
        if (!used) KillAll();
        return;
      }
      case child::Stage::kWarning:
        warnings_.push_back(std::move((*report)->text));
        return;
      case child::Stage::kFailed:
        break;
    }
  }
  loop_->Remove(init_.status.get());
  init_status_watched_ = false;
  if (!report || *report != nullptr) {
    KillAll();  // It is about to end by itself.
    return Post(InitFailed{report ? (*report)->exit_code : 128,
                           report ? (*report)->text : report.error().Text()});
  }
  const Result<int64_t> host_pid = HostPid(init_.pidfd.get());
  Post(InitExeced{host_pid ? *host_pid : 0});
}

Status Monitor::UseTerminal(Fd master) {
  SKIFF_ASSIGN(Fd output, master.Duplicate());
  SKIFF_TRY(pump_.SetSource(LogStream::kStdout, std::move(output)));
  if (message_.spec.open_stdin) {
    SKIFF_ASSIGN(stdin_, master.Duplicate());
  }
  terminal_ = std::move(master);
  return AdoptLaunchClient();
}

void Monitor::OnSignals() {
  signalfd_siginfo info = {};
  bool reap = false;
  bool stop = false;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    reap = reap || info.ssi_signo == SIGCHLD;
    stop = stop || info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
  }
  if (reap) Reap();
  if (stop) Post(StopRequest{});
}

// Everything that ends below the monitor becomes its child at last: all of it is reaped, known or
// not. SIGCHLD is one bit, so one signal may stand for many.
void Monitor::Reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | __WALL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) break;
    if (init_running_ && pid == init_.pid) {
      OnInitExit(ExitCodeOf(status));
      continue;
    }
    const auto found = processes_.find(pid);
    if (found == processes_.end()) continue;
    ExecSession* session = found->second;
    processes_.erase(found);
    session->OnExit(ExitCodeOf(status));
  }
  if (ending_) TryEndRun();
  PurgeSessions();
}

void Monitor::OnInitExit(int exit_code) {
  init_running_ = false;
  // It was faster than the loop: what it said before comes first.
  while (init_status_watched_) ReadInitReport();
  const Result<int64_t> kills = CountOomKills(message_.spec.memory_cgroup, message_.spec.unified);
  const bool oom = kills && *kills > oom_kills_;
  Post(InitExited{exit_code, oom});
}

// With a PID namespace of its own nothing outlives init: the kernel has seen to it before init
// could be reaped. Otherwise the rest of the cgroup is killed and its end, reaped here, is awaited.
void Monitor::TryEndRun() {
  if (!ending_) return;
  if (!OwnsPidNamespace()) {
    const Result<bool> empty = CgroupIsEmpty(message_.spec.cgroups);
    if (end_timer_ == 0 && empty && !*empty) {
      KillAll();
      end_timer_ = loop_->AddTimer(Now() + kLongestEnd, [this] {
        end_timer_ = 0;
        FinishRun();
      });
    }
    if (empty && !*empty) return;
    if (end_timer_ != 0) loop_->CancelTimer(end_timer_);
    end_timer_ = 0;
  }
  FinishRun();
}

void Monitor::FinishRun() {
  ending_ = false;
  if (oom_events_) loop_->Remove(oom_events_.get());
  oom_events_.Reset();
  pump_.Finish();
  const int exit_code = core_.state().exit_code;
  auto sessions = std::exchange(attached_, {});
  Post(RunEnded{});
  // After the state was written: a client that hears of the end finds it there.
  EndAttachSessions(std::move(sessions), exit_code);
}

void Monitor::KillAll() {
  const RuntimeSpec& spec = message_.spec;
  if (init_running_) {
    ::syscall(SYS_pidfd_send_signal, init_.pidfd.get(), SIGKILL, nullptr, 0);
  }
  if (OwnsPidNamespace()) return;
  const Status killed = KillCgroup(spec.cgroups, spec.freezer_cgroup, spec.unified);
  if (!killed) Journal("kill_failed", {{"error", killed.error().Text()}});
}

void Monitor::WatchOom() {
  const RuntimeSpec& spec = message_.spec;
  if (spec.memory_cgroup.empty()) return;
  const Result<int64_t> kills = CountOomKills(spec.memory_cgroup, spec.unified);
  oom_kills_ = kills ? *kills : 0;
  Result<Fd> events = OpenOomEvents(spec.memory_cgroup, spec.unified);
  // Without it the counters still tell at the end.
  if (!events || !*events) return;
  oom_events_ = std::move(*events);
  const uint32_t interest = spec.unified ? EPOLLPRI : EPOLLIN;
  const Status watched = loop_->Add(oom_events_.get(), interest, [this](uint32_t) { OnOom(); });
  if (!watched) oom_events_.Reset();
}

void Monitor::OnOom() {
  // Reading re-arms it: the counter of an eventfd, the change mark of memory.events.
  char text[256];
  if (message_.spec.unified) {
    if (::pread(oom_events_.get(), text, sizeof text, 0) < 0) {
      loop_->Remove(oom_events_.get());
      return oom_events_.Reset();
    }
  } else if (::read(oom_events_.get(), text, sizeof(uint64_t)) < 0 && errno != EAGAIN) {
    loop_->Remove(oom_events_.get());
    return oom_events_.Reset();
  }
  const RuntimeSpec& spec = message_.spec;
  const Result<int64_t> kills = CountOomKills(spec.memory_cgroup, spec.unified);
  if (kills && *kills > oom_kills_) return Post(OomHappened{});
  // v1 tells when memory has run out, which is before the kill it leads to.
  const Result<bool> off = OomKillerIsOff(spec.memory_cgroup, spec.unified);
  if (!spec.unified && off && !*off) Post(OomHappened{});
}

}  // namespace skiff::engine::monitor
