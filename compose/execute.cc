#include "compose/execute.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "base/event_loop.h"
#include "base/text.h"
#include "base/units.h"
#include "compose/labels.h"
#include "compose/operation_runner.h"

namespace skiff::compose {
namespace {

// A commit is worth its cost when nothing else happens for so long.
constexpr BootTime kCommitDelay = std::chrono::milliseconds(100);
constexpr BootTime kTick = std::chrono::milliseconds(100);

// One wait that is under way.
struct PendingWait {
  int operation = -1;
  std::map<std::string, std::string> unsettled;  // Id -> name of containers not there yet.
  BootTime deadline = BootTime::max();
};

class Executor {
 public:
  Executor(const Plan& plan, engine::Engine& engine, Progress& progress,
           const ExecuteOptions& options)
      : plan_(plan),
        engine_(engine),
        progress_(progress),
        options_(options),
        runner_(plan, engine, progress, options) {}

  Status Run();

 private:
  const Operation& At(int index) const { return plan_.operations[static_cast<size_t>(index)]; }

  // Called with the lock held.
  void Release(int index);
  void Complete(int index, Status status);
  bool Finished() const;
  void StopDispatching() { stopping_ = true; }

  void Work();
  void Wake();
  // Of the calling thread only.
  Status Supervise();
  int PollTimeout(BootTime now) const;
  void CommitWhenQuiet(BootTime now);
  void BeginWaits();
  Status BeginWait(int index);
  void Apply(const engine::StateChange& change);
  void Judge(PendingWait& wait, const std::string& id, const engine::ContainerState& state,
             bool removed);
  void Settle(const PendingWait& wait, Status status);
  void ExpireWaits(BootTime now);
  void FailWait(const PendingWait& wait, const std::string& id, const std::string& problem,
                int exit_code);
  Status Outcome();

  const Plan& plan_;
  engine::Engine& engine_;
  Progress& progress_;
  const ExecuteOptions& options_;
  OperationRunner runner_;

  std::mutex mutex_;  // Guards everything down to errors_.
  std::condition_variable work_;
  std::set<int> ready_;  // By index: the order is that of the plan.
  std::vector<int> new_waits_;
  std::vector<int> missing_;  // Per operation: dependencies that are not done.
  std::vector<std::vector<int>> dependents_;
  std::vector<int> held_;  // Ready, but of the later stage.
  int declare_left_ = 0;
  int in_flight_ = 0;
  int done_ = 0;
  int waiting_ = 0;
  bool stopping_ = false;
  bool interrupted_ = false;
  BootTime changed_at_{};  // Of the last operation that is not committed; zero: none.
  std::vector<Error> errors_;

  Fd wake_;
  Fd at_once_;  // Always readable.
  // Of the calling thread.
  std::unique_ptr<engine::Watch> watch_;
  std::vector<PendingWait> waits_;
  BootTime next_tick_{};
};

bool Executor::Finished() const {
  if (in_flight_ > 0) return false;
  if (stopping_) return true;
  return done_ == static_cast<int>(plan_.operations.size());
}

void Executor::Release(int index) {
  if (At(index).stage == Operation::Stage::kRun && declare_left_ > 0) {
    held_.push_back(index);
  } else if (At(index).kind == OperationKind::kWait) {
    new_waits_.push_back(index);
    ++waiting_;
  } else {
    ready_.insert(index);
    work_.notify_one();
  }
}

void Executor::Complete(int index, Status status) {
  if (!status) {
    errors_.push_back(std::move(status.error()));
    StopDispatching();
    return;
  }
  ++done_;
  for (int dependent : dependents_[static_cast<size_t>(index)]) {
    if (--missing_[static_cast<size_t>(dependent)] == 0) Release(dependent);
  }
  if (At(index).stage == Operation::Stage::kDeclare && --declare_left_ == 0) {
    if (options_.before_run_stage) options_.before_run_stage();
    for (int held : std::exchange(held_, {})) Release(held);
  }
}

void Executor::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [&] { return Finished() || stopping_ || !ready_.empty(); });
    if (stopping_ || ready_.empty()) return;
    const int index = *ready_.begin();
    ready_.erase(ready_.begin());
    ++in_flight_;
    lock.unlock();
    Status status = runner_.Run(index);
    lock.lock();
    --in_flight_;
    changed_at_ = Now();
    Complete(index, std::move(status));
    if (Finished() || stopping_) work_.notify_all();
    Wake();
  }
}

