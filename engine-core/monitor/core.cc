#include "engine-core/monitor/core.h"

#include <algorithm>
#include <csignal>
#include <utility>

namespace skiff::engine::monitor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BootTime kFirstRestartPause = milliseconds(100);
constexpr BootTime kLongestRestartPause = seconds(60);
constexpr BootTime kGoodRun = seconds(10);

}  // namespace

BootTime NextRestartPause(BootTime pause, BootTime run) {
  if (pause == BootTime::zero() || run >= kGoodRun) return kFirstRestartPause;
  return std::min(pause * 2, kLongestRestartPause);
}

bool PolicyRestarts(const RestartPolicy& policy, int restart_count, int exit_code) {
  switch (policy.mode) {
    case RestartMode::kNo:
      return false;
    case RestartMode::kAlways:
    case RestartMode::kUnlessStopped:
      return true;
    case RestartMode::kOnFailure:
      return exit_code != 0 &&
             (policy.maximum_retries == 0 || restart_count < policy.maximum_retries);
  }
  return false;
}

Core::Core(const RuntimeSpec& spec)
    : id_(spec.id),
      name_(spec.name),
      stop_signal_(spec.stop_signal > 0 ? spec.stop_signal : SIGTERM),
      stop_timeout_(spec.stop_timeout_ns),
      policy_(spec.restart),
      health_(spec.healthcheck) {}

Actions Core::Begin(Moment now) {
  now_ = now;
  Do(StartInit{});
  return std::exchange(actions_, {});
}

Actions Core::Handle(const Event& event, Moment now) {
  now_ = now;
  std::visit([this](const auto& value) { On(value); }, event);
  return std::exchange(actions_, {});
}

// ---- The process -------------------------------------------------------------------------------

void Core::On(const InitReady&) {
  if (phase_ == Phase::kStarting) Do(ReleaseInit{});
}

void Core::On(const InitExeced& event) {
  if (phase_ != Phase::kStarting) return;
  phase_ = Phase::kRunning;
  run_started_ = now_.boot;
  state_.status = ContainerStatus::kRunning;
  state_.pid = event.host_pid;
  state_.exit_code = 0;
  state_.oom_killed = false;
  state_.error.clear();
  state_.started_at = now_.wall;
  Actions probes;
  if (!stopping_) health_.Start(now_, &state_, &probes);
  Do(WriteState{});
  if (!std::exchange(reported_, true)) Do(ReportStart{event.host_pid, 0, ""});
  Journal("start");
  if (!restart_clients_.empty()) Journal("restart");
  Answer(&restart_clients_, std::nullopt);
  for (Action& action : probes) actions_.push_back(std::move(action));
}

void Core::On(const InitFailed& event) {
  if (phase_ != Phase::kStarting) return;
  // Docker: a first start that fails leaves the container created, a later one exited.
  const bool first = state_.started_at == 0;
  state_.status = first ? ContainerStatus::kCreated : ContainerStatus::kExited;
  state_.pid = 0;
  state_.exit_code = event.exit_code;
  state_.error = event.text;
  if (!first) state_.finished_at = now_.wall;
  stopped_by_hand_ = true;
  Finish(Error(Code::kFailedPrecondition, event.text));
  if (!std::exchange(reported_, true)) {
    // Before Exit, which Finish() put last.
    actions_.insert(actions_.end() - 1, ReportStart{0, event.exit_code, event.text});
  }
}

void Core::On(const InitExited& event) {
  if (phase_ == Phase::kStarting) return On(InitFailed{128, "the container's process died"});
  if (phase_ != Phase::kRunning) return;
  phase_ = Phase::kEnding;
  state_.exit_code = event.exit_code;
  state_.oom_killed = state_.oom_killed || event.oom_killed;
  state_.finished_at = now_.wall;
  state_.pid = 0;
  health_.Cancel(&actions_);
  Do(CancelTimer{TimerKind::kStop});
  Do(EndRun{});
}

