#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "netmgr/address.h"
#include "netmgr/netlink/netlink.h"

// Links, addresses and routes as rtnetlink has them.
namespace skiff::net {

struct LinkInfo {
  uint32_t index = 0;
  uint32_t master = 0;
  uint32_t group = 0;
  uint8_t operstate = 0;  // IF_OPER_*
  std::string name;
  std::string kind;  // "bridge", "veth", ...
};

LinkInfo ParseLink(const NetlinkMessage& message);
// Nothing: no such link.
Result<std::optional<LinkInfo>> FindLink(NetlinkSocket* socket, std::string_view name);
Result<std::vector<LinkInfo>> ListLinks(NetlinkSocket* socket);
// SIOCGIFINDEX: cheaper than a message. 0: no such link.
uint32_t LinkIndex(const NetlinkSocket& socket, std::string_view name);

// Six bytes of "02:42:ac:14:00:02".
Result<std::string> ParseMac(std::string_view text);

// Messages for a batch.
void AddLinkUp(NetlinkBatch* batch, uint32_t index, uint32_t master = 0);
// The link gets no fe80:: address when it goes up.
void AddNoLinkLocalAddress(NetlinkBatch* batch, uint32_t index);
// The bridge may send a packet back to this port.
void AddHairpin(NetlinkBatch* batch, uint32_t index);
void AddAddress(NetlinkBatch* batch, uint32_t index, const IpAddress& address, int prefix_length);
void AddDefaultRoute(NetlinkBatch* batch, uint32_t index, const IpAddress& gateway);
void AddDeleteLink(NetlinkBatch* batch, uint32_t index);
void AddDeleteGroup(NetlinkBatch* batch, uint32_t group);

// Value of /proc/sys/net/<name> in the network namespace of the calling thread.
Status SetNetSysctl(const std::string& name, std::string_view value);
Result<std::string> NetSysctl(const std::string& name);
Result<bool> NetSysctlIs(const std::string& name, std::string_view value);

}  // namespace skiff::net
