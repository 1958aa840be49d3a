#include "private_host.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstring>
#include <thread>

#include "base/identity.h"
#include "netmgr/address.h"
#include "netmgr/netlink/links.h"

namespace skiff::net::testing {
namespace {

struct Where {
  sockaddr_storage storage = {};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Where WhereOf(const std::string& text, uint16_t port) {
  Where where;
  const auto address = IpAddress::Parse(text);
  EXPECT_TRUE(address.has_value()) << text;
  if (address->v6) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&where.storage);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    std::memcpy(&in6->sin6_addr, address->bytes.data(), 16);
    where.size = sizeof *in6;
  } else {
    auto* in4 = reinterpret_cast<sockaddr_in*>(&where.storage);
    in4->sin_family = AF_INET;
    in4->sin_port = htons(port);
    std::memcpy(&in4->sin_addr, address->bytes.data(), 4);
    where.size = sizeof *in4;
  }
  return where;
}

std::string TextOf(const sockaddr_storage& storage) {
  IpAddress address;
  address.v6 = storage.ss_family == AF_INET6;
  if (address.v6) {
    std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr,
                16);
  } else {
    std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr, 4);
  }
  return address.Text();
}

// A link between the thread's namespace and `peer_ns`, with an address at each end.
void LinkTo(int peer_ns, const std::string& name, const char* address, const char* peer_address) {
  auto here = NetlinkSocket::Open(NETLINK_ROUTE).value();
  NetlinkBatch batch;
  batch.Begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  batch.Body(ifinfomsg{}).Text(IFLA_IFNAME, name);
  batch.Nest(IFLA_LINKINFO).Text(IFLA_INFO_KIND, "veth").Nest(IFLA_INFO_DATA);
  batch.Nest(VETH_INFO_PEER).Body(ifinfomsg{});
  batch.Text(IFLA_IFNAME, name).Number<int>(IFLA_NET_NS_FD, peer_ns);
  batch.EndNest().EndNest().EndNest();
  ASSERT_TRUE(here.Transact(std::move(batch), "make the link outside"));
  const auto set_up = [&](NetlinkSocket& socket, const char* text) {
    NetlinkBatch up;
    const uint32_t index = LinkIndex(socket, name);
    AddLinkUp(&up, 1);
    AddAddress(&up, index, *IpAddress::Parse(text), 24);
    AddLinkUp(&up, index);
    ASSERT_TRUE(socket.Transact(std::move(up), "set up the link outside"));
  };
  set_up(here, address);
  std::thread([&] {
    ASSERT_EQ(::setns(peer_ns, CLONE_NEWNET), 0);
    auto there = NetlinkSocket::Open(NETLINK_ROUTE).value();
    set_up(there, peer_address);
  }).join();
  NetlinkSocket changes = NetlinkSocket::Open(NETLINK_ROUTE).value();
  ASSERT_TRUE(changes.Subscribe(RTNLGRP_LINK));
  const BootTime deadline = Now() + std::chrono::seconds(5);
  while (FindLink(&here, name).value()->operstate != 6 && Now() < deadline) {
    static_cast<void>(changes.Await(1000, [](const NetlinkMessage&) {}));
  }
}

}  // namespace

void PrivateHost::SetUp() {
  home_ = OpenFile("/proc/thread-self/ns/net", O_RDONLY).value();
  if (::unshare(CLONE_NEWNET) != 0) {
    GTEST_SKIP() << "no privilege to make a network namespace: " << std::strerror(errno);
  }
  host_ns_ = OpenFile("/proc/thread-self/ns/net", O_RDONLY).value();
  std::thread([this] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    outside_ = OpenFile("/proc/thread-self/ns/net", O_RDONLY).value();
  }).join();
  LinkTo(outside_.get(), "uplink", kHost, kOutside);
  network_ = HostNetwork::Open(kRootHash).value();
  firewall_ = Firewall::Open(kRootHash).value();
}

void PrivateHost::TearDown() {
  firewall_.reset();
  network_.reset();
  outside_.Reset();
  host_ns_.Reset();
  ASSERT_TRUE(!home_ || ::setns(home_.get(), CLONE_NEWNET) == 0);
}

void PrivateHost::In(const Fd& ns, const std::function<void()>& work) {
  std::thread([&] {
    ASSERT_TRUE(!ns || ::setns(ns.get(), CLONE_NEWNET) == 0);
    work();
  }).join();
}

BridgeSpec PrivateHost::Network(int number, bool v6, bool internal) {
  BridgeSpec spec;
  spec.network_id = Sha256Hex(fmt::format("network {}", number));
  spec.gateway_v4 = fmt::format("172.30.{}.1", number);
  spec.prefix_v4 = 24;
  if (v6) {
    spec.gateway_v6 = fmt::format("fd5c:1ff::{}:1", number);
    spec.prefix_v6 = 112;
  }
  spec.internal = internal;
  return Complete(spec, kRootHash);
}

