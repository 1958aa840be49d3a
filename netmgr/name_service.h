#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/fd.h"
#include "netmgr/fd_watcher.h"

namespace skiff::net {

struct NameServiceConfig {
  std::vector<std::string> tables;  // Paths of name tables (netmgr/name_table.h).
  std::vector<std::string>
      upstreams;        // "10.0.0.2", "fd00::1", "1.1.1.1:5353"; the first 3 are used.
  bool forward = true;  // False: only internal networks.
};

// The name service of one container: answers 127.0.0.11 from name tables, forwards the rest. Runs
// in the monitor: single-threaded, never blocks, driven by the monitor's loop. Upstream sockets are
// opened in the namespace of the calling process (the host's).
class NameService {
 public:
  // `udp`, `tcp`: NameServiceSockets of the container's namespace. Watches them at once.
  NameService(Fd udp, Fd tcp, NameServiceConfig config, FdWatcher* watcher);
  ~NameService();
  NameService(const NameService&) = delete;
  NameService& operator=(const NameService&) = delete;

  // The container is in other networks now. Queries under way keep their old upstreams.
  void Configure(NameServiceConfig config);
  void OnEvent(int fd, uint32_t epoll_events, BootTime now);
  // When OnTimer is wanted next; changes after each OnEvent and OnTimer.
  std::optional<BootTime> NextDeadline() const;
  void OnTimer(BootTime now);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace skiff::net
