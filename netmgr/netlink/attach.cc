#include "netmgr/netlink/attach.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/event_loop.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "netmgr/address.h"
#include "netmgr/netlink/bridge.h"
#include "netmgr/netlink/links.h"
#include "netmgr/netlink/name_redirect.h"

namespace skiff::net {
namespace {

// A link is operational some 10-40 us after both ends are up; a machine under heavy load may take
// its time.
constexpr auto kOperationalWithin = std::chrono::seconds(5);
constexpr uint32_t kLoopbackIndex = 1;
constexpr uint8_t kOperational = 6;  // IF_OPER_UP

// What an endpoint specification says, checked.
struct Plan {
  const EndpointSpec* spec = nullptr;
  std::string host_name;
  std::string mac;  // Six bytes.
  bool hairpin = false;
  std::optional<IpAddress> v4;
  std::optional<IpAddress> v6;
  std::optional<IpAddress> gateway_v4;
  std::optional<IpAddress> gateway_v6;
};

Status ParseInto(const std::string& text, std::string_view what, bool v6,
                 std::optional<IpAddress>* address) {
  if (text.empty()) return {};
  *address = IpAddress::Parse(text);
  if (!*address || (*address)->v6 != v6) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid {} '{}'", what, text));
  }
  return {};
}

Result<Plan> MakePlan(const EndpointSpec& spec, const std::string& host_name) {
  Plan plan;
  plan.spec = &spec;
  plan.host_name = host_name;
  if (spec.interface_name.empty() || spec.interface_name.size() >= IFNAMSIZ) {
    return Fail(Code::kInvalidArgument,
                fmt::format("invalid interface name '{}'", spec.interface_name));
  }
  SKIFF_TRY(ParseInto(spec.address_v4, "IPv4 address", false, &plan.v4));
  SKIFF_TRY(ParseInto(spec.address_v6, "IPv6 address", true, &plan.v6));
  if (spec.default_route && !spec.network.internal) {
    SKIFF_TRY(ParseInto(spec.network.gateway_v4, "gateway", false, &plan.gateway_v4));
    SKIFF_TRY(ParseInto(spec.network.gateway_v6, "gateway", true, &plan.gateway_v6));
  }
  SKIFF_ASSIGN(plan.mac,
               ParseMac(spec.mac_address.empty() ? MacOfAddress(spec.address_v4, spec.endpoint_id)
                                                 : spec.mac_address));
  return plan;
}

// A queue each way, which is what a veth uses: by default the kernel makes one for every processor
// and then takes them away again, with an RCU grace period (some ms) for either end.
void AddQueues(NetlinkBatch* batch) {
  batch->Number<uint32_t>(IFLA_NUM_TX_QUEUES, 1).Number<uint32_t>(IFLA_NUM_RX_QUEUES, 1);
}

// The pair in one message, neither end up: a peer that is up in it costs 15 ms and fails.
void AddVeth(NetlinkBatch* batch, const Plan& plan, int home) {
  const EndpointSpec& spec = *plan.spec;
  const auto mtu = static_cast<uint32_t>(spec.network.mtu);
  batch->Begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  batch->Body(ifinfomsg{}).Text(IFLA_IFNAME, spec.interface_name).Bytes(IFLA_ADDRESS, plan.mac);
  batch->Number<uint32_t>(IFLA_MTU, mtu);
  AddQueues(batch);
  batch->Nest(IFLA_LINKINFO).Text(IFLA_INFO_KIND, "veth");
  batch->Nest(IFLA_INFO_DATA).Nest(VETH_INFO_PEER).Body(ifinfomsg{});
  batch->Text(IFLA_IFNAME, plan.host_name).Number<int>(IFLA_NET_NS_FD, home);
  batch->Number<uint32_t>(IFLA_MTU, mtu).Number<uint32_t>(IFLA_GROUP, spec.network.link_group);
  AddQueues(batch);
  batch->EndNest().EndNest().EndNest();
}

Status CreateVeth(NetlinkSocket* inside, NetlinkSocket* host, const Plan& plan, int home) {
  // Again: the name is taken while the namespace of the endpoint's last container is still being
  // taken apart, which takes the kernel some 50 ms after its last process. It may also let go of
  // the name by itself between two calls.
  constexpr int kAttempts = 5;
  for (int attempt = 0;; ++attempt) {
    NetlinkBatch batch;
    AddVeth(&batch, plan, home);
    SKIFF_ASSIGN(const std::vector<int> verdicts, inside->Send(std::move(batch)));
    if (verdicts[0] == 0) return {};
    if (verdicts[0] == EOPNOTSUPP) {
      return Fail(Code::kUnsupported, "this kernel has no veth links (module veth)");
    }
    const uint32_t old = LinkIndex(*host, plan.host_name);
    if (verdicts[0] != EEXIST || attempt + 1 == kAttempts) {
      return FailErrno(verdicts[0], fmt::format("cannot create interface '{}' ({})",
                                                plan.spec->interface_name, plan.host_name));
    }
    if (old == 0) continue;
    NetlinkBatch remove;
    AddDeleteLink(&remove, old);
    SKIFF_TRY(host->Transact(std::move(remove), "remove the last link of an endpoint", {ENODEV}));
  }
}

// With br_netfilter (as dockerd sets it) the bridge itself translates a packet to a published port,
// and sends it back to the port it came from only when told to: a container that connects to its
// own published port. Of the namespace the thread is in: the host's.
bool BridgedPacketsAreTranslated() {
  return NetSysctlIs("bridge/bridge-nf-call-iptables", "1").value_or(false);
}

Status Enslave(NetlinkSocket* host, const Plan& plan) {
  const std::string& bridge = plan.spec->network.bridge;
  const uint32_t master = LinkIndex(*host, bridge);
  if (master == 0) {
    return Fail(Code::kNotFound, fmt::format("bridge '{}' does not exist", bridge));
  }
  const uint32_t end = LinkIndex(*host, plan.host_name);
  NetlinkBatch batch;
  AddNoLinkLocalAddress(&batch, end);
  AddLinkUp(&batch, end, master);
  if (plan.hairpin) AddHairpin(&batch, end);
  SKIFF_ASSIGN(std::vector<int> verdicts, host->Send(std::move(batch)));
  // A host without IPv6 has no such address either.
  if (verdicts[0] == EAFNOSUPPORT || verdicts[0] == EOPNOTSUPP) verdicts[0] = 0;
  for (size_t i = 1; i < verdicts.size() && verdicts[0] == 0; ++i) verdicts[0] = verdicts[i];
  if (verdicts[0] == EXFULL) {
    return Fail(Error(
        Code::kExhausted,
        fmt::format("bridge '{}' is full: the kernel takes 1023 containers a network", bridge)));
  }
  if (verdicts[0] != 0) {
    return FailErrno(verdicts[0],
                     fmt::format("cannot connect '{}' to bridge '{}'", plan.host_name, bridge));
  }
  return {};
}

// Only of an interface with an IPv6 address; others have the protocol off since PrepareNamespace.
Status EnableIpv6(const std::string& interface_name) {
  const std::string conf = "ipv6/conf/" + interface_name + "/";
  SKIFF_TRY(SetNetSysctl("ipv6/conf/all/accept_dad", "0"));
  for (const auto& [name, value] :
       {std::pair("accept_dad", "0"), std::pair("accept_ra", "0"), std::pair("autoconf", "0"),
        std::pair("ndisc_notify", "1"), std::pair("disable_ipv6", "0")}) {
    SKIFF_TRY(SetNetSysctl(conf + name, value));
  }
  return {};
}

Status ConfigureInside(NetlinkSocket* inside, const Plan& plan, uint32_t index) {
  const EndpointSpec& spec = *plan.spec;
  NetlinkBatch batch;
  if (plan.v4) AddAddress(&batch, index, *plan.v4, spec.network.prefix_v4);
  if (plan.v6) AddAddress(&batch, index, *plan.v6, spec.network.prefix_v6);
  AddLinkUp(&batch, index);
  if (plan.gateway_v4 && plan.v4) AddDefaultRoute(&batch, index, *plan.gateway_v4);
  if (plan.gateway_v6 && plan.v6) AddDefaultRoute(&batch, index, *plan.gateway_v6);
  return inside->Transact(std::move(batch),
                          fmt::format("set up interface '{}'", spec.interface_name));
}

Result<bool> IsOperational(NetlinkSocket* socket, const std::string& name) {
  SKIFF_ASSIGN(const std::optional<LinkInfo> link, FindLink(socket, name));
  if (!link) return Fail(Code::kNotFound, fmt::format("link '{}' vanished", name));
  return link->operstate == kOperational;
}

// In the namespace of `socket` (and of the calling thread).
Status AwaitOperational(NetlinkSocket* socket, const std::string& name) {
  SKIFF_ASSIGN(const bool already, IsOperational(socket, name));
  if (already) return {};
  SKIFF_ASSIGN(NetlinkSocket changes, NetlinkSocket::Open(NETLINK_ROUTE));
  SKIFF_TRY(changes.Subscribe(RTNLGRP_LINK));
  const BootTime deadline = Now() + kOperationalWithin;
  for (;;) {
    SKIFF_ASSIGN(const bool operational, IsOperational(socket, name));
    if (operational) return {};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Now());
    if (left.count() <= 0) {
      return Fail(Code::kTimeout, fmt::format("link '{}' does not become operational", name));
    }
    const Status change =
        changes.Await(static_cast<int>(left.count()), [](const NetlinkMessage&) {});
    if (!change && change.error().code != Code::kTimeout) return change;
  }
}

