#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/error.h"
#include "netmgr/address.h"
#include "netmgr/netlink/netlink.h"
#include "netmgr/network.h"

// The host's side of a network. `socket`: rtnetlink of the namespace the calling thread is in.
// Specifications are complete (net::Complete).
namespace skiff::net {

Status MakeBridge(NetlinkSocket* socket, const BridgeSpec& spec);
bool LoopbackCanBeRouted();
// The bridges and all links of their groups. A group that also holds a link whose name is not of
// `root_hash` is taken apart link by link instead.
Status DeleteNetworks(NetlinkSocket* socket, std::string_view root_hash,
                      std::span<const BridgeSpec> specs);
// By a process of its own, which also closes `slow`.
Status DeleteNetworksDetached(NetlinkSocket* socket, std::string_view root_hash,
                              std::span<const BridgeSpec> specs, Fd slow);
// Drops what the kernel tracks from or to the addresses that `wanted` says. It takes 10 ms whatever
// is tracked: every bucket of the kernel's table is walked.
Status ForgetTracked(const std::function<bool(const IpAddress&)>& wanted);

}  // namespace skiff::net
