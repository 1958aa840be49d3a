#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "../../unit/netmgr/watched_loop.h"
#include "netmgr/address.h"
#include "netmgr/firewall/foreign.h"
#include "netmgr/netlink/links.h"
#include "netmgr/port_relay.h"
#include "netmgr/ports.h"
#include "private_host.h"

namespace skiff::net::testing {
namespace {

class FirewallTest : public PrivateHost {
 protected:
  // The program nft, in the network namespace of the thread: what somebody else does, and a second
  // opinion about what we did. Its output.
  static std::string Nft(const std::string& commands) {
    Pipe in = MakePipe().value(), out = MakePipe().value();
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(in.read.get(), STDIN_FILENO);
      ::dup2(out.write.get(), STDOUT_FILENO);
      ::dup2(out.write.get(), STDERR_FILENO);
      ::execlp("nft", "nft", "-f", "-", nullptr);
      ::_exit(127);
    }
    in.read.Reset();
    out.write.Reset();
    EXPECT_TRUE(WriteAll(in.write.get(), commands, "nft"));
    in.write.Reset();
    const std::string printed = ReadAll(out.read.get(), 1 << 20, "nft").value_or("");
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << commands << printed;
    return printed;
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

// The layout in nft's language. nft reads back the same from the kernel for both, which says that
// the messages mean what their comments say, the types of sets and the order of rules included.
constexpr std::string_view kLayoutText = R"(create table inet other
add chain inet other layout-2
add set inet other bridges { type ifname; }
add set inet other internal { type ifname; }
add set inet other same { type ifname . ifname; }
add map inet other ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
add map inet other ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
add map inet other bound4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
add map inet other bound6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }
add set inet other seen4 { type ipv4_addr; size 65535; flags dynamic; }
add set inet other seen6 { type ipv6_addr; size 65535; flags dynamic; }
add set inet other overflow { type nf_proto; size 65535; flags dynamic; }
add chain inet other raw { type filter hook prerouting priority -300; policy accept; }
add rule inet other raw iifname @bridges ip daddr 127.0.0.0/8 drop
add chain inet other published
add rule inet other published fib daddr type != local return
add rule inet other published dnat ip to meta l4proto . ip daddr . th dport map @bound4
add rule inet other published dnat ip6 to meta l4proto . ip6 daddr . th dport map @bound6
add rule inet other published meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports4
add rule inet other published meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @ports6
add chain inet other seen_source
add rule inet other seen_source add @seen4 { ip saddr } return
add rule inet other seen_source ip6 saddr fe80::/64 return
add rule inet other seen_source add @seen6 { ip6 saddr } return
add rule inet other seen_source add @overflow { meta nfproto }
add chain inet other seen_target
add rule inet other seen_target ip daddr >= 224.0.0.0 return
add rule inet other seen_target ip6 daddr ff00::/8 return
add rule inet other seen_target add @seen4 { ip daddr } return
add rule inet other seen_target ip6 daddr fe80::/64 return
add rule inet other seen_target add @seen6 { ip6 daddr } return
add rule inet other seen_target add @overflow { meta nfproto }
add chain inet other prerouting { type nat hook prerouting priority -100; policy accept; }
add rule inet other prerouting iifname @bridges jump seen_source
add rule inet other prerouting ip daddr 127.0.0.0/8 return
add rule inet other prerouting jump published
add chain inet other output { type nat hook output priority -100; policy accept; }
add rule inet other output ip6 daddr ::1 return
add rule inet other output jump published
add chain inet other postrouting { type nat hook postrouting priority 100; policy accept; }
add rule inet other postrouting oifname @bridges jump seen_target
add rule inet other postrouting iifname @bridges oifname != @bridges masquerade
add rule inet other postrouting iifname @bridges oifname @bridges ct status dnat masquerade
add rule inet other postrouting iif 0 oifname @bridges ct status dnat masquerade
add chain inet other forward { type filter hook forward priority 0; policy accept; }
add rule inet other forward iifname != @bridges oifname != @bridges accept
add rule inet other forward iifname . oifname @same accept
add rule inet other forward iifname @internal drop
add rule inet other forward oifname @internal drop
add rule inet other forward ct state established,related accept
add rule inet other forward oifname @bridges ct status dnat accept
add rule inet other forward oifname @bridges drop
add element inet other bridges { "sk7e57aone" }
add element inet other internal { "sk7e57aone" }
add element inet other same { "sk7e57aone" . "sk7e57aone" }
add element inet other ports4 { tcp . 8080 comment "c0ffee" : 172.30.1.2 . 80 }
add element inet other ports6 { tcp . 8080 comment "c0ffee" : fd5c::2 . 80 }
add element inet other bound4 { udp . 192.0.2.1 . 53 comment "c0ffee" : 172.30.1.2 . 5353 }
add element inet other bound6 { udp . fd5c:1ff::1:1 . 53 comment "c0ffee" : fd5c::2 . 5353 }
)";

TEST_F(FirewallTest, TheTableIsWhatNftWouldMakeOfTheSameRules) {
  firewall_->AddNetwork({"sk7e57aone", true});
  firewall_->Publish({"c0ffee", "", 8080, 80, IPPROTO_TCP, "172.30.1.2", "fd5c::2"});
  firewall_->Publish({"c0ffee", "192.0.2.1", 53, 5353, IPPROTO_UDP, "172.30.1.2", ""});
  firewall_->Publish({"c0ffee", "fd5c:1ff::1:1", 53, 5353, IPPROTO_UDP, "", "fd5c::2"});
  ApplyFirewall();
  Nft(std::string(kLayoutText));
  std::string ours = Nft("list table inet " + TableName(kRootHash));
  ours.replace(ours.find(TableName(kRootHash)), TableName(kRootHash).size(), "other");
  EXPECT_EQ(ours, Nft("list table inet other"));
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
    const std::string text = Nft("list chain ip filter FORWARD");
    size_t count = 0;
    for (size_t at = 0; (at = text.find(" accept\n", at)) != std::string::npos; ++at) ++count;
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

TEST_F(FirewallTest, ItKnowsWhichAddressesHadConnections) {
  const BridgeSpec network = UseNetwork(1);
  const Box client = Start(network, 2), idle = Start(network, 3), server = Start(network, 4);
  const Fd outside_server = Listen(outside_, "0.0.0.0", 80);
  const Fd inside_server = Listen(server.ns, "0.0.0.0", 80);
  const std::vector<std::string> all = {"172.30.1.2", "172.30.1.3", "172.30.1.4"};
  EXPECT_TRUE(firewall_->SeenOf(all).value().empty());
  EXPECT_TRUE(Reaches(client.ns, kOutside, 80, outside_server).has_value());
  EXPECT_EQ(firewall_->SeenOf(all).value(), std::vector<std::string>{"172.30.1.2"});
  EXPECT_TRUE(Reaches(Fd(), "172.30.1.4", 80, inside_server).has_value()) << "from the host";
  EXPECT_EQ(firewall_->SeenOf(all).value(), (std::vector<std::string>{"172.30.1.2", "172.30.1.4"}));
  std::vector<std::string> seen = firewall_->Seen().value().addresses;
  std::ranges::sort(seen);
  EXPECT_EQ(seen, (std::vector<std::string>{"172.30.1.2", "172.30.1.4"}));
  firewall_->ForgetSeen(seen);
  ApplyFirewall();
  EXPECT_TRUE(firewall_->SeenOf(all).value().empty());
  // After a flush nobody knows; the engine says so and any of them may have been.
  FirewallState lost = firewall_->Read().value();
  lost.unsure = true;
  ASSERT_TRUE(firewall_->Rebuild(lost));
  EXPECT_EQ(firewall_->SeenOf(all).value(), all);
  EXPECT_TRUE(firewall_->Seen().value().unsure);
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
