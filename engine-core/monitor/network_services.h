#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/fd.h"
#include "engine-core/runtime_spec.h"

namespace skiff::engine::monitor {

// What the monitor does for the container's network while it lives: answers its name queries
// (netmgr/name_service.h), holds the sockets that reserve its published ports and relays what
// arrives there where the kernel cannot (netmgr/port_relay.h).
class NetworkServices {
 public:
  explicit NetworkServices(EventLoop* loop);
  ~NetworkServices();
  NetworkServices(const NetworkServices&) = delete;
  NetworkServices& operator=(const NetworkServices&) = delete;

  // `udp`, `tcp`: name service sockets made inside the container's namespace, or invalid.
  void StartNames(const DnsSpec& spec, Fd udp, Fd tcp);
  // The container is in other networks now.
  void UpdateNames(const DnsSpec& spec);
  // `sockets`: in the order of `specs`. Those without a relay are only held.
  Status StartPorts(const std::vector<PortSocketSpec>& specs, std::vector<Fd> sockets);

  // The container has stopped for good: its names leave the tables, its ports are given back.
  Status End(const DnsSpec& spec);

 private:
  struct Names;
  struct Ports;
  EventLoop* loop_;
  std::unique_ptr<Names> names_;
  std::unique_ptr<Ports> ports_;
};

}  // namespace skiff::engine::monitor
