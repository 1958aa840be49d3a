#include "netmgr/netlink/links.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "base/text.h"

namespace skiff::net {

LinkInfo ParseLink(const NetlinkMessage& message) {
  LinkInfo link;
  link.index = static_cast<uint32_t>(message.Header<ifinfomsg>().ifi_index);
  AttributeReader attributes(message.After(sizeof(ifinfomsg)));
  while (attributes.Next()) {
    switch (attributes->type) {
      case IFLA_IFNAME:
        link.name = attributes->text();
        break;
      case IFLA_MASTER:
        link.master = attributes->u32();
        break;
      case IFLA_GROUP:
        link.group = attributes->u32();
        break;
      case IFLA_OPERSTATE:
        link.operstate = attributes->u8();
        break;
      case IFLA_LINKINFO: {
        AttributeReader info(attributes->data);
        while (info.Next()) {
          if (info->type == IFLA_INFO_KIND) link.kind = info->text();
        }
        break;
      }
      default:
        break;
    }
  }
  return link;
}

Result<std::optional<LinkInfo>> FindLink(NetlinkSocket* socket, std::string_view name) {
  NetlinkBatch batch;
  batch.BeginQuiet(RTM_GETLINK, 0);
  batch.Body(ifinfomsg{}).Text(IFLA_IFNAME, name);
  std::optional<LinkInfo> link;
  const Status asked =
      socket->Ask(std::move(batch), fmt::format("read link '{}'", name),
                  [&](const NetlinkMessage& message) { link = ParseLink(message); });
  if (!asked && asked.error().sys_errno != ENODEV) return tl::unexpected(asked.error());
  return link;
}

Result<std::vector<LinkInfo>> ListLinks(NetlinkSocket* socket) {
  std::vector<LinkInfo> links;
  NetlinkBatch batch;
  batch.BeginQuiet(RTM_GETLINK, NLM_F_DUMP);
  batch.Body(ifinfomsg{});
  // Statistics are most of an answer and nobody reads them.
  batch.Number<uint32_t>(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  SKIFF_TRY(socket->Ask(std::move(batch), "list links", [&](const NetlinkMessage& message) {
    if (message.type == RTM_NEWLINK) links.push_back(ParseLink(message));
  }));
  return links;
}

uint32_t LinkIndex(const NetlinkSocket& socket, std::string_view name) {
  ifreq request = {};
  if (name.size() >= sizeof request.ifr_name) return 0;
  name.copy(request.ifr_name, name.size());
  if (::ioctl(socket.fd(), SIOCGIFINDEX, &request) != 0) return 0;
  return static_cast<uint32_t>(request.ifr_ifindex);
}

Result<std::string> ParseMac(std::string_view text) {
  std::string bytes;
  for (const std::string_view part : Split(text, text.find('-') == text.npos ? ':' : '-')) {
    const auto byte = ParseNumber<uint8_t>(part, 16);
    if (!byte || part.size() != 2) break;
    bytes.push_back(static_cast<char>(*byte));
  }
  const bool whole = bytes.size() == 6 && text.size() == 17;
  // The lowest bit of the first byte is that of groups.
  if (!whole || (bytes[0] & 1) != 0) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid MAC address '{}'", text));
  }
  return bytes;
}

void AddLinkUp(NetlinkBatch* batch, uint32_t index, uint32_t master) {
  batch->Begin(RTM_NEWLINK, 0);
  ifinfomsg info = {};
  info.ifi_index = static_cast<int>(index);
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  batch->Body(info);
  if (master != 0) batch->Number<uint32_t>(IFLA_MASTER, master);
}

void AddNoLinkLocalAddress(NetlinkBatch* batch, uint32_t index) {
  batch->Begin(RTM_NEWLINK, 0);
  ifinfomsg info = {};
  info.ifi_index = static_cast<int>(index);
  batch->Body(info).Nest(IFLA_AF_SPEC).Nest(AF_INET6);
  batch->Number<uint8_t>(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  batch->EndNest().EndNest();
}

void AddHairpin(NetlinkBatch* batch, uint32_t index) {
  batch->Begin(RTM_SETLINK, 0);
  ifinfomsg info = {};
  info.ifi_family = AF_BRIDGE;
  info.ifi_index = static_cast<int>(index);
  batch->Body(info).Nest(IFLA_PROTINFO).Number<uint8_t>(IFLA_BRPORT_MODE, 1).EndNest();
}

void AddAddress(NetlinkBatch* batch, uint32_t index, const IpAddress& address, int prefix_length) {
  batch->Begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  ifaddrmsg info = {};
  info.ifa_family = address.v6 ? AF_INET6 : AF_INET;
  info.ifa_prefixlen = static_cast<uint8_t>(prefix_length);
  info.ifa_index = index;
  // Without it a new address cannot be used for a second or two (RFC 4862, duplicate detection).
  if (address.v6) info.ifa_flags = IFA_F_NODAD;
  batch->Body(info);
  batch->Attribute(IFA_LOCAL, address.bytes.data(), address.size());
  batch->Attribute(IFA_ADDRESS, address.bytes.data(), address.size());
  if (!address.v6) {
    const IpAddress broadcast = IpPrefix{address, prefix_length}.Last();
    batch->Attribute(IFA_BROADCAST, broadcast.bytes.data(), broadcast.size());
  }
}

void AddDefaultRoute(NetlinkBatch* batch, uint32_t index, const IpAddress& gateway) {
  batch->Begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
  rtmsg route = {};
  route.rtm_family = gateway.v6 ? AF_INET6 : AF_INET;
  route.rtm_table = RT_TABLE_MAIN;
  route.rtm_protocol = RTPROT_STATIC;
  route.rtm_scope = RT_SCOPE_UNIVERSE;
  route.rtm_type = RTN_UNICAST;
  batch->Body(route);
  batch->Attribute(RTA_GATEWAY, gateway.bytes.data(), gateway.size());
  batch->Number<uint32_t>(RTA_OIF, index);
}

void AddDeleteLink(NetlinkBatch* batch, uint32_t index) {
  batch->Begin(RTM_DELLINK, 0);
  ifinfomsg info = {};
  info.ifi_index = static_cast<int>(index);
  batch->Body(info);
}

void AddDeleteGroup(NetlinkBatch* batch, uint32_t group) {
  batch->Begin(RTM_DELLINK, 0);
  batch->Body(ifinfomsg{}).Number<uint32_t>(IFLA_GROUP, group);
}

Result<std::string> NetSysctl(const std::string& name) {
  const std::string path = "/proc/sys/net/" + name;
  SKIFF_ASSIGN(const std::string text, ReadFile(path, 4096));
  return std::string(Trim(text));
}

Result<bool> NetSysctlIs(const std::string& name, std::string_view value) {
  const auto current = NetSysctl(name);
  if (!current) return tl::unexpected(current.error());
  return *current == value;
}

Status SetNetSysctl(const std::string& name, std::string_view value) {
  const std::string path = "/proc/sys/net/" + name;
  auto file = OpenFile(path, O_WRONLY);
  if (!file) {
    // Read-only /proc/sys: it will do when the value is right already.
    if (const auto current = NetSysctl(name); current && *current == value) return {};
    return tl::unexpected(file.error());
  }
  return WriteAll(file->get(), value, path);
}

}  // namespace skiff::net
