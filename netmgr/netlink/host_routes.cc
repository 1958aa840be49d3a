#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

#include "netmgr/ipam.h"
#include "netmgr/netlink/netlink.h"

namespace skiff::net {

Result<std::vector<IpPrefix>> ReadHostRoutes() {
  SKIFF_ASSIGN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
  std::vector<IpPrefix> routes;
  NetlinkBatch batch;
  batch.BeginQuiet(RTM_GETROUTE, NLM_F_DUMP);
  batch.Body(rtmsg{});
  SKIFF_TRY(socket.Ask(std::move(batch), "list routes", [&](const NetlinkMessage& message) {
    const auto header = message.Header<rtmsg>();
    if (header.rtm_family != AF_INET && header.rtm_family != AF_INET6) return;
    // Blackholes and the like guard a range on purpose; broadcast and multicast are no range.
    if (header.rtm_type == RTN_BROADCAST || header.rtm_type == RTN_MULTICAST) return;
    if (header.rtm_dst_len == 0) return;
    IpPrefix route;
    route.address.v6 = header.rtm_family == AF_INET6;
    route.length = header.rtm_dst_len;
    AttributeReader attributes(message.After(sizeof(rtmsg)));
    while (attributes.Next()) {
      if (attributes->type != RTA_DST || attributes->data.size() < route.address.size()) continue;
      std::memcpy(route.address.bytes.data(), attributes->data.data(), route.address.size());
    }
    routes.push_back(route);
  }));
  return routes;
}

}  // namespace skiff::net
