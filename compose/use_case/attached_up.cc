#include "compose/use_case/attached_up.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <optional>
#include <set>
#include <thread>

#include "base/text.h"
#include "compose/log_follower.h"
#include "compose/planner/lifecycle_planner.h"
#include "compose/planner/plan_builder.h"
#include "compose/use_case/use_case.h"
#include "compose/watch/watch_session.h"

namespace skiff::compose {
namespace {

constexpr int kExitInterrupted = 130;

// Runs one piece of work on a thread of its own; its end is a readable descriptor.
class BackgroundWork {
 public:
  ~BackgroundWork() {
    if (thread_.joinable()) thread_.join();
  }
  Status Start(std::function<Status()> work) {
    done_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!done_) return FailErrno("cannot create an event descriptor");
    thread_ = std::thread([this, work = std::move(work)] {
      status_ = work();
      const uint64_t one = 1;
      (void)!write(done_.get(), &one, sizeof one);
    });
    return {};
  }
  // -1 when nothing runs.
  int fd() const { return done_.get(); }
  bool running() const { return thread_.joinable(); }
  Status Finish() {
    thread_.join();
    done_.Reset();
    return std::move(status_);
  }

 private:
  Fd done_;
  std::thread thread_;
  Status status_;
};

class Session {
 public:
  Session(const Context& context, const schema::Project& project, const UpOptions& options,
          const Plan& plan, std::shared_ptr<void> lock)
      : context_(context),
        project_(project),
        options_(options),
        plan_(plan),
        lock_(std::move(lock)),
        printer_(context.output, options.log_style) {}

  Result<int> Run();

 private:
  LogFollower::Interest InterestIn(const ObservedContainer& observed) const;
  void SelectServices();
  Status StartPlan();
  void TellAttached();
  void ShowHooks(ExecuteOptions& execute);
  Status Loop();
  Status OnInterrupt();
  void OnExits();
  Status OnPlanDone();
  Status StartWatch();
  void CancelWatch();
  void OnWatchEnd();
  Status BeginStop();
  Status StopSelected();
  void KillSelected();

  const Context& context_;
  const schema::Project& project_;
  const UpOptions& options_;
  const Plan& plan_;
  std::shared_ptr<void> lock_;  // Until the plan is carried out.
  LogPrinter printer_;
  std::set<std::string> watched_;
  std::set<std::string> shown_;
  Fd cancel_plan_;
  std::optional<LogFollower> follower_;
  BackgroundWork plan_work_;
  BackgroundWork stop_work_;
  BackgroundWork kill_work_;
  Fd cancel_watch_;
  // While the watch is at work containers may be away for a moment. Work that has begun and that was
  // seen to have ended, since what started by then has to be known first.
  std::atomic<uint64_t> watch_begun_ = 0;
  uint64_t watch_ended_ = 0;
  Fd watch_idle_;  // Counts what has ended since it was read.
  std::unique_ptr<WatchSession> watch_;
  BackgroundWork watch_work_;
  bool plan_done_ = false;
  bool stop_wanted_ = false;
  int interrupts_ = 0;
  std::optional<int> abort_code_;
  std::optional<int> chosen_code_;  // Of --exit-code-from.
};

void Session::SelectServices() {
  const std::vector<std::string>& named = options_.create.services;
  for (const auto& [name, service] : project_.services) {
    const bool selected =
        named.empty() || std::find(named.begin(), named.end(), name) != named.end();
    if (!selected && !options_.attach_dependencies) continue;
    watched_.insert(name);
    if (service.attach && options_.attach.empty()) shown_.insert(name);
  }
  for (const std::string& name : options_.attach) {
    watched_.insert(name);
    shown_.insert(name);
  }
  for (const std::string& name : options_.no_attach) shown_.erase(name);
}

LogFollower::Interest Session::InterestIn(const ObservedContainer& observed) const {
  if (observed.oneoff || !watched_.count(observed.service)) return LogFollower::Interest::kIgnore;
  return shown_.count(observed.service) ? LogFollower::Interest::kShow
                                        : LogFollower::Interest::kWatch;
}

Status Session::StartPlan() {
  TellWarnings(context_, plan_);
  SKIFF_TRY(WriteFiles(plan_));
  cancel_plan_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!cancel_plan_) return FailErrno("cannot create an event descriptor");
  return plan_work_.Start([this] {
    context_.progress->Begin("up");
    for (const std::string& name : plan_.unchanged) {
      ProgressEvent event;
      event.id = "Container " + name;
      event.status = "Running";
      event.phase = ProgressPhase::kDone;
      context_.progress->Report(event);
    }
    ExecuteOptions execute;
    execute.parallel = context_.parallel;
    execute.interrupt_fd = cancel_plan_.get();
    // From the first start on, output of containers may come between.
    execute.before_run_stage = [&] {
      context_.progress->OutputFollows();
      TellAttached();
    };
    ShowHooks(execute);
    Status status = Execute(plan_, *context_.engine, *context_.progress, execute);
    context_.progress->End(status.has_value());
    return status;
  });
}