void Core::On(const RunEnded&) {
  if (phase_ != Phase::kEnding) return;
  const BootTime run = now_.boot - run_started_;
  Journal("die", {{"exitCode", std::to_string(state_.exit_code)},
                  {"execDuration", std::to_string(run / seconds(1))}});
  stopping_ = false;
  stop_deadline_ = BootTime::zero();
  if (restart_by_hand_) return StartAgain();
  if (stopped_by_hand_ || !PolicyRestarts(policy_, state_.restart_count, state_.exit_code)) {
    if (stopped_by_hand_) Journal("stop");
    state_.status = ContainerStatus::kExited;
    return Finish();
  }
  phase_ = Phase::kWaiting;
  state_.status = ContainerStatus::kRestarting;
  ++state_.restart_count;
  restart_pause_ = NextRestartPause(restart_pause_, run);
  Do(WriteState{});
  Do(SetTimer{TimerKind::kRestart, now_.boot + restart_pause_});
}

// By hand: the count and the pause begin anew, as docker's.
void Core::StartAgain() {
  restart_by_hand_ = false;
  stopped_by_hand_ = false;
  state_.restart_count = 0;
  restart_pause_ = BootTime::zero();
  phase_ = Phase::kStarting;
  state_.status = ContainerStatus::kRestarting;
  Do(WriteState{});
  Do(StartInit{});
}

void Core::Finish() {
  Finish(Error(Code::kCancelled, "container " + id_ + " was stopped meanwhile"));
}

// Who is answered finds the state written.
void Core::Finish(const Error& of_restart) {
  phase_ = Phase::kEnded;
  if (state_.health != HealthStatus::kNone && state_.health != HealthStatus::kUnhealthy) {
    // Docker: a stopped container is not healthy, and a waiter must not take it for starting.
    state_.health = HealthStatus::kUnhealthy;
  }
  Do(RemoveNames{});
  Do(WriteState{});
  Answer(&pause_clients_, Error(Code::kFailedPrecondition, "container " + id_ + " is not running"));
  Answer(&restart_clients_, of_restart);
  Answer(&stop_clients_, std::nullopt);
  Do(Exit{});
}

void Core::On(const TimerFired& event) {
  switch (event.kind) {
    case TimerKind::kStop:
      if (!stopping_ || (phase_ != Phase::kRunning && phase_ != Phase::kStarting)) return;
      Do(KillContainer{});
      Thaw();
      return;
    case TimerKind::kRestart:
      if (phase_ != Phase::kWaiting) return;
      phase_ = Phase::kStarting;
      Do(StartInit{});
      return;
    case TimerKind::kNextProbe:
      if (phase_ == Phase::kRunning) health_.OnNextProbe(now_, &actions_);
      return;
    case TimerKind::kProbeTimeout:
      health_.OnTimeout(&actions_);
      return;
  }
}

void Core::On(const OomHappened&) {
  if (phase_ != Phase::kRunning || state_.oom_killed) return;
  state_.oom_killed = true;
  Do(WriteState{});
  Journal("oom");
}

void Core::On(const ProbeDone& event) {
  if (phase_ == Phase::kRunning) {
    const size_t first = actions_.size();
    health_.OnDone(event, now_, &state_, &actions_);
    for (size_t i = first; i < actions_.size(); ++i) {
      auto* entry = std::get_if<AppendJournal>(&actions_[i]);
      if (entry != nullptr) entry->attributes.emplace_back("name", name_);
    }
  }
}

// ---- Requests ----------------------------------------------------------------------------------

// Sends the signal and arms the deadline; a later request can only bring the deadline forward.
void Core::BeginStop(int signal, std::optional<Nanoseconds> timeout) {
  const Nanoseconds wait = timeout.value_or(stop_timeout_);
  if (signal == 0) signal = stop_signal_;
  health_.Cancel(&actions_);
  if (phase_ == Phase::kStarting) signal = SIGKILL;  // Its program has not begun: nobody to ask.
  if (signal == SIGKILL || wait == Nanoseconds::zero()) {
    // Docker sends the signal first even with a timeout of zero; the result is the same.
    Do(KillContainer{});
  } else {
    Do(SignalInit{signal});
  }
  Thaw();
  const bool armed = std::exchange(stopping_, true) && stop_deadline_ != BootTime::zero();
  if (wait < Nanoseconds::zero()) return;
  const BootTime deadline = now_.boot + wait;
  if (armed && stop_deadline_ <= deadline) return;
  stop_deadline_ = deadline;
  if (wait > Nanoseconds::zero()) Do(SetTimer{TimerKind::kStop, deadline});
}

