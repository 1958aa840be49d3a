#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "netmgr/firewall.h"
#include "netmgr/firewall/nftables.h"

// Other people's firewalls. An accept of ours cannot override their drop: where a forward chain of
// theirs drops by policy (or is firewalld's, whose last rule rejects), two plain accepts by
// interface name go to its head. They open nothing: our own chain still isolates the bridge.
namespace skiff::net {

// Commands that let `bridges` pass the foreign chains; rules that stand are not added again.
Result<std::string> AcceptCommands(Nftables* nftables, std::span<const std::string> bridges);
// Commands that remove every such rule of these bridges; a name that ends with '*' stands for all
// bridges that begin like it.
Result<std::string> RemoveAcceptCommands(Nftables* nftables, std::span<const std::string> bridges);

// Legacy iptables (not iptables-nft) whose FORWARD chain drops by policy: we cannot put a rule
// there without its tools, so it is said loudly. One text per family.
std::vector<std::string> LegacyWarnings(std::span<const std::string> bridges);

// What our table holds (JSON of "list table").
Result<FirewallState> ParseTable(std::string_view json);

}  // namespace skiff::net
