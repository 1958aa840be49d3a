#pragma once

#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/fd.h"
#include "engine-core/runtime_spec.h"

namespace skiff::engine::monitor {

// What the monitor does for the container's network: answers its name queries (netmgr/dns) and
// relays what the kernel cannot redirect (netmgr/relay).
class NameService {
 public:
  explicit NameService(EventLoop* loop);
  ~NameService();

  // `udp`, `tcp`: sockets bound inside the container's network namespace; invalid: none wanted.
  Status Start(const DnsSpec& spec, Fd udp, Fd tcp);
  void Update(const DnsSpec& spec);
  // Takes the container's names out of the tables.
  Status RemoveNames(const std::string& container_id);

 private:
  struct Parts;
  EventLoop* loop_;
  DnsSpec spec_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace skiff::engine::monitor
