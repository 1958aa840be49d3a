#include "compose/log_follower.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "compose/labels.h"

namespace skiff::compose {
namespace {

bool HasEnded(const engine::ContainerState& state) {
  return state.status == engine::ContainerStatus::kExited ||
         state.status == engine::ContainerStatus::kDead;
}

bool Runs(const engine::ContainerState& state) {
  return state.running() || state.status == engine::ContainerStatus::kRestarting;
}

void SignalFd(const Fd& fd) {
  const uint64_t one = 1;
  // A full counter is readable as well.
  (void)!write(fd.get(), &one, sizeof one);
}

}  // namespace

LogFollower::LogFollower(engine::Engine& engine, LogPrinter& printer, std::string project,
                         Options options)
    : engine_(engine),
      printer_(printer),
      project_(std::move(project)),
      options_(std::move(options)) {}

LogFollower::~LogFollower() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (cancel_) SignalFd(cancel_);
  if (events_thread_.joinable()) events_thread_.join();
  // No thread adds followers any more.
  for (std::thread& follower : followers_) follower.join();
}

Status LogFollower::Start() {
  event_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event_) return FailErrno("cannot create an event descriptor");
  cancel_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!cancel_) return FailErrno("cannot create an event descriptor");
  engine::ContainerFilter filter;
  filter.all = true;
  filter.labels = {LabelFilter(kProjectLabel, project_)};
  SKIFF_ASSIGN(watch_, engine_.WatchContainers(filter));
  // The watch is open: what changes from here on is seen by the thread.
  SKIFF_ASSIGN(const std::vector<ObservedContainer> containers,
               ObserveContainers(engine_, project_));
  {
    const std::lock_guard lock(mutex_);
    for (const ObservedContainer& observed : containers) Look(observed, true);
  }
  events_thread_ = std::thread([this] { RunEvents(); });
  return {};
}

Status LogFollower::Sync() {
  SKIFF_ASSIGN(const std::vector<ObservedContainer> containers,
               ObserveContainers(engine_, project_));
  const std::lock_guard lock(mutex_);
  for (const ObservedContainer& observed : containers) Look(observed, false);
  return {};
}

std::string LogFollower::NameOf(const ObservedContainer& observed) const {
  // A replacement has no name of its own until the old container is gone.
  if (observed.container.name.empty())
    return fmt::format("{}-{}", observed.service, observed.number);
  return LogName(project_, observed.container.name);
}

// With the lock held. Takes note of a container as it is now.
void LogFollower::Look(const ObservedContainer& observed, bool first) {
  const engine::ContainerState& state = observed.container.state;
  const auto [found, inserted] = containers_.try_emplace(observed.container.id);
  Tracked& tracked = found->second;
  if (inserted) {
    tracked.observed = observed;
    tracked.interest = options_.interest(observed);
    tracked.restart_count = state.restart_count;
    if (tracked.interest == Interest::kShow) {
      printer_.Register(NameOf(observed), observed.service);
    }
    // Runs that ended before anybody looked are not told about.
    if (first && HasEnded(state) && !options_.include_stopped) {
      tracked.seen_start = state.started_at;
    }
  }
  tracked.observed.container.state = state;
  if (tracked.interest == Interest::kIgnore) return;
  if (state.restart_count > tracked.restart_count) {
    tracked.restart_count = state.restart_count;
    if (tracked.interest == Interest::kShow && tracked.following) {
      printer_.Status(NameOf(tracked.observed),
                      fmt::format("exited with code {} (restarting)", state.exit_code));
    }
  }
  const bool unseen_run = state.started_at > tracked.seen_start;
  const bool was_running = std::exchange(tracked.running, Runs(state));
  // Whoever waits for active() to fall looks again.
  if (was_running && !tracked.running) Signal();
  if (tracked.interest == Interest::kShow) {
    if (!tracked.following && unseen_run && (tracked.running || HasEnded(state))) {
      Follow(tracked, first);
    }
  } else if (HasEnded(state) && unseen_run) {
    NoteEnd(tracked, state);
  }
}