// Setting the address it has makes the kernel announce it (arp_notify, ndisc_notify): neighbours
// and the bridge learn where the address is now. A packet socket would cost milliseconds to close.
Status Announce(NetlinkSocket* inside, const Plan& plan, uint32_t index) {
  NetlinkBatch batch;
  batch.Begin(RTM_NEWLINK, 0);
  ifinfomsg info = {};
  info.ifi_index = static_cast<int>(index);
  batch.Body(info).Bytes(IFLA_ADDRESS, plan.mac);
  return inside->Transact(std::move(batch), "announce an address");
}

Status Forget(const EndpointSpec& spec) {
  return ForgetTracked([&](const IpAddress& address) {
    const std::string text = address.Text();
    return text == spec.address_v4 || text == spec.address_v6;
  });
}

Result<Fd> BindLoopback(int type, uint16_t port) {
  Fd socket(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return FailErrno("cannot open a socket of the name service");
  sockaddr_in where = {};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  where.sin_addr.s_addr = htonl(0x7f00000b);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
    return FailErrno("cannot bind the name service to 127.0.0.11");
  }
  if (type == SOCK_STREAM && ::listen(socket.get(), SOMAXCONN) != 0) {
    return FailErrno("cannot listen on 127.0.0.11");
  }
  return socket;
}

