#include "engine-core/monitor/monitor.h"

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "engine-core/cgroup_control.h"
#include "engine-core/monitor/liveness.h"
#include "engine-core/monitor_client.h"

namespace skiff::engine::monitor {
namespace {

using std::chrono::seconds;

// How long memory for large batches is kept after it was used.
constexpr BootTime kReleaseAfter = seconds(1);
constexpr BootTime kStateRetry = std::chrono::milliseconds(200);

// Start and end of the program's read-only pages, from the linker.
extern "C" char __executable_start;
extern "C" char etext;

// Most of the program is needed once, for the start. Its pages stay in the page cache; what an idle
// monitor needs comes back with a few soft faults.
void DropProgramPages() {
  constexpr uintptr_t kPage = 4096;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(&__executable_start) & ~(kPage - 1);
  const uintptr_t end = reinterpret_cast<uintptr_t>(&etext) & ~(kPage - 1);
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace

Monitor::Monitor(LaunchMessage message, Fd channel, std::unique_ptr<EventLoop> loop,
                 LogLimits limits)
    : message_(std::move(message)),
      channel_(std::move(channel)),
      loop_(std::move(loop)),
      core_(message_.spec),
      log_(message_.spec.log_path, limits),
      pump_(loop_.get(), &scratch_, &log_),
      control_(loop_.get(),
               {[this](ClientId client, Request request) { OnRequest(client, std::move(request)); },
                [this](ClientId client) { OnClientGone(client); }}),
      network_(loop_.get()) {
  // <run root>/containers/<id>
  const std::string& run_dir = message_.spec.run_dir;
  const std::string containers = run_dir.substr(0, run_dir.rfind('/'));
  journal_folder_ = containers.substr(0, containers.rfind('/'));
}

Monitor::~Monitor() = default;

Result<std::unique_ptr<Monitor>> Monitor::Create(LaunchMessage message, Fd channel) {
  SKIFF_ASSIGN(auto loop, EventLoop::Create());
  SKIFF_ASSIGN(const LogLimits limits, ParseLogLimits(message.spec.log));
  std::unique_ptr<Monitor> monitor(
      new Monitor(std::move(message), std::move(channel), std::move(loop), limits));
  SKIFF_TRY(monitor->Prepare());
  return monitor;
}

Status Monitor::Prepare() {
  scratch_.set_on_large([this] { LaterRelease(); });
  // Without a PID namespace of its own (pid: host) orphans of the container come here all the same.
  if (::getpid() != 1 && ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    return FailErrno("cannot become a subreaper");
  }
  const std::string& run_dir = message_.spec.run_dir;
  const Fd self(OpenPidfd(::getpid()));
  if (!self) return FailErrno("cannot open the monitor's own pidfd");
  SKIFF_ASSIGN(const int64_t host_pid, HostPid(self.get()));
  SKIFF_ASSIGN(lock_, HoldLock(run_dir, host_pid));
  if (scratch_.size() == 0) return Fail(Code::kExhausted, "cannot map the monitor's buffer");
  SKIFF_TRY(WatchSignals());
  return {};
}

Status Monitor::WatchSignals() {
  sigset_t set;
  sigemptyset(&set);
  // As PID 1 of its namespace it gets only what it asks for; blocked signals are not dropped.
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP}) sigaddset(&set, signal);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return FailErrno("cannot block signals");
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  if (::sigaction(SIGPIPE, &ignore, nullptr) != 0) return FailErrno("cannot ignore SIGPIPE");
  signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return FailErrno("cannot make a signal descriptor");
  return loop_->Add(signals_.get(), EPOLLIN, [this](uint32_t) { OnSignals(); });
}

// The clone comes first: the container's mounts are made while the sockets are.
Status Monitor::Open() {
  for (const Action& action : core_.Begin({Now(), WallClockNanoseconds()})) {
    std::visit([this](const auto& value) { Do(value); }, action);
  }
  // With a terminal the client is connected when that stands.
  if (!message_.spec.tty) SKIFF_TRY(AdoptLaunchClient());
  SKIFF_TRY(control_.Listen(message_.spec.run_dir));
  network_.StartNames(message_.spec.dns, std::move(message_.dns_udp), std::move(message_.dns_tcp));
  return network_.StartPorts(message_.spec.ports, std::move(message_.ports));
}

Status Monitor::Run() {
  if (const Status opened = Open(); !opened) {
    StartReport report;
    report.exit_code = 128;
    report.error = opened.error().Text();
    // The launcher may be gone; the container dies with this process in any case.
    static_cast<void>(SendStartReport(channel_.get(), report));
    return opened;
  }
  LaterRelease();
  Work();
  return loop_->Run();
}

// ---- Events and actions ------------------------------------------------------------------------

void Monitor::Post(Event event) {
  events_.push_back(std::move(event));
  Work();
}

// Carrying out an action may post further events: they wait until the actions before are done.
void Monitor::Work() {
  if (std::exchange(working_, true)) return;
  while (!events_.empty()) {
    const Event event = std::move(events_.front());
    events_.pop_front();
    for (const Action& action : core_.Handle(event, {Now(), WallClockNanoseconds()})) {
      std::visit([this](const auto& value) { Do(value); }, action);
    }
  }
  working_ = false;
}

void Monitor::Do(const StartInit&) {
  const Status started = StartRun();
  if (started) return;
  // Not Work() now: the other actions of this event come first.
  events_.push_back(InitFailed{128, started.error().Text()});
}

void Monitor::Do(const ReleaseInit&) {
  const Status released = child::Release(init_);
  // It has died: its end is on the way.
  if (!released) KillAll();
}

void Monitor::Do(const SignalInit& action) {
  if (!init_running_) return;
  ::syscall(SYS_pidfd_send_signal, init_.pidfd.get(), action.signal, nullptr, 0);
}

void Monitor::Do(const KillContainer&) {
  KillAll();
}

void Monitor::Do(const SetFrozen& action) {
  const RuntimeSpec& spec = message_.spec;
  const Status done = action.frozen ? FreezeCgroup(spec.freezer_cgroup, spec.unified)
                                    : ThawCgroup(spec.freezer_cgroup, spec.unified);
  if (!done && action.frozen) {
    // Half frozen is worse than not frozen; the first failure is the one to tell.
    const Status thawed = ThawCgroup(spec.freezer_cgroup, spec.unified);
    events_.push_back(FreezeDone{!thawed, done.error().Text()});
    return;
  }
  events_.push_back(FreezeDone{action.frozen, done ? "" : done.error().Text()});
}

void Monitor::Do(const SetTimer& action) {
  Do(CancelTimer{action.kind});
  const TimerKind kind = action.kind;
  timers_[static_cast<size_t>(kind)] = loop_->AddTimer(action.deadline, [this, kind] {
    timers_[static_cast<size_t>(kind)] = 0;
    Post(TimerFired{kind});
  });
}

void Monitor::Do(const CancelTimer& action) {
  EventLoop::TimerId& timer = timers_[static_cast<size_t>(action.kind)];
  if (timer != 0) loop_->CancelTimer(timer);
  timer = 0;
}

void Monitor::Do(const WriteState&) {
  if (state_timer_ != 0) loop_->CancelTimer(std::exchange(state_timer_, 0));
  if (core_.state().status == ContainerStatus::kExited && !message_.spec.end_path.empty()) {
    // For after a reboot only: what asks in this boot reads the state below.
    const Status kept = WriteFileAtomically(message_.spec.end_path, StateToJson(core_.state()),
                                            0600, Durability::kVolatile);
    if (!kept) Journal("end_lost", {{"error", kept.error().Text()}});
  }
  Status written = Failpoint("monitor.state.write");
  if (written) {
    written = WriteFileAtomically(message_.spec.run_dir + "/state.json", StateToJson(core_.state()),
                                  0600, Durability::kVolatile);
  }
  if (written) {
    state_lost_ = false;
    return;
  }
  // Without room for the state nobody knows how the container fares: tried until there is some.
  if (!std::exchange(state_lost_, true)) {
    Journal("state_lost", {{"error", written.error().Text()}});
  }
  state_timer_ = loop_->AddTimer(Now() + kStateRetry, [this] {
    state_timer_ = 0;
    Do(WriteState{});
  });
}

void Monitor::Do(const RunProbe& action) {
  const std::vector<std::string>& test = message_.spec.healthcheck.test;
  ExecSession::Request request;
  request.capture = true;
  request.spec.environment = message_.spec.environment;
  request.spec.cwd = message_.spec.cwd;
  request.spec.user = message_.spec.user;
  if (test.front() == "CMD-SHELL") {
    request.spec.args = {"/bin/sh", "-c", test.size() > 1 ? test[1] : ""};
  } else {
    request.spec.args.assign(test.begin() + (test.front() == "CMD" ? 1 : 0), test.end());
  }
  // One that was given up may still be dying.
  if (probe_) ended_sessions_.push_back(std::move(probe_));
  const uint64_t id = action.probe;
  probe_id_ = id;
  const auto done = [this, id](int exit_code, const std::string& output) {
    ExecSession* session = probe_.get();
    if (probe_id_ == id && session != nullptr) Finished(session);
    Post(ProbeDone{id, exit_code, output});
  };
  probe_ = std::make_unique<ExecSession>(
      loop_.get(), &scratch_, ExecSession::Listener{nullptr, done, [this, done](int exit_code) {
                                                      done(exit_code,
                                                           probe_ ? probe_->captured() : "");
                                                    }});
  const Status started = probe_->Start(message_.spec, init_.pidfd.get(), std::move(request));
  if (started) {
    processes_[probe_->pid()] = probe_.get();
    return;
  }
  ended_sessions_.push_back(std::move(probe_));
  events_.push_back(ProbeDone{id, 128, started.error().Text()});
}

void Monitor::Do(const KillProbe& action) {
  if (probe_ && probe_id_ == action.probe) probe_->Signal(SIGKILL);
}

void Monitor::Journal(const std::string& action, JournalAttributes attributes) {
  // The journal is news, not state: what cannot be written is not worth a container.
  const Status appended =
      AppendJournalEntry(journal_folder_, FormatJournalEntry(WallClockNanoseconds(), "container",
                                                             action, message_.spec.id, attributes));
  static_cast<void>(appended);
}

void Monitor::Do(const AppendJournal& action) {
  Journal(action.action, action.attributes);
}

void Monitor::Do(const ReportStart& action) {
  StartReport report;
  report.host_pid = action.host_pid;
  report.exit_code = action.exit_code;
  report.error = action.error;
  report.warnings = std::exchange(warnings_, {});
  // The launcher may be dead: then nobody waits, and the container runs all the same.
  const Status sent = SendStartReport(channel_.get(), report);
  if (!sent || attached_.empty()) channel_.Reset();
}

void Monitor::Do(const Reply& action) {
  if (action.client == 0) return;
  AnswerMessage answer;
  answer.answer = action.error ? Answer::kError : Answer::kDone;
  answer.error = action.error;
  control_.Send(action.client, answer);
}

// Reap() goes on from here, when all that has ended is reaped.
void Monitor::Do(const EndRun&) {
  ending_ = true;
}

void Monitor::Do(const RemoveNames&) {
  const Status removed = network_.End(message_.spec.dns);
  if (!removed) Journal("names_left", {{"error", removed.error().Text()}});
}

void Monitor::Do(const Exit&) {
  // Those whose client has not taken all its output yet: the rest is lost to it, the code is not.
  for (const auto& [client, session] : execs_) {
    if (!session->exited()) continue;
    AnswerMessage answer;
    answer.answer = Answer::kExited;
    answer.exit_code = session->exit_code();
    control_.Send(client, answer);
  }
  control_.StopListening();
  loop_->Stop();
}

void Monitor::LaterRelease() {
  if (release_timer_ != 0) return;
  release_timer_ = loop_->AddTimer(Now() + kReleaseAfter, [this] {
    release_timer_ = 0;
    scratch_.Release();
    log_.Release();
    ::malloc_trim(0);
    DropProgramPages();
  });
}

}  // namespace skiff::engine::monitor
