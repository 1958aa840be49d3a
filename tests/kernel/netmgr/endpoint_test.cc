#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/identity.h"
#include "netmgr/netlink/links.h"
#include "private_host.h"

namespace skiff::net::testing {
namespace {

class EndpointTest : public PrivateHost {};

double Milliseconds(BootTime since) {
  return std::chrono::duration<double, std::milli>(Now() - since).count();
}

TEST_F(EndpointTest, NeighboursReachEachOther) {
  const BridgeSpec network = UseNetwork(1);
  const Box a = Start(network, 2);
  const Box b = Start(network, 3);
  const Fd server = Listen(b.ns, "0.0.0.0", 80);
  EXPECT_EQ(Reaches(a.ns, "172.30.1.3", 80, server), "172.30.1.2");
  EXPECT_EQ(Reaches(Fd(), "172.30.1.3", 80, server), "172.30.1.1") << "the host reaches it too";
}

TEST_F(EndpointTest, Ipv6IsUsableAtOnce) {
  const BridgeSpec network = UseNetwork(1, true);
  const Box a = Start(network, 2);
  const Box b = Start(network, 3);
  const Fd server = Listen(b.ns, "fd5c:1ff::1:3", 80);
  const BootTime start = Now();
  EXPECT_EQ(Reaches(a.ns, "fd5c:1ff::1:3", 80, server), "fd5c:1ff::1:2");
  EXPECT_LT(Milliseconds(start), 500) << "duplicate detection would take a second";
}

TEST_F(EndpointTest, InterfacesWithoutAnIpv6AddressHaveNoIpv6) {
  const BridgeSpec network = UseNetwork(1);
  const Box box = Start(network, 2);
  In(box.ns, [] {
    EXPECT_EQ(NetSysctl("ipv6/conf/eth0/disable_ipv6").value(), "1");
    EXPECT_EQ(NetSysctl("ipv6/conf/lo/disable_ipv6").value(), "0");
    EXPECT_EQ(NetSysctl("ipv4/ip_unprivileged_port_start").value(), "0");
    EXPECT_EQ(NetSysctl("ipv4/ping_group_range").value(), "0\t2147483647");
  });
  EXPECT_EQ(NetSysctl("ipv6/conf/" + network.bridge + "/disable_ipv6").value(), "1");
  EXPECT_EQ(NetSysctl("ipv4/conf/" + network.bridge + "/route_localnet").value(), "1");
}

// DESIGN 7: first packet. A lost one costs a second.
TEST_F(EndpointTest, TheFirstConnectNeverWaits) {
  const BridgeSpec network = UseNetwork(1);
  const Fd server = Listen(Fd(), network.gateway_v4, 8000);
  const Box peer = Start(network, 250);
  const Fd peer_server = Listen(peer.ns, "0.0.0.0", 80);
  std::vector<Box> boxes;
  std::vector<double> times;
  for (int i = 0; i < 200; ++i) {
    boxes.push_back(Start(network, 2 + i));
    const BootTime start = Now();
    const bool to_peer = i % 2 == 0;
    const Fd client = to_peer ? Connect(boxes.back().ns, "172.30.1.250", 80, kSoon)
                              : Connect(boxes.back().ns, network.gateway_v4, 8000, kSoon);
    ASSERT_TRUE(client.valid()) << i;
    const Fd accepted(::accept(to_peer ? peer_server.get() : server.get(), nullptr, nullptr));
    times.push_back(Milliseconds(start));
  }
  std::sort(times.begin(), times.end());
  std::printf("first connect: median %.2f ms, slowest %.2f ms\n", times[100], times.back());
  // 20 ms on an idle machine; this test runs beside others, and a lost packet costs 1,000.
  EXPECT_LT(times[190], 20);
  EXPECT_LT(times.back(), 500);
}

TEST_F(EndpointTest, TheFirstConnectToAContainerThatOnlyListensArrives) {
  const BridgeSpec network = UseNetwork(1);
  const Box client = Start(network, 9);
  // The second container takes the address of the first while everybody still knows the first.
  for (int i = 0; i < 20; ++i) {
    Box box = Start(network, 2);
    const Fd server = Listen(box.ns, "0.0.0.0", 80);
    const BootTime start = Now();
    EXPECT_TRUE(Reaches(client.ns, "172.30.1.2", 80, server).has_value()) << i;
    EXPECT_TRUE(Reaches(Fd(), "172.30.1.2", 80, server).has_value()) << i;
    EXPECT_LT(Milliseconds(start), 500) << i;
  }
}

TEST_F(EndpointTest, AnEndpointReplacesItsOwnLeftover) {
  const BridgeSpec network = UseNetwork(1);
  const Box old = Start(network, 2);
  Box box;
  box.ns = network_->PrepareNamespace().value();
  // Same endpoint id, while the last namespace still lives.
  const Status attached = network_->AttachEndpoint(box.ns.get(), old.endpoint);
  ASSERT_TRUE(attached) << attached.error().Text();
  const Fd server = Listen(box.ns, "0.0.0.0", 80);
  EXPECT_TRUE(Reaches(Fd(), "172.30.1.2", 80, server).has_value());
}

TEST_F(EndpointTest, AttachAndDetachWhileTheContainerLives) {
  const BridgeSpec one = UseNetwork(1);
  const BridgeSpec two = UseNetwork(2, true);
  const Box box = Start(one, 2);
  EndpointSpec second = Start(two, 9).endpoint;
  second.endpoint_id = NewObjectId();
  second.interface_name = "eth1";
  second.address_v4 = "172.30.2.2";
  second.address_v6 = "fd5c:1ff::2:2";
  second.default_route = false;
  ASSERT_TRUE(network_->AttachEndpoint(box.ns.get(), second));
  const Fd server = Listen(box.ns, "172.30.2.2", 80);
  EXPECT_TRUE(Reaches(Fd(), "172.30.2.2", 80, server).has_value());
  ASSERT_TRUE(network_->DetachEndpoint(box.ns.get(), second));
  ASSERT_TRUE(network_->DetachEndpoint(box.ns.get(), second)) << "not there: success";
  const std::vector<OwnedLink> links = network_->ListLinks().value();
  for (const OwnedLink& link : links) {
    EXPECT_NE(link.name, HostLinkName(kRootHash, second.endpoint_id));
  }
}

TEST_F(EndpointTest, BridgesAreIdempotentAndKeepTheirAddress) {
  const BridgeSpec network = UseNetwork(1, true);
  ASSERT_TRUE(network_->CreateBridge(network));
  const auto links = network_->ListLinks().value();
  ASSERT_EQ(links.size(), 1u);
  EXPECT_EQ(links[0].name, network.bridge);
  EXPECT_EQ(links[0].group, network.link_group);
  EXPECT_TRUE(links[0].bridge);
}

TEST_F(EndpointTest, RemovingANetworkLeavesNoLink) {
  const size_t before = LinkCount();
  const BridgeSpec network = UseNetwork(1);
  const BridgeSpec other = UseNetwork(2);
  std::vector<Box> boxes;
  for (int i = 0; i < 10; ++i) boxes.push_back(Start(network, 2 + i));
  const Box survivor = Start(other, 2);
  EXPECT_EQ(LinkCount(), before + 2 + 11);
  ASSERT_TRUE(network_->RemoveNetwork(network));
  EXPECT_EQ(LinkCount(), before + 1 + 1) << "only the other network's are left";
  ASSERT_TRUE(network_->RemoveNetwork(network)) << "nothing there: success";
}

TEST_F(EndpointTest, ADetachedRemovalFinishesByItself) {
  const size_t before = LinkCount();
  std::vector<BridgeSpec> networks = {UseNetwork(1), UseNetwork(2)};
  std::vector<Box> boxes;
  for (int i = 0; i < 10; ++i) boxes.push_back(Start(networks[i % 2], 2 + i));
  NetlinkSocket changes = NetlinkSocket::Open(NETLINK_ROUTE).value();
  ASSERT_TRUE(changes.Subscribe(RTNLGRP_LINK));
  ASSERT_TRUE(network_->RemoveNetworksDetached(networks));
  const BootTime deadline = Now() + std::chrono::seconds(2);
  while (LinkCount() != before && Now() < deadline) {
    static_cast<void>(changes.Await(100, [](const NetlinkMessage&) {}));
  }
  EXPECT_EQ(LinkCount(), before);
}

TEST_F(EndpointTest, AStrangerInTheGroupIsSpared) {
  const BridgeSpec network = UseNetwork(1);
  const Box box = Start(network, 2);
  auto socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
  NetlinkBatch batch;
  batch.Begin(RTM_NEWLINK, 0);
  ifinfomsg info = {};
  info.ifi_index = static_cast<int>(LinkIndex(socket, "uplink"));
  batch.Body(info).Number<uint32_t>(IFLA_GROUP, network.link_group);
  ASSERT_TRUE(socket.Transact(std::move(batch), "change a group"));
  ASSERT_TRUE(network_->RemoveNetwork(network));
  EXPECT_NE(LinkIndex(socket, "uplink"), 0u);
  EXPECT_TRUE(network_->ListLinks().value().empty());
}

TEST_F(EndpointTest, TheLinksGoWithTheNamespace) {
  const BridgeSpec network = UseNetwork(1);
  NetlinkSocket changes = NetlinkSocket::Open(NETLINK_ROUTE).value();
  ASSERT_TRUE(changes.Subscribe(RTNLGRP_LINK));
  { const Box box = Start(network, 2); }
  const BootTime deadline = Now() + std::chrono::seconds(2);
  while (network_->ListLinks().value().size() > 1 && Now() < deadline) {
    static_cast<void>(changes.Await(100, [](const NetlinkMessage&) {}));
  }
  EXPECT_EQ(network_->ListLinks().value().size(), 1u) << "the bridge alone";
}

TEST_F(EndpointTest, ANamespaceForNoneHasLoopbackOnly) {
  const Fd ns = network_->PrepareNamespace().value();
  In(ns, [] {
    auto socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
    const std::vector<LinkInfo> links = ListLinks(&socket).value();
    for (const LinkInfo& link : links) EXPECT_NE(link.kind, "veth");
  });
  const Fd server = Listen(ns, "127.0.0.1", 80);
  EXPECT_EQ(Reaches(ns, "127.0.0.1", 80, server), "127.0.0.1");
}

TEST_F(EndpointTest, TheNameServiceIsRedirectedAndPort53StaysFree) {
  const Fd ns = network_->PrepareNamespace().value();
  const auto sockets = network_->PrepareNameService(ns.get());
  ASSERT_TRUE(sockets) << sockets.error().Text();
  ASSERT_FALSE(sockets->on_port_53);
  const Fd client = Datagrams(ns);
  SendTo(client, "127.0.0.11", 53, "query");
  ASSERT_TRUE(Readable(sockets->udp, kSoon));
  char data[16];
  sockaddr_in from = {};
  socklen_t size = sizeof from;
  ASSERT_EQ(::recvfrom(sockets->udp.get(), data, sizeof data, 0, reinterpret_cast<sockaddr*>(&from),
                       &size),
            5);
  ASSERT_EQ(::sendto(sockets->udp.get(), "reply", 5, 0, reinterpret_cast<sockaddr*>(&from), size),
            5);
  ASSERT_TRUE(Readable(client, kSoon));
  ASSERT_EQ(
      ::recvfrom(client.get(), data, sizeof data, 0, reinterpret_cast<sockaddr*>(&from), &size), 5);
  EXPECT_EQ(ntohs(from.sin_port), 53) << "the answer comes from where the question went";
  EXPECT_EQ(Reaches(ns, "127.0.0.11", 53, sockets->tcp).value_or(""), "127.0.0.1");
  // A name server of the container's own.
  const Fd own = Listen(ns, "0.0.0.0", 53);
  EXPECT_EQ(Reaches(ns, "127.0.0.1", 53, own), "127.0.0.1");
  const Fd own_udp = Listen(ns, "0.0.0.0", 53, SOCK_DGRAM);
  EXPECT_TRUE(own_udp.valid());
}

TEST_F(EndpointTest, OneCallPreparesEverything) {
  const BridgeSpec network = UseNetwork(1);
  EndpointSpec endpoint;
  endpoint.endpoint_id = NewObjectId();
  endpoint.network = network;
  endpoint.interface_name = "eth0";
  endpoint.address_v4 = "172.30.1.2";
  endpoint.mac_address = "02:00:00:00:00:07";
  auto prepared = network_->PrepareAttached({}, std::span(&endpoint, 1), true);
  ASSERT_TRUE(prepared) << prepared.error().Text();
  EXPECT_TRUE(prepared->names.udp.valid());
  const Fd server = Listen(prepared->network_namespace, "172.30.1.2", 80);
  EXPECT_TRUE(Reaches(Fd(), "172.30.1.2", 80, server).has_value());
}

TEST_F(EndpointTest, MistakesAreNamed) {
  const BridgeSpec network = UseNetwork(1);
  const Fd ns = network_->PrepareNamespace().value();
  EndpointSpec endpoint;
  endpoint.endpoint_id = NewObjectId();
  endpoint.network = network;
  endpoint.interface_name = "eth0";
  endpoint.address_v4 = "172.30.1.2";
  endpoint.mac_address = "01:00:00:00:00:07";
  EXPECT_EQ(network_->AttachEndpoint(ns.get(), endpoint).error().Text(),
            "invalid MAC address '01:00:00:00:00:07'");
  endpoint.mac_address.clear();
  endpoint.network = Network(7);
  EXPECT_EQ(network_->AttachEndpoint(ns.get(), endpoint).error().Text(),
            "bridge '" + endpoint.network.bridge + "' does not exist");
}

}  // namespace
}  // namespace skiff::net::testing
