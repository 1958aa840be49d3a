#include <gtest/gtest.h>
#include <netinet/in.h>

#include "netmgr/firewall/foreign.h"
#include "netmgr/firewall/rules.h"

namespace skiff::net {
namespace {

constexpr char kTable[] = R"(create table inet skiff-7e57ab1e
add chain inet skiff-7e57ab1e layout-1
add set inet skiff-7e57ab1e bridges { type ifname; }
add set inet skiff-7e57ab1e internal { type ifname; }
add set inet skiff-7e57ab1e same { type ifname . ifname; }
add map inet skiff-7e57ab1e ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
add map inet skiff-7e57ab1e ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
add map inet skiff-7e57ab1e bound4 { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }
add map inet skiff-7e57ab1e bound6 { type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }
add chain inet skiff-7e57ab1e raw { type filter hook prerouting priority -300; policy accept; }
add rule inet skiff-7e57ab1e raw iifname @bridges ip daddr 127.0.0.0/8 drop
add chain inet skiff-7e57ab1e published
add rule inet skiff-7e57ab1e published fib daddr type != local return
add rule inet skiff-7e57ab1e published dnat ip to meta l4proto . ip daddr . th dport map @bound4
add rule inet skiff-7e57ab1e published dnat ip6 to meta l4proto . ip6 daddr . th dport map @bound6
add rule inet skiff-7e57ab1e published meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports4
add rule inet skiff-7e57ab1e published meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @ports6
add chain inet skiff-7e57ab1e prerouting { type nat hook prerouting priority -100; policy accept; }
add rule inet skiff-7e57ab1e prerouting ip daddr 127.0.0.0/8 return
add rule inet skiff-7e57ab1e prerouting jump published
add chain inet skiff-7e57ab1e output { type nat hook output priority -100; policy accept; }
add rule inet skiff-7e57ab1e output ip6 daddr ::1 return
add rule inet skiff-7e57ab1e output jump published
add chain inet skiff-7e57ab1e postrouting { type nat hook postrouting priority 100; policy accept; }
add rule inet skiff-7e57ab1e postrouting iifname @bridges oifname != @bridges masquerade
add rule inet skiff-7e57ab1e postrouting iifname @bridges oifname @bridges ct status dnat masquerade
add rule inet skiff-7e57ab1e postrouting iif 0 oifname @bridges ct status dnat masquerade
add chain inet skiff-7e57ab1e forward { type filter hook forward priority 0; policy accept; }
add rule inet skiff-7e57ab1e forward iifname != @bridges oifname != @bridges accept
add rule inet skiff-7e57ab1e forward iifname . oifname @same accept
add rule inet skiff-7e57ab1e forward iifname @internal drop
add rule inet skiff-7e57ab1e forward oifname @internal drop
add rule inet skiff-7e57ab1e forward ct state established,related accept
add rule inet skiff-7e57ab1e forward oifname @bridges ct status dnat accept
add rule inet skiff-7e57ab1e forward oifname @bridges drop
add element inet skiff-7e57ab1e bound4 { udp . 127.0.0.1 . 53 comment "c0ffee" : 172.20.0.2 . 5353 }
add element inet skiff-7e57ab1e bridges { "sk1", "sk2" }
add element inet skiff-7e57ab1e internal { "sk2" }
add element inet skiff-7e57ab1e ports4 { tcp . 8080 comment "c0ffee" : 172.20.0.2 . 80 }
add element inet skiff-7e57ab1e ports6 { tcp . 8080 comment "c0ffee" : fd00::2 . 80 }
add element inet skiff-7e57ab1e same { "sk1" . "sk1", "sk2" . "sk2" }
)";

TEST(FirewallRulesTest, TheWholeTable) {
  FirewallState state;
  state.networks = {{"sk1", false}, {"sk2", true}};
  state.ports = {{"c0ffee", "", 8080, 80, IPPROTO_TCP, "172.20.0.2", "fd00::2"},
                 {"c0ffee", "127.0.0.1", 53, 5353, IPPROTO_UDP, "172.20.0.2", ""}};
  EXPECT_EQ(TableCommands("skiff-7e57ab1e", state, {}).value(), kTable);
}

TEST(FirewallRulesTest, ElementsOfAPort) {
  const struct {
    const char *host_ip, *v4, *v6;
    bool route_loopback;
    std::vector<std::string> keys;
  } rows[] = {
      {"", "10.0.0.2", "", true, {"ports4 tcp . 80"}},
      {"", "10.0.0.2", "fd00::2", true, {"ports4 tcp . 80", "ports6 tcp . 80"}},
      {"0.0.0.0", "10.0.0.2", "fd00::2", true, {"ports4 tcp . 80"}},
      {"::", "10.0.0.2", "fd00::2", true, {"ports6 tcp . 80"}},
      {"::", "10.0.0.2", "", true, {}},
      {"::1", "10.0.0.2", "fd00::2", true, {}},
      {"127.0.0.1", "10.0.0.2", "", true, {"bound4 tcp . 127.0.0.1 . 80"}},
      {"127.0.0.1", "10.0.0.2", "", false, {}},
      {"192.0.2.2", "10.0.0.2", "", false, {"bound4 tcp . 192.0.2.2 . 80"}},
      {"2001:db8::1", "10.0.0.2", "fd00::2", true, {"bound6 tcp . 2001:db8::1 . 80"}},
  };
  for (const auto& row : rows) {
    const auto elements =
        ElementsOf(PublishSpec{"id", row.host_ip, 80, 8080, IPPROTO_TCP, row.v4, row.v6},
                   {.route_loopback = row.route_loopback});
    ASSERT_TRUE(elements) << row.host_ip;
    std::vector<std::string> keys;
    for (const Element& element : *elements) keys.push_back(element.set + " " + element.key);
    EXPECT_EQ(keys, row.keys) << row.host_ip << " " << row.route_loopback;
  }
}

TEST(FirewallRulesTest, NothingAUserWroteBecomesACommand) {
  EXPECT_FALSE(ElementsOf(FirewallNetwork{"sk1\" } ; flush ruleset", false}));
  EXPECT_FALSE(ElementsOf(FirewallNetwork{"", false}));
  EXPECT_FALSE(ElementsOf(PublishSpec{"i", "0.0.0.0 }", 80, 80, IPPROTO_TCP, "10.0.0.2", ""}, {}));
  EXPECT_FALSE(ElementsOf(PublishSpec{"i", "", 80, 80, IPPROTO_TCP, "10.0.0.2; x", ""}, {}));
  EXPECT_FALSE(ElementsOf(PublishSpec{"i", "", 80, 80, 47, "10.0.0.2", ""}, {}));
  EXPECT_FALSE(ElementsOf(PublishSpec{"i", "", 0, 80, IPPROTO_TCP, "10.0.0.2", ""}, {}));
  const auto odd = ElementsOf(PublishSpec{"a\" b", "", 80, 80, IPPROTO_TCP, "10.0.0.2", ""}, {});
  EXPECT_EQ(odd->front().comment, "");
}

TEST(FirewallRulesTest, ReadsWhatNftLists) {
  const auto state = ParseTable(R"({"nftables": [{"metainfo": {}},
    {"set": {"name": "bridges", "elem": ["sk1", "sk2"]}},
    {"set": {"name": "internal", "elem": ["sk2"]}},
    {"map": {"name": "ports4", "elem": [
      [{"elem": {"val": {"concat": ["tcp", 8080]}, "comment": "c0ffee"}},
       {"concat": ["172.20.0.2", 80]}]]}},
    {"map": {"name": "bound6", "elem": [
      [{"concat": ["udp", "2001:db8::1", 53]}, {"concat": ["fd00::2", 5353]}]]}},
    {"map": {"name": "ports6", "elem": [[{"concat": [17, 9]}, {"concat": ["fd00::2", 10]}]]}}]})");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->networks, (std::vector<FirewallNetwork>{{"sk1", false}, {"sk2", true}}));
  EXPECT_EQ(state->ports, (std::vector<PublishSpec>{
                              {"c0ffee", "0.0.0.0", 8080, 80, IPPROTO_TCP, "172.20.0.2", ""},
                              {"", "2001:db8::1", 53, 5353, IPPROTO_UDP, "", "fd00::2"},
                              // A machine without /etc/protocols.
                              {"", "::", 9, 10, IPPROTO_UDP, "", "fd00::2"}}));
  EXPECT_FALSE(ParseTable("no json"));
}

TEST(FirewallTest, CollectsChanges) {
  auto firewall = Firewall::Open("7e57ab1e").value();
  EXPECT_FALSE(firewall->HasChanges());
  firewall->Unpublish({"c", "", 80, 8080, IPPROTO_TCP, "10.0.0.2", ""});
  firewall->Publish({"c", "", 80, 8080, IPPROTO_TCP, "10.0.0.3", ""});
  EXPECT_TRUE(firewall->HasChanges());
  EXPECT_EQ(
      firewall->PendingCommands().value(),
      "delete element inet skiff-7e57ab1e ports4 { tcp . 80 }\n"
      "add element inet skiff-7e57ab1e ports4 { tcp . 80 comment \"c\" : 10.0.0.3 . 8080 }\n");
}

}  // namespace
}  // namespace skiff::net
