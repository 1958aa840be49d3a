#pragma once

#include <cstdint>

#include "base/error.h"
#include "netmgr/netlink/netlink.h"

namespace skiff::net {

// 127.0.0.11:53 (TCP, UDP) of the namespace of `socket` (NETLINK_NETFILTER) goes to `port` of the
// same address. kUnsupported: the kernel has no nf_tables or no NAT there.
Status RedirectNameService(NetlinkSocket* socket, uint16_t port);

}  // namespace skiff::net