void Executor::Wake() {
  const uint64_t one = 1;
  // A full counter means that a wake-up is pending anyway.
  (void)!write(wake_.get(), &one, sizeof one);
}

Status Executor::Run() {
  const size_t count = plan_.operations.size();
  missing_.resize(count);
  dependents_.resize(count);
  size_t calls = 0;
  for (size_t i = 0; i < count; ++i) {
    const Operation& operation = plan_.operations[i];
    missing_[i] = static_cast<int>(operation.dependencies.size());
    for (int dependency : operation.dependencies) {
      dependents_[static_cast<size_t>(dependency)].push_back(static_cast<int>(i));
    }
    declare_left_ += operation.stage == Operation::Stage::kDeclare;
    calls += operation.kind != OperationKind::kWait;
  }
  wake_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return FailErrno("cannot create an event descriptor");
  at_once_ = Fd(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!at_once_) return FailErrno("cannot create an event descriptor");
  if (declare_left_ == 0 && options_.before_run_stage) options_.before_run_stage();
  for (size_t i = 0; i < count; ++i) {
    if (missing_[i] == 0) Release(static_cast<int>(i));
  }
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  const size_t limit = options_.parallel > 0 ? static_cast<size_t>(options_.parallel) : 2 * cores;
  std::vector<std::thread> workers;
  for (size_t i = 0; i < std::min(limit, calls); ++i) workers.emplace_back([this] { Work(); });
  Status supervised = Supervise();
  {
    const std::lock_guard lock(mutex_);
    StopDispatching();
    work_.notify_all();
  }
  for (std::thread& worker : workers) worker.join();
  if (!supervised) errors_.push_back(std::move(supervised.error()));
  if (Status committed = engine_.Commit(); !committed) {
    errors_.push_back(std::move(committed.error()));
  }
  return Outcome();
}

Status Executor::Outcome() {
  if (errors_.empty()) {
    if (interrupted_) return Fail(Code::kCancelled, "interrupted");
    return {};
  }
  Error first = std::move(errors_.front());
  for (size_t i = 1; i < errors_.size(); ++i) {
    first.notes.push_back({errors_[i].Text(), errors_[i].span});
  }
  return Fail(std::move(first));
}

int Executor::PollTimeout(BootTime now) const {
  BootTime until = BootTime::max();
  if (changed_at_ != BootTime{} && ready_.empty()) until = changed_at_ + kCommitDelay;
  for (const PendingWait& wait : waits_) until = std::min(until, wait.deadline);
  if (progress_.WantsTicks()) until = std::min(until, next_tick_);
  if (until == BootTime::max()) return -1;
  if (until <= now) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  return static_cast<int>(std::min<int64_t>(left, 3600 * 1000));
}

Status Executor::Supervise() {
  next_tick_ = Now() + kTick;
  while (true) {
    int timeout;
    {
      const std::lock_guard lock(mutex_);
      if (Finished()) return {};
      timeout = new_waits_.empty() ? PollTimeout(Now()) : 0;
    }
    pollfd fds[3] = {{wake_.get(), POLLIN, 0},
                     {interrupted_ ? -1 : options_.interrupt_fd, POLLIN, 0},
                     {watch_ ? watch_->fd() : -1, POLLIN, 0}};
    if (poll(fds, 3, timeout) < 0 && errno != EINTR) return FailErrno("cannot wait for events");
    if (fds[0].revents) {
      uint64_t counter;
      (void)!read(wake_.get(), &counter, sizeof counter);
    }
    if (fds[1].revents) {
      const std::lock_guard lock(mutex_);
      interrupted_ = true;
      StopDispatching();
      work_.notify_all();
      continue;
    }
    if (fds[2].revents) {
      // An event may turn out to be about nothing; then this must not block.
      SKIFF_ASSIGN(const std::vector<engine::StateChange> changes, watch_->Next(at_once_.get()));
      for (const engine::StateChange& change : changes) Apply(change);
    }
    BeginWaits();
    const BootTime now = Now();
    ExpireWaits(now);
    CommitWhenQuiet(now);
    if (progress_.WantsTicks() && now >= next_tick_) {
      progress_.Tick();
      next_tick_ = now + kTick;
    }
  }
}