// With the lock held.
void LogFollower::Follow(Tracked& tracked, bool first) {
  if (stopping_) return;
  engine::LogOptions options;
  options.follow = true;
  options.cancel_fd = cancel_.get();
  options.until = options_.until;
  if (first) {
    options.since = options_.since;
    options.tail = options_.tail;
  } else {
    // After what has been printed of earlier runs; a run's first line may be older than its start.
    options.since = std::max(options_.since, tracked.resume_from);
  }
  tracked.following = true;
  followers_.emplace_back(
      [this, id = tracked.observed.container.id, options] { RunFollow(id, options); });
}

void LogFollower::RunFollow(std::string id, engine::LogOptions options) {
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    name = NameOf(containers_.at(id).observed);
  }
  int64_t last_time = 0;
  Status read = engine_.ReadLogs(id, options, [&](const engine::LogEntry& entry) {
    printer_.Write(name, entry);
    last_time = std::max(last_time, entry.time);
    return true;
  });
  printer_.Finish(name);
  auto container = engine_.InspectContainer(id);
  const std::lock_guard lock(mutex_);
  Tracked& tracked = containers_.at(id);
  tracked.following = false;
  if (stopping_) return;
  tracked.resume_from = std::max(tracked.resume_from, last_time + 1);
  const bool gone = !container && container.error().code == Code::kNotFound;
  if (!read && !gone && read.error().code != Code::kNotFound) {
    NoteFailure(std::move(read.error()));
  }
  engine::ContainerState state = container ? container->state : tracked.observed.container.state;
  if (container && Runs(state) && read) {
    // Started again between the end of its output and now.
    tracked.observed.container.state = state;
    tracked.running = true;
    Follow(tracked, false);
    return;
  }
  NoteEnd(tracked, state);
}

// With the lock held.
void LogFollower::NoteEnd(Tracked& tracked, const engine::ContainerState& state) {
  tracked.running = false;
  tracked.seen_start = std::max<int64_t>(state.started_at, tracked.seen_start);
  tracked.resume_from = std::max<int64_t>(state.finished_at, tracked.resume_from);
  const std::string name = NameOf(tracked.observed);
  if (tracked.interest == Interest::kShow) {
    printer_.Status(name, fmt::format("exited with code {}", state.exit_code));
  }
  exits_.push_back(
      {tracked.observed.container.id, name, tracked.observed.service, state.exit_code});
  Signal();
}

void LogFollower::OnChange(const engine::StateChange& change) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = containers_.find(change.id);
    if (change.removed) {
      if (found == containers_.end()) return;
      Tracked& tracked = found->second;
      // A follower tells the end itself.
      if (tracked.running && !tracked.following) {
        NoteEnd(tracked, tracked.observed.container.state);
      }
      tracked.running = false;
      Signal();
      return;
    }
    if (found != containers_.end()) {
      ObservedContainer now = found->second.observed;
      now.container.state = change.state;
      Look(now, false);
      return;
    }
  }
  auto container = engine_.InspectContainer(change.id);
  const std::lock_guard lock(mutex_);
  if (container) {
    Look(DescribeContainer(std::move(*container)), false);
  } else if (container.error().code != Code::kNotFound) {
    NoteFailure(std::move(container.error()));
  }
}

void LogFollower::RunEvents() {
  while (true) {
    auto changes = watch_->Next(cancel_.get());
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      if (!changes) {
        NoteFailure(std::move(changes.error()));
        return;
      }
    }
    for (const engine::StateChange& change : *changes) OnChange(change);
  }
}

void LogFollower::NoteFailure(Error error) {
  errors_.push_back(std::move(error));
  Signal();
}

void LogFollower::Signal() {
  SignalFd(event_);
}

std::vector<LogFollower::Exit> LogFollower::TakeExits() {
  uint64_t counter;
  (void)!read(event_.get(), &counter, sizeof counter);
  const std::lock_guard lock(mutex_);
  return std::exchange(exits_, {});
}

int LogFollower::active() {
  const std::lock_guard lock(mutex_);
  int count = 0;
  for (const auto& [id, tracked] : containers_) {
    if (tracked.interest != Interest::kIgnore && (tracked.running || tracked.following)) ++count;
  }
  return count;
}

Status LogFollower::status() {
  const std::lock_guard lock(mutex_);
  if (errors_.empty()) return {};
  return Fail(errors_.front());
}

}  // namespace skiff::compose
