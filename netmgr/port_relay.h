#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "netmgr/fd_watcher.h"

namespace skiff::net {

// Where what arrives on one reserved socket goes.
struct RelayTarget {
  std::string address;  // Of the container: IPv4 or IPv6.
  uint16_t port = 0;
  int protocol = 6;  // IPPROTO_TCP or IPPROTO_UDP
};

// Carries connections and datagrams that the kernel cannot forward (netmgr/ports.h: RelayNeedOf)
// from reserved sockets to the container. Runs in the monitor: single-threaded, never blocks,
// driven by the monitor's loop. TCP: half-closed ends stay half-closed, at most 64 KiB are under
// way in each direction (in the kernel: splice). UDP: one flow per client address, forgotten after
// 90 s of silence.
class PortRelay {
 public:
  explicit PortRelay(FdWatcher* watcher);
  ~PortRelay();
  PortRelay(const PortRelay&) = delete;
  PortRelay& operator=(const PortRelay&) = delete;

  // Serves `socket` (listening or bound; made non-blocking) from now on.
  Status Serve(Fd socket, const RelayTarget& target);
  // Stops accepting and drops every connection: the container has ended.
  void Stop();
  void OnEvent(int fd, uint32_t epoll_events, BootTime now);
  std::optional<BootTime> NextDeadline() const;
  void OnTimer(BootTime now);
  size_t flows() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace skiff::net
