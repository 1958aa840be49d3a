#pragma once

#include <poll.h>

#include <functional>
#include <map>
#include <vector>

#include "base/event_loop.h"
#include "netmgr/fd_watcher.h"

namespace skiff::net::testing {

// The monitor's side of a service, by poll(2): steps until a condition holds, with a deadline that
// only a broken service reaches.
class WatchedLoop : public FdWatcher {
 public:
  void Watch(int fd, uint32_t events) override { watched_[fd] = events; }
  void Unwatch(int fd) override { watched_.erase(fd); }

  bool Watches(int fd) const { return watched_.contains(fd); }
  size_t watched() const { return watched_.size(); }

  // `extra`: descriptors of the test that wake it up too.
  template <typename Service>
  bool RunUntil(Service& service, const std::function<bool()>& done, std::vector<int> extra = {}) {
    const BootTime deadline = Now() + std::chrono::seconds(10);
    while (!done()) {
      if (Now() > deadline) return false;
      std::vector<pollfd> polled;
      for (const auto& [fd, events] : watched_) {
        polled.push_back({fd, static_cast<short>(events), 0});
      }
      const size_t own = polled.size();
      for (const int fd : extra) polled.push_back({fd, POLLIN, 0});
      ::poll(polled.data(), polled.size(), 1000);
      for (size_t i = 0; i < own; ++i) {
        if (polled[i].revents != 0 && watched_.contains(polled[i].fd)) {
          service.OnEvent(polled[i].fd, static_cast<uint32_t>(polled[i].revents), Now());
        }
      }
    }
    return true;
  }

 private:
  std::map<int, uint32_t> watched_;
};

}  // namespace skiff::net::testing
