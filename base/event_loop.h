#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "base/fd.h"

namespace skiff {

// Time since boot, suspended time included (CLOCK_BOOTTIME): deadlines and back-off survive a
// clock that is set and a laptop that slept.
using BootTime = std::chrono::nanoseconds;
BootTime Now();
// CLOCK_REALTIME, nanoseconds since the epoch: only for time stamps that people read.
int64_t WallClockNanoseconds();

// A single-threaded epoll loop with timers. Callbacks run on the thread in Run() and may add or
// remove descriptors and timers, also their own. The loop does not own descriptors.
class EventLoop {
 public:
  using TimerId = uint64_t;
  using FdCallback = std::function<void(uint32_t epoll_events)>;

  static Result<std::unique_ptr<EventLoop>> Create();

  Status Add(int fd, uint32_t epoll_events, FdCallback callback);
  Status Modify(int fd, uint32_t epoll_events);
  void Remove(int fd);

  TimerId AddTimer(BootTime deadline, std::function<void()> callback);
  void CancelTimer(TimerId id);

  // Runs until Stop(). One pass waits for at least one event or timer.
  Status Run();
  Status RunOnce();
  void Stop() { stopped_ = true; }

 private:
  explicit EventLoop(Fd epoll) : epoll_(std::move(epoll)) {}
  int TimeoutMilliseconds() const;
  void FireTimers();

  Fd epoll_;
  bool stopped_ = false;
  TimerId next_timer_ = 1;
  std::unordered_map<int, std::shared_ptr<FdCallback>> callbacks_;
  std::map<std::pair<BootTime, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, BootTime> deadlines_;
};

}  // namespace skiff