void Executor::CommitWhenQuiet(BootTime now) {
  {
    const std::lock_guard lock(mutex_);
    // At the end Run commits.
    if (stopping_ || done_ == static_cast<int>(plan_.operations.size())) return;
    if (changed_at_ == BootTime{} || !ready_.empty()) return;
    const bool only_waiting = in_flight_ == 0 && waiting_ > 0;
    if (!only_waiting && now < changed_at_ + kCommitDelay) return;
    changed_at_ = BootTime{};
  }
  if (Status committed = engine_.Commit(); !committed) {
    const std::lock_guard lock(mutex_);
    errors_.push_back(std::move(committed.error()));
    StopDispatching();
    work_.notify_all();
  }
}

void Executor::BeginWaits() {
  std::vector<int> begun;
  {
    const std::lock_guard lock(mutex_);
    begun = std::exchange(new_waits_, {});
    // The answer may need what is not committed yet: published ports, for one.
    if (stopping_) return;
  }
  for (int index : begun) {
    if (Status status = BeginWait(index); !status) {
      PendingWait failed;
      failed.operation = index;
      Settle(failed, std::move(status));
    }
  }
}

Status Executor::BeginWait(int index) {
  const Operation& operation = At(index);
  if (!watch_) {
    engine::ContainerFilter filter;
    filter.all = true;
    filter.labels = {LabelFilter(kProjectLabel, plan_.project)};
    SKIFF_ASSIGN(watch_, engine_.WatchContainers(filter));
  }
  PendingWait wait;
  wait.operation = index;
  if (operation.wait_timeout) wait.deadline = Now() + *operation.wait_timeout;
  for (const ContainerTarget& target : operation.wait_for) {
    const std::string id = runner_.IdOf(target);
    wait.unsettled[id] = target.name;
    runner_.Report("Container " + target.name, "Waiting", ProgressPhase::kWorking);
  }
  waits_.push_back(wait);
  // The watch is open, so nothing that happens after this look is missed.
  for (const auto& [id, name] : wait.unsettled) {
    const auto container = engine_.InspectContainer(id);
    if (!container && container.error().code != Code::kNotFound) return Fail(container.error());
    Apply({id, !container, container ? container->state : engine::ContainerState{}});
  }
  return {};
}

void Executor::Apply(const engine::StateChange& change) {
  // Judging may end a wait, and with it remove it from the list.
  std::vector<int> concerned;
  for (const PendingWait& wait : waits_) {
    if (wait.unsettled.count(change.id)) concerned.push_back(wait.operation);
  }
  for (int operation : concerned) {
    const auto wait = std::find_if(waits_.begin(), waits_.end(), [&](const PendingWait& pending) {
      return pending.operation == operation;
    });
    if (wait != waits_.end()) Judge(*wait, change.id, change.state, change.removed);
  }
}

void Executor::Judge(PendingWait& wait, const std::string& id, const engine::ContainerState& state,
                     bool removed) {
  const Operation& operation = At(wait.operation);
  WaitAnswer answer = JudgeWait(operation.condition, operation.exit_zero_is_success, state);
  if (removed) answer = {WaitVerdict::kFailed, "was removed"};
  const std::string resource = "Container " + wait.unsettled[id];
  switch (answer.verdict) {
    case WaitVerdict::kPending:
      return;
    case WaitVerdict::kFailed: {
      const PendingWait ended = wait;
      FailWait(ended, id, answer.problem, state.exit_code);
      return;
    }
    case WaitVerdict::kSatisfied:
      runner_.Report(resource, state.running() ? "Healthy" : "Exited", ProgressPhase::kDone);
      wait.unsettled.erase(id);
      if (wait.unsettled.empty()) Settle(PendingWait(wait), {});
      return;
  }
}

