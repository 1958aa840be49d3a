#include "base/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

namespace skiff {
namespace {

int64_t ReadClock(clockid_t clock) {
  timespec now = {};
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

BootTime Now() {
  return BootTime(ReadClock(CLOCK_BOOTTIME));
}
int64_t WallClockNanoseconds() {
  return ReadClock(CLOCK_REALTIME);
}

Result<std::unique_ptr<EventLoop>> EventLoop::Create() {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return FailErrno("cannot make an epoll instance");
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll)));
}

Status EventLoop::Add(int fd, uint32_t epoll_events, FdCallback callback) {
  epoll_event event = {};
  event.events = epoll_events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return FailErrno("cannot watch a file descriptor");
  }
  callbacks_[fd] = std::make_shared<FdCallback>(std::move(callback));
  return {};
}

Status EventLoop::Modify(int fd, uint32_t epoll_events) {
  epoll_event event = {};
  event.events = epoll_events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
    return FailErrno("cannot change the watch of a file descriptor");
  }
  return {};
}

void EventLoop::Remove(int fd) {
  if (callbacks_.erase(fd) > 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::AddTimer(BootTime deadline, std::function<void()> callback) {
  const TimerId id = next_timer_++;
  timers_.emplace(std::pair(deadline, id), std::move(callback));
  deadlines_.emplace(id, deadline);
  return id;
}

void EventLoop::CancelTimer(TimerId id) {
  const auto found = deadlines_.find(id);
  if (found == deadlines_.end()) return;
  timers_.erase({found->second, id});
  deadlines_.erase(found);
}

int EventLoop::TimeoutMilliseconds() const {
  if (timers_.empty()) return -1;
  const auto left = timers_.begin()->first.first - Now();
  if (left <= BootTime::zero()) return 0;
  // Rounded up, so that a timer never fires before its deadline.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<int64_t>(ms, INT_MAX));
}

void EventLoop::FireTimers() {
  const BootTime now = Now();
  while (!stopped_ && !timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    deadlines_.erase(node.key().second);
    node.mapped()();
  }
}

Status EventLoop::RunOnce() {
  std::array<epoll_event, 32> events;
  const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                             TimeoutMilliseconds());
  if (n < 0 && errno != EINTR) return FailErrno("cannot wait for events");
  for (int i = 0; i < n && !stopped_; ++i) {
    const auto found = callbacks_.find(events[static_cast<size_t>(i)].data.fd);
    if (found == callbacks_.end()) continue;  // Removed by an earlier callback of this pass.
    const std::shared_ptr<FdCallback> callback = found->second;
    (*callback)(events[static_cast<size_t>(i)].events);
  }
  FireTimers();
  return {};
}

Status EventLoop::Run() {
  // One that was stopped before it ran does not run.
  while (!stopped_) SKIFF_TRY(RunOnce());
  stopped_ = false;
  return {};
}

}  // namespace skiff
