#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/fd.h"
#include "netmgr/network.h"

// A container's network namespace and what is put into it. The calls are HostNetwork's.
//
// A namespace lives as long as something holds it: the descriptor, or a process inside. When the
// last is gone the kernel deletes the veth pairs, so a killed command leaks nothing.
//
// First packet (DESIGN 7): the host end goes up first, then the inner one; IPv6 addresses have no
// duplicate detection; AttachEndpoint returns when both ends are operational and the address has
// been announced, so that the first packet of the container, and the first one to it, arrive.
namespace skiff::net {

struct NamespaceOptions {
  // Docker's defaults: any process may bind ports below 1024 and send ping.
  bool default_sysctls = true;
};

// Sockets of the name service (netmgr/name_service.h), made inside a namespace: bound to ephemeral
// ports of 127.0.0.11, to which the kernel redirects 127.0.0.11:53 (TCP, UDP) of that namespace.
struct NameServiceSockets {
  Fd udp;
  Fd tcp;  // Listening.
  // The namespace has no NAT: the sockets are bound to port 53 itself, and a container that binds
  // 0.0.0.0:53 fails.
  bool on_port_53 = false;
};

struct PreparedNamespace {
  Fd network_namespace;
  NameServiceSockets names;  // Invalid descriptors when not asked for.
};

}  // namespace skiff::net