BridgeSpec PrivateHost::UseNetwork(int number, bool v6, bool internal) {
  const BridgeSpec spec = Network(number, v6, internal);
  firewall_->AddNetwork({spec.bridge, internal});
  ApplyFirewall();
  const Status made = network_->CreateBridge(spec);
  EXPECT_TRUE(made) << made.error().Text();
  return spec;
}

Box PrivateHost::Start(const BridgeSpec& network, int last) {
  Box box;
  box.endpoint.endpoint_id = NewObjectId();
  box.endpoint.network = network;
  box.endpoint.interface_name = "eth0";
  const std::string& gateway = network.gateway_v4;
  box.endpoint.address_v4 = gateway.substr(0, gateway.rfind('.') + 1) + std::to_string(last);
  if (!network.gateway_v6.empty()) {
    const std::string& v6 = network.gateway_v6;
    box.endpoint.address_v6 = v6.substr(0, v6.rfind(':') + 1) + fmt::format("{:x}", last);
  }
  box.endpoint.default_route = true;
  auto ns = network_->PrepareNamespace();
  EXPECT_TRUE(ns) << ns.error().Text();
  if (!ns) return box;
  box.ns = std::move(*ns);
  const Status attached = network_->AttachEndpoint(box.ns.get(), box.endpoint);
  EXPECT_TRUE(attached) << attached.error().Text();
  return box;
}

void PrivateHost::ApplyFirewall() {
  const auto applied = firewall_->Apply();
  ASSERT_TRUE(applied) << applied.error().Text() << " "
                       << (applied.error().notes.empty() ? "" : applied.error().notes[0].message);
}

void PrivateHost::PublishTcp(const std::string& host_ip, uint16_t port, const Box& box) {
  firewall_->Publish(
      {"c0ffee", host_ip, port, 80, IPPROTO_TCP, box.endpoint.address_v4, box.endpoint.address_v6});
  ApplyFirewall();
}

Fd PrivateHost::Listen(const Fd& ns, const std::string& address, uint16_t port, int type) {
  Fd socket;
  In(ns, [&] {
    Where where = WhereOf(address, port);
    socket = Fd(::socket(where.storage.ss_family, type | SOCK_CLOEXEC, 0));
    const int bound = ::bind(socket.get(), where.get(), where.size);
    EXPECT_EQ(bound, 0) << address << ":" << port << " " << std::strerror(errno);
    EXPECT_TRUE(type != SOCK_STREAM || ::listen(socket.get(), 64) == 0);
  });
  return socket;
}

Fd PrivateHost::Connect(const Fd& ns, const std::string& address, uint16_t port,
                        std::chrono::milliseconds patience) {
  Fd socket;
  In(ns, [&] {
    Where where = WhereOf(address, port);
    Fd made(::socket(where.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(made.get(), where.get(), where.size) != 0) {
      if (errno != EINPROGRESS) return;
      pollfd wanted = {made.get(), POLLOUT, 0};
      if (::poll(&wanted, 1, static_cast<int>(patience.count())) != 1) return;
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(made.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return;
    }
    socket = std::move(made);
  });
  return socket;
}

Fd PrivateHost::Datagrams(const Fd& ns) {
  Fd socket;
  In(ns, [&] { socket = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
  return socket;
}

void PrivateHost::SendTo(const Fd& socket, const std::string& address, uint16_t port,
                         const std::string& data) {
  Where where = WhereOf(address, port);
  EXPECT_EQ(::sendto(socket.get(), data.data(), data.size(), 0, where.get(), where.size),
            static_cast<ssize_t>(data.size()))
      << std::strerror(errno);
}

bool PrivateHost::Readable(const Fd& socket, std::chrono::milliseconds patience) {
  pollfd wanted = {socket.get(), POLLIN, 0};
  return ::poll(&wanted, 1, static_cast<int>(patience.count())) == 1;
}

std::optional<std::string> PrivateHost::Reaches(const Fd& client_ns, const std::string& address,
                                                uint16_t port, const Fd& server,
                                                std::chrono::milliseconds patience) {
  const Fd client = Connect(client_ns, address, port, patience);
  if (!client || !Readable(server, patience)) return std::nullopt;
  Where peer;
  peer.size = sizeof peer.storage;
  const Fd accepted(::accept4(server.get(), peer.get(), &peer.size, SOCK_CLOEXEC));
  EXPECT_EQ(::send(client.get(), "x", 1, MSG_NOSIGNAL), 1);
  char byte = 0;
  if (!Readable(accepted, patience) || ::recv(accepted.get(), &byte, 1, 0) != 1 || byte != 'x') {
    return std::nullopt;
  }
  EXPECT_EQ(::send(accepted.get(), "y", 1, MSG_NOSIGNAL), 1);
  if (!Readable(client, patience) || ::recv(client.get(), &byte, 1, 0) != 1 || byte != 'y') {
    return std::nullopt;
  }
  return TextOf(peer.storage);
}

size_t PrivateHost::LinkCount() {
  auto socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
  return ListLinks(&socket).value().size();
}

}  // namespace skiff::net::testing