// "Attaching to db-1, web-1", which people and programs wait for.
void Session::TellAttached() {
  const auto containers = ObserveContainers(*context_.engine, project_.name);
  if (!containers) {
    context_.progress->Diagnose({Severity::kWarning, containers.error()});
    return;
  }
  // One that replaces another has its name later; the other has it still.
  std::set<std::string> names;
  for (const ObservedContainer& observed : *containers) {
    if (observed.oneoff || !shown_.count(observed.service)) continue;
    if (observed.container.name.empty()) continue;
    names.insert(LogName(project_.name, observed.container.name));
  }
  if (names.empty()) return;
  printer_.Plain("Attaching to " + Join(std::vector(names.begin(), names.end()), ", "));
}

// Output of hooks stands among that of containers: "web-1 -> | text".
void Session::ShowHooks(ExecuteOptions& execute) {
  execute.hook_output = [this](const Operation& hook, engine::LogStream stream,
                               std::string_view line) {
    if (!shown_.count(hook.service)) return;
    const std::string name = LogName(project_.name, hook.name) + " ->";
    printer_.Register(name, hook.service);
    const std::string text = std::string(line) + "\n";
    engine::LogEntry entry;
    entry.stream = stream;
    entry.time = WallClockNanoseconds();
    entry.text = text;
    printer_.Write(name, entry);
  };
}

Result<int> Session::Run() {
  SelectServices();
  LogFollower::Options follow;
  follow.interest = [this](const ObservedContainer& observed) { return InterestIn(observed); };
  follow.since = WallClockNanoseconds();
  follower_.emplace(*context_.engine, printer_, project_.name, std::move(follow));
  SKIFF_TRY(follower_->Start());
  // Mistakes in the rules are told before anything starts.
  if (options_.watch) {
    SKIFF_ASSIGN(watch_, WatchSession::Open(context_, project_, *options_.watch,
                                            [this](const std::string& line) { printer_.Watch(line); }));
  }
  SKIFF_TRY(StartPlan());
  const Status ended = Loop();
  CancelWatch();
  if (watch_work_.running()) OnWatchEnd();
  SKIFF_TRY(ended);
  printer_.Flush();
  if (interrupts_ > 0) return kExitInterrupted;
  if (chosen_code_) return *chosen_code_;
  return abort_code_.value_or(0);
}

Status Session::Loop() {
  while (true) {
    const bool busy = plan_work_.running() || stop_work_.running() || kill_work_.running() ||
                      watch_begun_ != watch_ended_;
    if (!busy && plan_done_ && !stop_wanted_ && follower_->active() == 0) {
      OnExits();
      if (!stop_work_.running()) return follower_->status();
    }
    pollfd fds[7] = {{context_.interrupt_fd, POLLIN, 0},
                     {plan_work_.fd(), POLLIN, 0},
                     {stop_work_.fd(), POLLIN, 0},
                     {kill_work_.fd(), POLLIN, 0},
                     {follower_->fd(), POLLIN, 0},
                     {watch_idle_.get(), POLLIN, 0},
                     {watch_work_.fd(), POLLIN, 0}};
    if (poll(fds, std::size(fds), -1) < 0) {
      if (errno == EINTR) continue;
      return FailErrno("cannot wait for events");
    }
    if (fds[0].revents) SKIFF_TRY(OnInterrupt());
    if (fds[1].revents) SKIFF_TRY(OnPlanDone());
    if (fds[2].revents) {
      SKIFF_TRY(stop_work_.Finish());
      SKIFF_TRY(follower_->Sync());
    }
    if (fds[3].revents) SKIFF_TRY(kill_work_.Finish());
    if (fds[4].revents) OnExits();
    if (fds[5].revents) {
      uint64_t times = 0;
      (void)!read(watch_idle_.get(), &times, sizeof times);
      SKIFF_TRY(follower_->Sync());
      watch_ended_ += times;
    }
    if (fds[6].revents) OnWatchEnd();
    const bool settled = !plan_work_.running() && !stop_work_.running() &&
                         watch_begun_ == watch_ended_;
    if (stop_wanted_ && settled) SKIFF_TRY(BeginStop());
  }
}