Result<NameServiceSockets> BindBoth(uint16_t port) {
  NameServiceSockets sockets;
  SKIFF_ASSIGN(sockets.udp, BindLoopback(SOCK_DGRAM, port));
  sockaddr_in bound = {};
  socklen_t size = sizeof bound;
  if (::getsockname(sockets.udp.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return FailErrno("cannot read the port of the name service");
  }
  SKIFF_ASSIGN(sockets.tcp, BindLoopback(SOCK_STREAM, ntohs(bound.sin_port)));
  return sockets;
}

// A port that is free for both.
Result<NameServiceSockets> BindAny() {
  constexpr int kAttempts = 16;
  Result<NameServiceSockets> sockets = BindBoth(0);
  for (int i = 1; i < kAttempts && !sockets && sockets.error().sys_errno == EADDRINUSE; ++i) {
    sockets = BindBoth(0);
  }
  return sockets;
}

uint16_t PortOf(const NameServiceSockets& sockets) {
  sockaddr_in bound = {};
  socklen_t size = sizeof bound;
  ::getsockname(sockets.udp.get(), reinterpret_cast<sockaddr*>(&bound), &size);
  return ntohs(bound.sin_port);
}

}  // namespace

Result<Fd> MakeContainerNamespace(NamespaceThread* thread, const NamespaceOptions& options) {
  SKIFF_TRY(Failpoint("netmgr.namespace.create"));
  return thread->MakeNamespace([&]() -> Status {
    SKIFF_ASSIGN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
    NetlinkBatch batch;
    AddLinkUp(&batch, kLoopbackIndex);
    SKIFF_TRY(socket.Transact(std::move(batch), "set up the loopback interface"));
    // Interfaces made later have IPv6 only when they get an IPv6 address (AttachEndpoint).
    if (::access("/proc/sys/net/ipv6", F_OK) == 0) {
      SKIFF_TRY(SetNetSysctl("ipv6/conf/default/disable_ipv6", "1"));
    }
    SKIFF_TRY(SetNetSysctl("ipv4/conf/default/arp_notify", "1"));
    if (!options.default_sysctls) return {};
    SKIFF_TRY(SetNetSysctl("ipv4/ip_unprivileged_port_start", "0"));
    return SetNetSysctl("ipv4/ping_group_range", "0 2147483647");
  });
}

