#include "netmgr/ipam.h"

#include <gtest/gtest.h>

#include "netmgr/network.h"

namespace skiff::net {
namespace {

IpPrefix Prefix(std::string_view text) {
  return IpPrefix::Parse(text).value();
}
IpAddress Address(std::string_view text) {
  return IpAddress::Parse(text).value();
}

TEST(AddressTest, ParsesStrictly) {
  for (const char* text : {"172.20.0.1", "0.0.0.0", "fd00::1", "::", "::1"}) {
    EXPECT_EQ(Address(text).Text(), text);
  }
  for (const char* text : {"", "1.2.3", "01.2.3.4", "1.2.3.4.5", "256.1.1.1", "fe80::1%eth0",
                           "g::1", " 1.2.3.4", "1.2.3.4 "}) {
    EXPECT_FALSE(IpAddress::Parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::Parse(std::string_view("1.2.3.4\0x", 9)));
  EXPECT_FALSE(IpPrefix::Parse("10.0.0.0"));
  EXPECT_FALSE(IpPrefix::Parse("10.0.0.0/33"));
  EXPECT_FALSE(IpPrefix::Parse("10.0.0.0/-1"));
  EXPECT_EQ(Prefix("10.1.2.3/8").Text(), "10.0.0.0/8");
  EXPECT_EQ(Prefix("fd00:1:2:3::4/48").Text(), "fd00:1:2::/48");
}

TEST(AddressTest, Arithmetic) {
  EXPECT_EQ(Address("10.0.0.255").Plus(1)->Text(), "10.0.1.0");
  EXPECT_EQ(Address("fd00::ffff:ffff:ffff:ffff").Plus(1)->Text(), "fd00:0:0:1::");
  EXPECT_FALSE(Address("255.255.255.255").Plus(1));
  EXPECT_EQ(Prefix("10.0.0.0/22").Last().Text(), "10.0.3.255");
  EXPECT_EQ(Prefix("fd00::/120").Last().Text(), "fd00::ff");
  EXPECT_TRUE(Prefix("10.0.0.0/8").Contains(Address("10.255.0.1")));
  EXPECT_FALSE(Prefix("10.0.0.0/8").Contains(Address("11.0.0.0")));
  EXPECT_TRUE(Prefix("10.1.0.0/16").Overlaps(Prefix("10.0.0.0/8")));
  EXPECT_FALSE(Prefix("0.0.0.0/0").Overlaps(Prefix("::/0"))) << "families never overlap";
}

TEST(IpamTest, ChoosesTheFirstFreePiece) {
  const auto pools = DefaultPools();
  EXPECT_EQ(ChooseSubnet(pools, {})->Text(), "172.18.0.0/22");
  const std::vector<IpPrefix> taken = {Prefix("172.18.0.0/24"), Prefix("172.18.1.7/32"),
                                       Prefix("172.18.2.0/23")};
  EXPECT_EQ(ChooseSubnet(pools, taken)->Text(), "172.18.4.0/22");
  EXPECT_EQ(ChooseSubnet(pools, std::vector{Prefix("172.16.0.0/12")})->Text(), "192.168.0.0/24");
  const auto none =
      ChooseSubnet(pools, std::vector{Prefix("172.16.0.0/12"), Prefix("192.168.0.0/16")});
  EXPECT_EQ(none.error().Text(), "all predefined address pools have been fully subnetted");
  EXPECT_EQ(none.error().code, Code::kExhausted);
}

TEST(IpamTest, ManyProjectsFit) {
  std::vector<IpPrefix> taken;
  for (int i = 0; i < 3000; ++i) {
    const auto subnet = ChooseSubnet(DefaultPools(), taken);
    ASSERT_TRUE(subnet) << i;
    taken.push_back(*subnet);
  }
}

TEST(IpamTest, ChoosesALocalIpv6Subnet) {
  const auto first = ChooseSubnetV6("7e57ab1e", "network", {});
  EXPECT_TRUE(Prefix("fd00::/8").Contains(*first));
  EXPECT_EQ(first->length, 64);
  EXPECT_EQ(*ChooseSubnetV6("7e57ab1e", "network", {}), *first) << "the same for the same network";
  const auto second = ChooseSubnetV6("7e57ab1e", "network", std::vector{*first});
  EXPECT_FALSE(second->Overlaps(*first));
}

TEST(IpamTest, ChecksWhatTheUserWrote) {
  const auto plan = PlanSubnet("10.5.0.0/16", "10.5.9.9", "10.5.1.0/24", {});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->gateway.Text(), "10.5.9.9");
  EXPECT_EQ(plan->range->Text(), "10.5.1.0/24");
  EXPECT_EQ(PlanSubnet("10.5.0.0/16", "", "", {})->gateway.Text(), "10.5.0.1");
  EXPECT_EQ(PlanSubnet("fd00::/64", "", "", {})->gateway.Text(), "fd00::1");
  const std::vector<IpPrefix> taken = {Prefix("10.5.0.0/20")};
  const struct {
    const char *subnet, *gateway, *range, *message;
  } rows[] = {
      {"10.0.0/24", "", "", "invalid subnet '10.0.0/24'"},
      {"10.0.0.0", "", "", "invalid subnet '10.0.0.0'"},
      {"127.0.0.0/8", "", "", "invalid subnet '127.0.0.0/8': not usable for a network"},
      {"10.0.0.0/31", "", "",
       "invalid subnet '10.0.0.0/31': too small for a gateway and a container"},
      {"10.5.0.0/16", "", "", "pool overlaps with other one on this address space"},
      {"10.0.0.0/24", "10.1.0.1", "", "gateway '10.1.0.1' is not in subnet '10.0.0.0/24'"},
      {"10.0.0.0/24", "x", "", "invalid gateway address 'x'"},
      {"10.0.0.0/24", "", "10.0.0.0/16", "ip-range '10.0.0.0/16' is not in subnet '10.0.0.0/24'"},
      {"10.0.0.0/24", "", "10.0.0.5", "invalid ip-range '10.0.0.5'"},
  };
  for (const auto& row : rows) {
    const auto result = PlanSubnet(row.subnet, row.gateway, row.range, taken);
    ASSERT_FALSE(result) << row.message;
    EXPECT_EQ(result.error().Text(), row.message);
  }
}

TEST(IpamTest, AddressesRestBeforeTheyAreUsedAgain) {
  const SubnetPlan plan = PlanSubnet(Prefix("10.0.0.0/29"));
  EXPECT_EQ(NextAddress(plan, {}, std::nullopt)->Text(), "10.0.0.2") << "the gateway is .1";
  EXPECT_EQ(NextAddress(plan, {}, Address("10.0.0.2"))->Text(), "10.0.0.3");
  EXPECT_EQ(NextAddress(plan, {Address("10.0.0.3")}, Address("10.0.0.2"))->Text(), "10.0.0.4");
  EXPECT_EQ(NextAddress(plan, {}, Address("10.0.0.6"))->Text(), "10.0.0.2") << "around the end";
  std::set<IpAddress> used;
  std::optional<IpAddress> last;
  for (int i = 0; i < 5; ++i) {
    last = NextAddress(plan, used, last).value();
    used.insert(*last);
  }
  const auto full = NextAddress(plan, used, last);
  EXPECT_EQ(full.error().Text(), "no available IPv4 addresses on this network's address pools");
  EXPECT_EQ(full.error().code, Code::kExhausted);
}

TEST(IpamTest, ARangeLimitsAutomaticAddressesOnly) {
  const SubnetPlan plan = PlanSubnet("10.0.0.0/24", "", "10.0.0.128/30", {}).value();
  EXPECT_EQ(NextAddress(plan, {}, std::nullopt)->Text(), "10.0.0.128");
  EXPECT_EQ(NextAddress(plan, {}, Address("10.0.0.131"))->Text(), "10.0.0.128");
  EXPECT_EQ(NextAddress(plan, {}, Address("10.0.0.9"))->Text(), "10.0.0.128");
  EXPECT_TRUE(CheckAddress(std::vector{plan}, "10.0.0.9", {}));
}

TEST(IpamTest, StaticAddresses) {
  const std::vector<SubnetPlan> plans = {PlanSubnet(Prefix("10.0.0.0/24")),
                                         PlanSubnet(Prefix("fd00::/64"))};
  EXPECT_EQ(CheckAddress(plans, "10.0.0.5", {})->Text(), "10.0.0.5");
  EXPECT_EQ(CheckAddress(plans, "fd00::5", {})->Text(), "fd00::5");
  const struct {
    const char *address, *message;
  } rows[] = {
      {"10.0.0.1", "Address already in use"},
      {"10.0.0.7", "Address already in use"},
      {"10.9.0.5", "no configured subnet contains IP address 10.9.0.5"},
      {"10.0.0.255", "IP address '10.0.0.255' is reserved in subnet '10.0.0.0/24'"},
      {"10.0.0", "invalid IP address '10.0.0'"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(CheckAddress(plans, row.address, {Address("10.0.0.7")}).error().Text(), row.message);
  }
}

TEST(IpamTest, ReadsNameServersAndRoutes) {
  const auto servers = NameServersOf(
      "# x\nnameserver 10.0.0.53\nsearch a b\nnameserver fe80::1%e\n"
      "nameserver bad\nnameserver\n");
  ASSERT_EQ(servers.size(), 2u);
  EXPECT_EQ(servers[0].Text(), "10.0.0.53/32");
  EXPECT_EQ(servers[1].Text(), "fe80::1/128");
  const auto routes = ReadHostRoutes();
  ASSERT_TRUE(routes) << routes.error().Text();
  for (const IpPrefix& route : *routes) EXPECT_GT(route.length, 0) << "no default route";
}

TEST(NamesTest, DeriveFromIds) {
  const std::string id(64, 'a');
  EXPECT_EQ(BridgeName("7e57ab1e", id), "sk7e57aaaaaaaaa");
  EXPECT_EQ(HostLinkName("7e57ab1e", id), "sv7e57aaaaaaaaa");
  EXPECT_LE(BridgeName("7e57ab1e", id).size(), 15u);
  EXPECT_EQ(TableName("7e57ab1e"), "skiff-7e57ab1e");
  EXPECT_EQ(LinkGroup(id), 0x6aaaaaaau);
  EXPECT_GE(LinkGroup(std::string(64, '0')), 0x40000000u);
  EXPECT_EQ(MacOfAddress("172.20.0.2", id), "02:42:ac:14:00:02");
  EXPECT_EQ(MacOfAddress("", id), "02:42:aa:aa:aa:aa");
  EXPECT_EQ(MacOfAddress("", "no digits").size(), 17u);
}

}  // namespace
}  // namespace skiff::net
