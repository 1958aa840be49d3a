#include "netmgr/netlink/bridge.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/failpoint.h"
#include "netmgr/address.h"
#include "netmgr/netlink/links.h"

namespace skiff::net {
namespace {

// Without a MAC address of its own a bridge takes the lowest one of its ports, and every container
// that comes or goes makes the others' entry for the gateway wrong.
std::string BridgeMac(const BridgeSpec& spec) {
  return MacOfAddress(spec.gateway_v4, spec.network_id);
}

Result<uint32_t> EnsureBridgeLink(NetlinkSocket* socket, const BridgeSpec& spec) {
  SKIFF_ASSIGN(const std::string mac, ParseMac(BridgeMac(spec)));
  NetlinkBatch batch;
  batch.Begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  batch.Body(ifinfomsg{}).Text(IFLA_IFNAME, spec.bridge).Bytes(IFLA_ADDRESS, mac);
  batch.Number<uint32_t>(IFLA_MTU, static_cast<uint32_t>(spec.mtu));
  batch.Number<uint32_t>(IFLA_GROUP, spec.link_group);
  batch.Nest(IFLA_LINKINFO).Text(IFLA_INFO_KIND, "bridge").EndNest();
  SKIFF_ASSIGN(const std::vector<int> verdicts, socket->Send(std::move(batch)));
  if (verdicts[0] == EOPNOTSUPP) {
    return Fail(Code::kUnsupported, "this kernel has no bridges (module bridge)");
  }
  if (verdicts[0] != 0 && verdicts[0] != EEXIST) {
    return FailErrno(verdicts[0], fmt::format("cannot create bridge '{}'", spec.bridge));
  }
  if (verdicts[0] == 0) {
    const uint32_t index = LinkIndex(*socket, spec.bridge);
    if (index != 0) return index;
  }
  SKIFF_ASSIGN(const std::optional<LinkInfo> link, FindLink(socket, spec.bridge));
  if (!link) {
    return Fail(Code::kUnavailable, fmt::format("bridge '{}' vanished", spec.bridge));
  }
  if (link->kind != "bridge") {
    return Fail(Code::kAlreadyExists,
                fmt::format("cannot create bridge '{}': a link of that name exists", spec.bridge));
  }
  if (link->group != spec.link_group) {
    NetlinkBatch group;
    group.Begin(RTM_NEWLINK, 0);
    ifinfomsg info = {};
    info.ifi_index = static_cast<int>(link->index);
    group.Body(info).Number<uint32_t>(IFLA_GROUP, spec.link_group);
    SKIFF_TRY(socket->Transact(std::move(group), "set the group of a bridge"));
  }
  return link->index;
}

// With forwarding on, the kernel stops to learn its own default route from router advertisements
// unless told otherwise: the host must not lose its way out.
Status EnableForwardingV6() {
  SKIFF_ASSIGN(const bool forwards, NetSysctlIs("ipv6/conf/all/forwarding", "1"));
  if (forwards) return {};
  for (const char* name : {"default", "all"}) {
    const std::string key = fmt::format("ipv6/conf/{}/accept_ra", name);
    SKIFF_ASSIGN(const bool accepts, NetSysctlIs(key, "1"));
    if (accepts) SKIFF_TRY(SetNetSysctl(key, "2"));
  }
  struct if_nameindex* const names = ::if_nameindex();
  for (const struct if_nameindex* link = names; link != nullptr && link->if_index != 0; ++link) {
    const std::string key = fmt::format("ipv6/conf/{}/accept_ra", link->if_name);
    // A link may go meanwhile, or have no IPv6.
    if (NetSysctlIs(key, "1").value_or(false)) {
      if (const Status kept = SetNetSysctl(key, "2"); !kept) {
        ::if_freenameindex(names);
        return kept;
      }
    }
  }
  if (names != nullptr) ::if_freenameindex(names);
  return SetNetSysctl("ipv6/conf/all/forwarding", "1");
}

bool HostHasIpv6() {
  return ::access("/proc/sys/net/ipv6", F_OK) == 0;
}

Status ConfigureBridge(const BridgeSpec& spec) {
  const bool v6 = !spec.gateway_v6.empty();
  const std::string conf6 = "ipv6/conf/" + spec.bridge + "/";
  if (HostHasIpv6()) {
    SKIFF_TRY(SetNetSysctl(conf6 + "disable_ipv6", v6 ? "0" : "1"));
    SKIFF_TRY(SetNetSysctl(conf6 + "accept_ra", "0"));
    SKIFF_TRY(SetNetSysctl(conf6 + "autoconf", "0"));
  } else if (v6) {
    return Fail(Code::kUnsupported, "this kernel has no IPv6");
  }
  if (spec.internal) return {};
  if (!spec.gateway_v4.empty()) {
    if (LoopbackCanBeRouted()) {
      SKIFF_TRY(SetNetSysctl("ipv4/conf/" + spec.bridge + "/route_localnet", "1"));
    }
    SKIFF_ASSIGN(const bool forwards, NetSysctlIs("ipv4/ip_forward", "1"));
    if (!forwards) SKIFF_TRY(SetNetSysctl("ipv4/ip_forward", "1"));
  }
  if (v6) SKIFF_TRY(EnableForwardingV6());
  return {};
}

Status AddGateway(NetlinkBatch* batch, uint32_t index, const std::string& text, int length) {
  if (text.empty()) return {};
  const auto address = IpAddress::Parse(text);
  if (!address || length <= 0 || length > address->bits()) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid gateway '{}/{}'", text, length));
  }
  AddAddress(batch, index, *address, length);
  return {};
}

bool IsOurs(std::string_view name, std::string_view root_hash) {
  return name == BridgeName(root_hash, name.substr(std::min<size_t>(name.size(), 7))) ||
         name == HostLinkName(root_hash, name.substr(std::min<size_t>(name.size(), 7)));
}

// The messages that remove the networks; nothing when nothing is there.
Result<NetlinkBatch> DeletionOf(NetlinkSocket* socket, std::string_view root_hash,
                                std::span<const BridgeSpec> specs) {
  NetlinkBatch batch;
  if (specs.empty()) return batch;  // A list waits for whoever holds the kernel's lock on links.
  SKIFF_ASSIGN(const std::vector<LinkInfo> links, ListLinks(socket));
  for (const BridgeSpec& spec : specs) {
    std::vector<uint32_t> ours;
    bool strangers = false;
    for (const LinkInfo& link : links) {
      const bool named = link.name == spec.bridge;
      if (!named && link.group != spec.link_group) continue;
      if (named && link.group != spec.link_group) {
        // Half made, or its group was changed by hand: it goes by index.
        strangers = true;
        ours.push_back(link.index);
      } else if (named || IsOurs(link.name, root_hash)) {
        ours.push_back(link.index);
      } else {
        strangers = true;
      }
    }
    if (ours.empty()) continue;
    if (!strangers) {
      AddDeleteGroup(&batch, spec.link_group);
      continue;
    }
    for (const uint32_t index : ours) AddDeleteLink(&batch, index);
  }
  return batch;
}

}  // namespace