Status Attach(NamespaceThread* thread, int network_namespace, const EndpointSpec& spec,
              const std::string& host_name) {
  const TraceSpan span("netmgr.attach");
  SKIFF_TRY(Failpoint("netmgr.endpoint.attach"));
  SKIFF_ASSIGN(Plan plan, MakePlan(spec, host_name));
  plan.hairpin = BridgedPacketsAreTranslated();
  SKIFF_ASSIGN(NetlinkSocket* const host, thread->HomeSocket());
  const Status attached = thread->Enter(network_namespace, [&]() -> Status {
    SKIFF_ASSIGN(NetlinkSocket inside, NetlinkSocket::Open(NETLINK_ROUTE));
    SKIFF_TRY(CreateVeth(&inside, host, plan, thread->home()));
    SKIFF_TRY(Failpoint("netmgr.endpoint.after_veth"));
    SKIFF_TRY(Enslave(host, plan));
    if (plan.v6) SKIFF_TRY(EnableIpv6(spec.interface_name));
    const uint32_t index = LinkIndex(inside, spec.interface_name);
    SKIFF_TRY(ConfigureInside(&inside, plan, index));
    SKIFF_TRY(AwaitOperational(&inside, spec.interface_name));
    // The host end may lag behind, and the bridge itself has just got its first carrier: until its
    // queue runs, the host's answers are lost.
    for (const std::string& name : {plan.host_name, spec.network.bridge}) {
      SKIFF_ASSIGN(const bool through, IsOperational(host, name));
      if (through) continue;
      const Status operational =
          thread->Enter(thread->home(), [&] { return AwaitOperational(host, name); });
      SKIFF_TRY(operational);
    }
    return Announce(&inside, plan, index);
  });
  SKIFF_TRY(attached);
  return Failpoint("netmgr.endpoint.attached");
}

Status Detach(NamespaceThread* thread, int network_namespace, const EndpointSpec& spec) {
  SKIFF_TRY(Failpoint("netmgr.endpoint.detach"));
  const Status detached = thread->Enter(network_namespace, [&]() -> Status {
    SKIFF_ASSIGN(NetlinkSocket inside, NetlinkSocket::Open(NETLINK_ROUTE));
    const uint32_t index = LinkIndex(inside, spec.interface_name);
    if (index == 0) return {};
    NetlinkBatch batch;
    AddDeleteLink(&batch, index);
    return inside.Transact(std::move(batch),
                           fmt::format("remove interface '{}'", spec.interface_name), {ENODEV});
  });
  SKIFF_TRY(detached);
  return Forget(spec);
}

Result<NameServiceSockets> MakeNameServiceSockets(NamespaceThread* thread, int network_namespace) {
  SKIFF_TRY(Failpoint("netmgr.names.sockets"));
  NameServiceSockets sockets;
  const Status made = thread->Enter(network_namespace, [&]() -> Status {
    SKIFF_ASSIGN(sockets, BindAny());
    SKIFF_ASSIGN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_NETFILTER));
    const Status redirected = RedirectNameService(&socket, PortOf(sockets));
    if (redirected || redirected.error().code != Code::kUnsupported) return redirected;
    SKIFF_ASSIGN(sockets, BindBoth(53));
    sockets.on_port_53 = true;
    return {};
  });
  SKIFF_TRY(made);
  return sockets;
}

}  // namespace skiff::net
