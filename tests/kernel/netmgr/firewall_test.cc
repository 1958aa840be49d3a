#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "../../unit/netmgr/watched_loop.h"
#include "netmgr/address.h"
#include "netmgr/firewall/foreign.h"
#include "netmgr/firewall/nftables.h"
#include "netmgr/netlink/links.h"
#include "netmgr/port_relay.h"
#include "netmgr/ports.h"
#include "private_host.h"

namespace skiff::net::testing {
namespace {

class FirewallTest : public PrivateHost {
 protected:
  static void Nft(const std::string& commands) {
    auto nftables = Nftables::Load().value();
    const Status done = nftables->Run(commands);
    ASSERT_TRUE(done) << done.error().Text()
                      << (done.error().notes.empty() ? "" : done.error().notes[0].message);
  }
  // A route to `subnet` by way of `gateway` in a namespace.
  static void AddRoute(const Fd& ns, const std::string& subnet, const std::string& gateway) {
    In(ns, [&] {
      auto socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
      const IpPrefix prefix = *IpPrefix::Parse(subnet);
      const IpAddress via = *IpAddress::Parse(gateway);
      NetlinkBatch batch;
      batch.Begin(RTM_NEWROUTE, NLM_F_CREATE);
      rtmsg route = {};
      route.rtm_family = AF_INET;
      route.rtm_dst_len = static_cast<uint8_t>(prefix.length);
      route.rtm_table = RT_TABLE_MAIN;
      route.rtm_protocol = RTPROT_STATIC;
      route.rtm_type = RTN_UNICAST;
      batch.Body(route).Attribute(RTA_DST, prefix.address.bytes.data(), 4);
      batch.Attribute(RTA_GATEWAY, via.bytes.data(), 4);
      const Status added = socket.Transact(std::move(batch), "add a route");
      ASSERT_TRUE(added) << added.error().Text();
    });
  }
  // Makes 127.0.0.1 in a namespace mean its gateway's: what a container with NET_ADMIN can do.
  static void SendLoopbackToGateway(const Fd& ns, const std::string& gateway) {
    In(ns, [] {
      ASSERT_TRUE(SetNetSysctl("ipv4/conf/all/route_localnet", "1"));
      auto socket = NetlinkSocket::Open(NETLINK_ROUTE).value();
      const IpAddress loopback = *IpAddress::Parse("127.0.0.1");
      NetlinkBatch batch;
      batch.Begin(RTM_DELADDR, 0);
      ifaddrmsg info = {};
      info.ifa_family = AF_INET;
      info.ifa_prefixlen = 8;
      info.ifa_index = 1;
      batch.Body(info).Attribute(IFA_LOCAL, loopback.bytes.data(), 4);
      ASSERT_TRUE(socket.Transact(std::move(batch), "remove 127.0.0.1"));
    });
    AddRoute(ns, "127.0.0.1/32", gateway);
  }
};

TEST_F(FirewallTest, ContainersReachTheOutsideAsTheHost) {
  const Box box = Start(UseNetwork(1), 2);
  const Fd server = Listen(outside_, "0.0.0.0", 80);
  EXPECT_EQ(Reaches(box.ns, kOutside, 80, server), kHost);
}

TEST_F(FirewallTest, APublishedPortIsReachedFromEverywhere) {
  const BridgeSpec network = UseNetwork(1);
  const Box box = Start(network, 2);
  const Box neighbour = Start(network, 3);
  const Box stranger = Start(UseNetwork(2), 2);
  const Fd server = Listen(box.ns, "0.0.0.0", 80);
  PublishTcp("", 8080, box);
  EXPECT_EQ(Reaches(outside_, kHost, 8080, server), kOutside) << "the real client is seen";
  EXPECT_TRUE(Reaches(Fd(), "127.0.0.1", 8080, server).has_value()) << "the host, loopback";
  EXPECT_TRUE(Reaches(Fd(), "127.0.0.2", 8080, server).has_value()) << "all of 127/8";
  EXPECT_TRUE(Reaches(Fd(), kHost, 8080, server).has_value()) << "the host, its address";
  EXPECT_TRUE(Reaches(neighbour.ns, kHost, 8080, server).has_value()) << "a neighbour";
  EXPECT_TRUE(Reaches(neighbour.ns, network.gateway_v4, 8080, server).has_value());
  EXPECT_TRUE(Reaches(box.ns, kHost, 8080, server).has_value()) << "itself: hairpin";
  EXPECT_TRUE(Reaches(stranger.ns, kHost, 8080, server).has_value()) << "another network";
}

TEST_F(FirewallTest, AnIpv6PortIsForwardedToAnIpv6Container) {
  const Box box = Start(UseNetwork(1, true), 2);
  const Fd server = Listen(box.ns, "::", 80);
  PublishTcp("::", 8080, box);
  EXPECT_TRUE(Reaches(Fd(), "fd5c:1ff::1:1", 8080, server).has_value());
}

TEST_F(FirewallTest, AnUnpublishedPortIsGone) {
  const Box box = Start(UseNetwork(1), 2);
  const Fd server = Listen(box.ns, "0.0.0.0", 80);
  PublishTcp("0.0.0.0", 8080, box);
  EXPECT_TRUE(Reaches(outside_, kHost, 8080, server).has_value());
  firewall_->Unpublish({"c0ffee", "0.0.0.0", 8080, 80, IPPROTO_TCP, box.endpoint.address_v4, ""});
  ApplyFirewall();
  EXPECT_FALSE(Reaches(outside_, kHost, 8080, server, kNever).has_value());
}

TEST_F(FirewallTest, APortOf127001IsOfThisHostAlone) {
  const BridgeSpec network = UseNetwork(1);
  const Box box = Start(network, 2);
  const Box neighbour = Start(network, 3);
  const Fd server = Listen(box.ns, "0.0.0.0", 80);
  PublishTcp("127.0.0.1", 8080, box);
  EXPECT_TRUE(Reaches(Fd(), "127.0.0.1", 8080, server).has_value());
  EXPECT_FALSE(Reaches(outside_, kHost, 8080, server, kNever).has_value());
  EXPECT_FALSE(Reaches(neighbour.ns, kHost, 8080, server, kNever).has_value());
  EXPECT_FALSE(Reaches(neighbour.ns, network.gateway_v4, 8080, server, kNever).has_value());
  // A machine outside that sends 127.0.0.1 to this host's card.
  SendLoopbackToGateway(outside_, kHost);
  EXPECT_FALSE(Reaches(outside_, "127.0.0.1", 8080, server, kNever).has_value());
}

TEST_F(FirewallTest, ContainersDoNotReachTheLoopbackOfTheHost) {
  const BridgeSpec network = UseNetwork(1);
  const Box box = Start(network, 2);
  const Fd service = Listen(Fd(), "127.0.0.1", 5432);
  SendLoopbackToGateway(box.ns, network.gateway_v4);
  EXPECT_FALSE(Reaches(box.ns, "127.0.0.1", 5432, service, kNever).has_value());
  // That the packets do arrive: without our table they reach the service.
  ASSERT_TRUE(firewall_->RemoveTable());
  EXPECT_TRUE(Reaches(box.ns, "127.0.0.1", 5432, service).has_value());
}

TEST_F(FirewallTest, NetworksAreIsolatedFromEachOtherAndFromNeighboursOfTheHost) {
  const Box a = Start(UseNetwork(1), 2);
  const Box b = Start(UseNetwork(2), 2);
  const Fd server = Listen(b.ns, "0.0.0.0", 80);
  EXPECT_FALSE(Reaches(a.ns, "172.30.2.2", 80, server, kNever).has_value());
  AddRoute(outside_, "172.30.2.0/24", kHost);
  EXPECT_FALSE(Reaches(outside_, "172.30.2.2", 80, server, kNever).has_value());
  PublishTcp("127.0.0.1", 8080, b);
  EXPECT_FALSE(Reaches(outside_, "172.30.2.2", 80, server, kNever).has_value())
      << "publishing on 127.0.0.1 opens no way to the container's own address";
  // That the route is right: without the table the packets arrive.
  ASSERT_TRUE(firewall_->RemoveTable());
  EXPECT_TRUE(Reaches(outside_, "172.30.2.2", 80, server).has_value());
}

TEST_F(FirewallTest, AnInternalNetworkHasNoWayInOrOut) {
  const BridgeSpec network = UseNetwork(1, false, true);
  const Box a = Start(network, 2);
  const Box b = Start(network, 3);
  const Fd server = Listen(b.ns, "0.0.0.0", 80);
  const Fd outside_server = Listen(outside_, "0.0.0.0", 80);
  EXPECT_TRUE(Reaches(a.ns, "172.30.1.3", 80, server).has_value());
  EXPECT_FALSE(Reaches(a.ns, kOutside, 80, outside_server, kNever).has_value()) << "no route";
  AddRoute(a.ns, "192.0.2.0/24", network.gateway_v4);
  ASSERT_TRUE(SetNetSysctl("ipv4/ip_forward", "1"));
  EXPECT_FALSE(Reaches(a.ns, kOutside, 80, outside_server, kNever).has_value())
      << "not even with a route of its own";
  PublishTcp("", 8080, b);
  EXPECT_FALSE(Reaches(outside_, kHost, 8080, server, kNever).has_value());
}

TEST_F(FirewallTest, RebuildsAfterAFlush) {
  const BridgeSpec network = UseNetwork(1);
  const Box box = Start(network, 2);
  const Fd server = Listen(box.ns, "0.0.0.0", 80);
  PublishTcp("", 8080, box);
  const FirewallState rows = firewall_->Read().value();
  ASSERT_TRUE(firewall_->TableStands().value());
  Nft("flush ruleset");
  EXPECT_FALSE(firewall_->TableStands().value());
  EXPECT_FALSE(Reaches(outside_, kHost, 8080, server, kNever).has_value());
  firewall_->AddNetwork({"sk7e57aother", false});
  EXPECT_TRUE(firewall_->Apply().value().was_missing) << "the caller learns of it";
  const auto rebuilt = firewall_->Rebuild(rows);
  ASSERT_TRUE(rebuilt) << rebuilt.error().Text();
  EXPECT_FALSE(rebuilt->was_missing);
  EXPECT_TRUE(Reaches(outside_, kHost, 8080, server).has_value());
  EXPECT_EQ(firewall_->Read().value().networks, rows.networks);
  EXPECT_EQ(firewall_->Read().value().ports, rows.ports);
}

TEST_F(FirewallTest, ATableOfAnotherLayoutIsReplaced) {
  Nft("add table inet " + TableName(kRootHash) + "\nadd chain inet " + TableName(kRootHash) +
      " layout-0");
  EXPECT_FALSE(firewall_->TableStands().value());
  firewall_->AddNetwork({"sk7e57aother", false});
  EXPECT_TRUE(firewall_->Apply().value().was_missing);
  EXPECT_TRUE(firewall_->TableStands().value());
}

TEST_F(FirewallTest, ChangesAreIdempotentAndReplaceWhatIsStale) {
  const PublishSpec port = {"c0ffee", "0.0.0.0", 8080, 80, IPPROTO_TCP, "172.30.1.2", ""};
  firewall_->AddNetwork({"sk7e57aother", true});
  firewall_->Publish(port);
  ApplyFirewall();
  firewall_->AddNetwork({"sk7e57aother", true});
  firewall_->Publish(port);
  ApplyFirewall();
  PublishSpec other = port;
  other.target_v4 = "172.30.1.3";
  firewall_->Publish(other);
  ApplyFirewall();
  EXPECT_EQ(firewall_->Read().value().ports, std::vector<PublishSpec>{other});
  // What is somebody else's by now is not removed, what is not there is no error.
  firewall_->Unpublish(port);
  firewall_->RemoveNetwork({"sk7e57anever", false});
  ApplyFirewall();
  EXPECT_EQ(firewall_->Read().value().ports, std::vector<PublishSpec>{other});
  firewall_->Unpublish(other);
  firewall_->RemoveNetwork({"sk7e57aother", true});
  ApplyFirewall();
  EXPECT_TRUE(firewall_->Read().value().ports.empty());
  EXPECT_TRUE(firewall_->Read().value().networks.empty());
  EXPECT_FALSE(firewall_->HasChanges());
}

TEST_F(FirewallTest, TwoRootsDoNotDisturbEachOther) {
  auto other = Firewall::Open("0ddba115").value();
  other->AddNetwork({"sk0ddbaother", false});
  ASSERT_TRUE(other->Apply());
  const Box box = Start(UseNetwork(1), 2);
  const Fd server = Listen(box.ns, "0.0.0.0", 80);
  PublishTcp("", 8080, box);
  EXPECT_TRUE(Reaches(outside_, kHost, 8080, server).has_value());
  ASSERT_TRUE(other->RemoveTable());
  EXPECT_TRUE(firewall_->TableStands().value());
  EXPECT_TRUE(Reaches(outside_, kHost, 8080, server).has_value());
}

TEST_F(FirewallTest, AForeignPolicyOfDropGetsTwoPlainAccepts) {
  Nft("add table ip filter\n"
      "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }\n"
      "add rule ip filter FORWARD iifname \"uplink\" tcp dport 9999 accept");
  const BridgeSpec network = UseNetwork(1);
  const Box box = Start(network, 2);
  const Fd server = Listen(outside_, "0.0.0.0", 80);
  EXPECT_TRUE(Reaches(box.ns, kOutside, 80, server).has_value());
  const auto rules_of = [] {
    const std::string text = Nftables::Load().value()->List("list chain ip filter FORWARD").value();
    size_t count = 0;
    for (size_t at = 0; (at = text.find("\"accept\"", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  EXPECT_EQ(rules_of(), 3u);
  firewall_->AddNetwork({network.bridge, false});
  ApplyFirewall();
  EXPECT_EQ(rules_of(), 3u) << "not added twice";
  firewall_->RemoveNetwork({network.bridge, false});
  ApplyFirewall();
  EXPECT_EQ(rules_of(), 1u) << "the stranger's own rule is left";
}

TEST_F(FirewallTest, ForgottenConnectionsDoNotReachTheNextContainer) {
  const BridgeSpec network = UseNetwork(1);
  const Box first = Start(network, 2);
  const Box second = Start(network, 3);
  const Fd first_server = Listen(first.ns, "0.0.0.0", 80, SOCK_DGRAM);
  const Fd second_server = Listen(second.ns, "0.0.0.0", 80, SOCK_DGRAM);
  PublishSpec port = {"c0ffee", "0.0.0.0", 5300, 80, IPPROTO_UDP, "172.30.1.2", ""};
  firewall_->Publish(port);
  ApplyFirewall();
  const Fd client = Datagrams(outside_);
  SendTo(client, kHost, 5300, "one");
  ASSERT_TRUE(Readable(first_server, kSoon));
  char data[8];
  ASSERT_EQ(::recv(first_server.get(), data, sizeof data, 0), 3);
  firewall_->Unpublish(port);
  port.target_v4 = "172.30.1.3";
  firewall_->Publish(port);
  ApplyFirewall();
  const std::string gone = "172.30.1.2";
  const Status forgotten = network_->ForgetConnections(std::span(&gone, 1));
  ASSERT_TRUE(forgotten) << forgotten.error().Text();
  SendTo(client, kHost, 5300, "two");
  EXPECT_TRUE(Readable(second_server, kSoon));
}

// What the kernel cannot forward: [::] and ::1 to an IPv4 container.
TEST_F(FirewallTest, TheRelayServesIpv6ToAnIpv4Container) {
  const Box box = Start(UseNetwork(1), 2);
  const Fd server = Listen(box.ns, "0.0.0.0", 80);
  PortReservation port = ReservePort({"", 8080, 0, IPPROTO_TCP}).value();
  const RelayNeed need = RelayNeedOf(port, true, false, network_->CanRouteLoopback());
  EXPECT_TRUE(need.v6);
  EXPECT_FALSE(need.v4);
  PublishTcp("", 8080, box);
  EXPECT_TRUE(Reaches(Fd(), "127.0.0.1", 8080, server).has_value())
      << "the kernel is before the reserving socket";
  WatchedLoop loop;
  PortRelay relay(&loop);
  ASSERT_TRUE(relay.Serve(std::move(port.v6), {"172.30.1.2", 80, IPPROTO_TCP}));
  const Fd client = Connect(Fd(), "::1", 8080, kSoon);
  ASSERT_TRUE(client.valid());
  ASSERT_TRUE(loop.RunUntil(relay, [&] { return Readable(server, kNever * 0); }, {server.get()}));
  const Fd accepted(::accept(server.get(), nullptr, nullptr));
  ASSERT_EQ(::send(client.get(), "x", 1, 0), 1);
  EXPECT_TRUE(
      loop.RunUntil(relay, [&] { return Readable(accepted, kNever * 0); }, {accepted.get()}));
}

TEST_F(FirewallTest, WithoutLoopbackRoutingTheReservingSocketGetsIt) {
  firewall_ = Firewall::Open(kRootHash, {.route_loopback = false}).value();
  const Box box = Start(UseNetwork(1), 2);
  PortReservation port = ReservePort({"", 8080, 0, IPPROTO_TCP}).value();
  EXPECT_TRUE(RelayNeedOf(port, true, false, false).v4);
  PublishTcp("", 8080, box);
  EXPECT_TRUE(Reaches(Fd(), "127.0.0.1", 8080, port.v4).has_value());
}

}  // namespace
}  // namespace skiff::net::testing
