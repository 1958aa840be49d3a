#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "netmgr/netlink/nf_batch.h"

// Other people's firewalls. An accept of ours cannot override their drop: where a forward chain of
// theirs drops by policy (or is firewalld's, whose last rule rejects), two plain accepts by
// interface name go to its head. They open nothing: our own chain still isolates the bridge.
namespace skiff::net {

// Puts into `batch` what lets `bridges` pass the foreign chains; rules that stand are not added
// again.
Status AddAccepts(NetlinkSocket* socket, std::span<const std::string> bridges, NfBatch* batch);
// What removes every such rule of these bridges; a name that ends with '*' stands for all bridges
// that begin like it.
Status RemoveAccepts(NetlinkSocket* socket, std::span<const std::string> bridges, NfBatch* batch);

// Legacy iptables (not iptables-nft) whose FORWARD chain drops by policy: we cannot put a rule
// there without its tools, so it is said loudly. One text per family.
std::vector<std::string> LegacyWarnings(std::span<const std::string> bridges);

}  // namespace skiff::net
