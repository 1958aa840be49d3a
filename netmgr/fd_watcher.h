#pragma once

#include <cstdint>

namespace skiff::net {

// How the monitor's epoll shell learns which descriptors a service wants to hear of. A service
// calls Unwatch() before it closes a descriptor. The shell calls the service's OnEvent(fd, events)
// for each event of a descriptor that is watched at that moment: within one epoll batch, events of
// descriptors that an earlier event made unwatched are dropped.
class FdWatcher {
 public:
  virtual ~FdWatcher() = default;
  // Adds `fd` or changes what it is watched for: EPOLLIN, EPOLLOUT (level-triggered).
  virtual void Watch(int fd, uint32_t epoll_events) = 0;
  virtual void Unwatch(int fd) = 0;
};

}  // namespace skiff::net