void Executor::FailWait(const PendingWait& wait, const std::string& id, const std::string& problem,
                        int exit_code) {
  const Operation& operation = At(wait.operation);
  const std::string& name = wait.unsettled.at(id);
  const bool completion = operation.condition == WaitCondition::kCompletedSuccessfully;
  const std::string failure =
      fmt::format("\"{}\" didn't complete successfully: exit {}", operation.service, exit_code);
  if (!operation.required) {
    Error warning(Code::kFailedPrecondition,
                  completion ? "optional dependency " + failure
                             : fmt::format("optional dependency \"{}\" is not running or is "
                                           "unhealthy: container {} {}",
                                           operation.service, name, problem));
    runner_.Report("Container " + name, "Error", ProgressPhase::kWarning, warning.message);
    progress_.Diagnose({Severity::kWarning, std::move(warning).At(operation.span)});
    Settle(wait, {});
    return;
  }
  Error error(Code::kFailedPrecondition, fmt::format("container {} {}", name, problem));
  if (completion) {
    error.message = "service " + failure;
  } else if (operation.condition == WaitCondition::kHealthy) {
    error.message = "dependency failed to start: " + error.message;
  }
  error.span = operation.span;
  ExplainContainer(engine_, id, name, error);
  if (operation.condition != WaitCondition::kRunningOrHealthy) {
    error.notes.push_back({operation.cause, {}});
  }
  runner_.Report("Container " + name, "Error", ProgressPhase::kError,
                 fmt::format("container {} {}", name, problem));
  for (int dependent : dependents_[static_cast<size_t>(wait.operation)]) {
    if (At(dependent).kind != OperationKind::kStartContainer) continue;
    runner_.Report("Container " + At(dependent).name, "Error", ProgressPhase::kError,
                   fmt::format("dependency {} failed to start", operation.service));
  }
  Settle(wait, Fail(std::move(error)));
}

void Executor::Settle(const PendingWait& wait, Status status) {
  std::erase_if(waits_,
                [&](const PendingWait& pending) { return pending.operation == wait.operation; });
  const std::lock_guard lock(mutex_);
  --waiting_;
  Complete(wait.operation, std::move(status));
  if (Finished() || stopping_) work_.notify_all();
}

void Executor::ExpireWaits(BootTime now) {
  std::vector<PendingWait> expired;
  for (const PendingWait& wait : waits_) {
    if (wait.deadline <= now) expired.push_back(wait);
  }
  for (const PendingWait& wait : expired) {
    Error error(Code::kTimeout, fmt::format("application not healthy after {}",
                                            FormatDuration(*At(wait.operation).wait_timeout)));
    for (const auto& [id, name] : wait.unsettled) {
      ExplainContainer(engine_, id, name, error);
      runner_.Report("Container " + name, "Error", ProgressPhase::kError, error.message);
    }
    error.span = At(wait.operation).span;
    Settle(wait, Fail(std::move(error)));
  }
}

}  // namespace

WaitAnswer JudgeWait(WaitCondition condition, bool exit_zero_is_success,
                     const engine::ContainerState& state) {
  using engine::ContainerStatus;
  using engine::HealthStatus;
  const bool ended =
      state.status == ContainerStatus::kExited || state.status == ContainerStatus::kDead;
  const std::string exited =
      fmt::format("exited ({}){}", state.exit_code, state.oom_killed ? ", out of memory" : "");
  if (condition == WaitCondition::kCompletedSuccessfully) {
    if (!ended) return {};
    if (state.exit_code == 0) return {WaitVerdict::kSatisfied, ""};
    return {WaitVerdict::kFailed, exited};
  }
  if (ended) {
    const bool job = condition == WaitCondition::kRunningOrHealthy && exit_zero_is_success;
    if (job && state.exit_code == 0) return {WaitVerdict::kSatisfied, ""};
    return {WaitVerdict::kFailed, exited};
  }
  if (!state.running()) return {};
  switch (state.health) {
    case HealthStatus::kHealthy:
      return {WaitVerdict::kSatisfied, ""};
    case HealthStatus::kUnhealthy:
      return {WaitVerdict::kFailed, "is unhealthy"};
    case HealthStatus::kStarting:
      return {};
    case HealthStatus::kNone:
      if (condition == WaitCondition::kRunningOrHealthy) return {WaitVerdict::kSatisfied, ""};
      return {WaitVerdict::kFailed, "has no healthcheck configured"};
  }
  return {};
}

Status Execute(const Plan& plan, engine::Engine& engine, Progress& progress,
               const ExecuteOptions& options) {
  if (plan.empty()) {
    if (options.before_run_stage) options.before_run_stage();
    return {};
  }
  return Executor(plan, engine, progress, options).Run();
}

}  // namespace skiff::compose