Status MakeBridge(NetlinkSocket* socket, const BridgeSpec& spec) {
  SKIFF_TRY(Failpoint("netmgr.bridge.create"));
  SKIFF_ASSIGN(const uint32_t index, EnsureBridgeLink(socket, spec));
  SKIFF_TRY(Failpoint("netmgr.bridge.configure"));
  SKIFF_TRY(ConfigureBridge(spec));
  NetlinkBatch batch;
  SKIFF_TRY(AddGateway(&batch, index, spec.gateway_v4, spec.prefix_v4));
  SKIFF_TRY(AddGateway(&batch, index, spec.gateway_v6, spec.prefix_v6));
  AddLinkUp(&batch, index);
  return socket->Transact(std::move(batch), fmt::format("set up bridge '{}'", spec.bridge),
                          {EEXIST});
}

bool LoopbackCanBeRouted() {
  return ::access("/proc/sys/net/ipv4/conf/default/route_localnet", W_OK) == 0;
}

Status DeleteNetworks(NetlinkSocket* socket, std::string_view root_hash,
                      std::span<const BridgeSpec> specs) {
  SKIFF_TRY(Failpoint("netmgr.bridge.remove"));
  SKIFF_ASSIGN(NetlinkBatch batch, DeletionOf(socket, root_hash, specs));
  if (batch.empty()) return {};
  // Links vanish by themselves when their namespace ends.
  return socket->Transact(std::move(batch), "remove the links of a network", {ENODEV});
}

Status DeleteNetworksDetached(NetlinkSocket* socket, std::string_view root_hash,
                              std::span<const BridgeSpec> specs, Fd slow) {
  SKIFF_TRY(Failpoint("netmgr.bridge.remove_detached"));
  SKIFF_ASSIGN(NetlinkBatch batch, DeletionOf(socket, root_hash, specs));
  if (batch.empty() && !slow) return {};
  SKIFF_ASSIGN(NetlinkSocket own, NetlinkSocket::Open(NETLINK_ROUTE));
  return own.SendDetached(std::move(batch), std::move(slow));
}

}  // namespace skiff::net