Status Session::OnInterrupt() {
  char byte;
  const ssize_t got = read(context_.interrupt_fd, &byte, 1);
  if (got < 0 && errno != EAGAIN && errno != EINTR) return FailErrno("cannot read interrupts");
  if (got <= 0) return {};
  ++interrupts_;
  CancelWatch();
  if (interrupts_ == 1) {
    context_.progress->Message("Gracefully Stopping... press Ctrl+C again to force");
    stop_wanted_ = true;
    const uint64_t one = 1;
    (void)!write(cancel_plan_.get(), &one, sizeof one);
  } else if (interrupts_ == 2) {
    return kill_work_.Start([this] {
      KillSelected();
      return Status();
    });
  }
  return {};
}

Status Session::OnPlanDone() {
  Status status = plan_work_.Finish();
  plan_done_ = true;
  lock_.reset();
  if (!status && (stop_wanted_ || status.error().code == Code::kCancelled)) return {};
  if (!status) return status;
  SKIFF_TRY(follower_->Sync());
  return watch_ && !stop_wanted_ ? StartWatch() : Status();
}

Status Session::StartWatch() {
  cancel_watch_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  watch_idle_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!cancel_watch_ || !watch_idle_) return FailErrno("cannot create an event descriptor");
  return watch_work_.Start([this] {
    return watch_->Run(cancel_watch_.get(), [this](bool busy) {
      const uint64_t one = 1;
      if (busy) {
        ++watch_begun_;
      } else {
        (void)!write(watch_idle_.get(), &one, sizeof one);
      }
    });
  });
}

// What runs goes on without it.
void Session::OnWatchEnd() {
  const Status ended = watch_work_.Finish();
  if (!ended) context_.progress->Diagnose({Severity::kWarning, ended.error()});
}

void Session::CancelWatch() {
  const uint64_t one = 1;
  if (cancel_watch_) (void)!write(cancel_watch_.get(), &one, sizeof one);
}

void Session::OnExits() {
  const bool on_any = options_.abort_on_container_exit || !options_.exit_code_from.empty();
  for (const LogFollower::Exit& exit : follower_->TakeExits()) {
    if (exit.service == options_.exit_code_from && !chosen_code_) chosen_code_ = exit.code;
    if (abort_code_ || interrupts_ > 0) continue;
    if (!on_any && !(options_.abort_on_container_failure && exit.code != 0)) continue;
    abort_code_ = exit.code;
    CancelWatch();
    context_.progress->Message("Aborting on container exit...");
    stop_wanted_ = true;
    const uint64_t one = 1;
    (void)!write(cancel_plan_.get(), &one, sizeof one);
  }
}

Status Session::BeginStop() {
  stop_wanted_ = false;
  return stop_work_.Start([this] { return StopSelected(); });
}

Status Session::StopSelected() {
  SKIFF_ASSIGN(const std::vector<ObservedContainer> containers,
               ObserveContainers(*context_.engine, project_.name));
  LifecycleInput input;
  input.project = project_.name;
  input.model = &project_;
  input.containers = &containers;
  input.services = options_.create.services;
  SKIFF_ASSIGN(const Plan stop, MakeStopPlan(input, ToNanoseconds(options_.create.timeout)));
  ExecuteOptions execute;
  execute.parallel = context_.parallel;
  ShowHooks(execute);
  return Execute(stop, *context_.engine, *context_.progress, execute);
}

void Session::KillSelected() {
  const auto containers = ObserveContainers(*context_.engine, project_.name);
  if (!containers) {
    context_.progress->Diagnose({Severity::kWarning, containers.error()});
    return;
  }
  const std::vector<std::string>& named = options_.create.services;
  for (const ObservedContainer& observed : *containers) {
    if (observed.oneoff || !IsActive(observed.container.state)) continue;
    if (!named.empty() && std::find(named.begin(), named.end(), observed.service) == named.end()) {
      continue;
    }
    Status killed = context_.engine->KillContainer(observed.container.id, SIGKILL);
    // It may have ended meanwhile.
    if (!killed && killed.error().code != Code::kFailedPrecondition &&
        killed.error().code != Code::kNotFound) {
      context_.progress->Diagnose({Severity::kWarning, killed.error()});
    }
  }
}

}  // namespace

Result<int> AttachedUp(const Context& context, const schema::Project& project,
                       const UpOptions& options, const Plan& plan, std::shared_ptr<void> lock) {
  return Session(context, project, options, plan, std::move(lock)).Run();
}

}  // namespace skiff::compose