// A frozen process cannot act on a signal (and on cgroup v1 not even die).
void Core::Thaw() {
  if (state_.status != ContainerStatus::kPaused && !freezing_) return;
  Do(SetFrozen{false});
}

void Core::On(const StopRequest& event) {
  if (phase_ == Phase::kEnded) return Do(Reply{event.client, std::nullopt});
  if (event.client != 0) stop_clients_.push_back(event.client);
  stopped_by_hand_ = true;
  restart_by_hand_ = false;
  if (phase_ == Phase::kWaiting) {
    Do(CancelTimer{TimerKind::kRestart});
    state_.status = ContainerStatus::kExited;
    return Finish();
  }
  if (phase_ != Phase::kEnding) BeginStop(event.signal, event.timeout);
}

void Core::On(const RestartRequest& event) {
  if (phase_ == Phase::kEnded) return Refuse(event.client, "container " + id_ + " is not running");
  if (event.client != 0) restart_clients_.push_back(event.client);
  if (phase_ == Phase::kStarting) return;  // The start that is under way answers it.
  restart_by_hand_ = true;
  stopped_by_hand_ = true;
  if (phase_ == Phase::kWaiting) {
    Do(CancelTimer{TimerKind::kRestart});
    return StartAgain();
  }
  if (phase_ == Phase::kRunning) BeginStop(event.signal, event.timeout);
}

void Core::On(const KillRequest& event) {
  const bool ends = event.signal == SIGKILL || event.signal == stop_signal_;
  if (phase_ == Phase::kWaiting && ends) {
    Do(Reply{event.client, std::nullopt});
    return On(StopRequest{});
  }
  if (phase_ != Phase::kRunning && phase_ != Phase::kStarting) {
    return Refuse(event.client, "container " + id_ + " is not running");
  }
  if (ends) {
    stopped_by_hand_ = true;
    restart_by_hand_ = false;
  }
  Journal("kill", {{"signal", std::to_string(event.signal)}});
  if (event.signal == SIGKILL) {
    Do(KillContainer{});
  } else {
    Do(SignalInit{event.signal});
  }
  if (ends) Thaw();
  Do(Reply{event.client, std::nullopt});
}

void Core::On(const PauseRequest& event) {
  const bool paused = state_.status == ContainerStatus::kPaused;
  if (phase_ != Phase::kRunning) {
    return Refuse(event.client, "container " + id_ + " is not running");
  }
  if (event.pause && paused) return Refuse(event.client, "Container " + id_ + " is already paused");
  if (!event.pause && !paused) return Refuse(event.client, "Container " + id_ + " is not paused");
  if (event.client != 0) pause_clients_.push_back(event.client);
  freezing_ = event.pause;
  if (event.pause) health_.Cancel(&actions_);
  Do(SetFrozen{event.pause});
}

void Core::On(const FreezeDone& event) {
  freezing_ = false;
  if (phase_ != Phase::kRunning) return;  // Finish() answers.
  std::optional<Error> error;
  if (!event.error.empty()) error = Error(Code::kSystem, event.error);
  if (event.error.empty()) {
    const auto status = event.frozen ? ContainerStatus::kPaused : ContainerStatus::kRunning;
    if (state_.status != status) {
      state_.status = status;
      Do(WriteState{});
      Journal(event.frozen ? "pause" : "unpause");
    }
  }
  if (state_.status == ContainerStatus::kRunning && !stopping_) health_.Resume(now_, &actions_);
  Answer(&pause_clients_, error);
}

void Core::On(const RenameRequest& event) {
  name_ = event.name;
  Do(WriteState{});
  Do(Reply{event.client, std::nullopt});
}

// ---- Small things ------------------------------------------------------------------------------

void Core::Journal(std::string action, JournalAttributes attributes) {
  attributes.emplace_back("name", name_);
  Do(AppendJournal{std::move(action), std::move(attributes)});
}

void Core::Answer(std::vector<ClientId>* clients, const std::optional<Error>& error) {
  for (const ClientId client : *clients) Do(Reply{client, error});
  clients->clear();
}

void Core::Refuse(ClientId client, std::string message) {
  Do(Reply{client, Error(Code::kFailedPrecondition, std::move(message))});
}

}  // namespace skiff::engine::monitor
