#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "netmgr/firewall/rules.h"

namespace skiff::net {
namespace {

// " 06000000 00500000"
std::string Words(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i % 4 == 0) text += ' ';
    text += fmt::format("{:02x}", static_cast<uint8_t>(bytes[i]));
  }
  return text;
}

TEST(FirewallRulesTest, ElementsOfAPort) {
  const struct {
    const char *host_ip, *v4, *v6;
    bool route_loopback;
    std::vector<std::string> elements;
  } rows[] = {
      {"", "10.0.0.2", "", true, {"ports4 06000000 00500000 : 0a000002 1f900000"}},
      {"",
       "10.0.0.2",
       "fd00::2",
       true,
       {"ports4 06000000 00500000 : 0a000002 1f900000",
        "ports6 06000000 00500000 : fd000000 00000000 00000000 00000002 1f900000"}},
      {"0.0.0.0",
       "10.0.0.2",
       "fd00::2",
       true,
       {"ports4 06000000 00500000 : 0a000002 1f900000"}},
      {"::",
       "10.0.0.2",
       "fd00::2",
       true,
       {"ports6 06000000 00500000 : fd000000 00000000 00000000 00000002 1f900000"}},
      {"::", "10.0.0.2", "", true, {}},
      {"::1", "10.0.0.2", "fd00::2", true, {}},
      {"127.0.0.1",
       "10.0.0.2",
       "",
       true,
       {"bound4 06000000 7f000001 00500000 : 0a000002 1f900000"}},
      {"127.0.0.1", "10.0.0.2", "", false, {}},
      {"192.0.2.2",
       "10.0.0.2",
       "",
       false,
       {"bound4 06000000 c0000202 00500000 : 0a000002 1f900000"}},
      {"2001:db8::1",
       "10.0.0.2",
       "fd00::2",
       true,
       {"bound6 06000000 20010db8 00000000 00000000 00000001 00500000 : fd000000 00000000 00000000 "
        "00000002 1f900000"}},
  };
  for (const auto& row : rows) {
    const auto elements =
        ElementsOf(PublishSpec{"id", row.host_ip, 80, 8080, IPPROTO_TCP, row.v4, row.v6},
                   {.route_loopback = row.route_loopback});
    ASSERT_TRUE(elements) << row.host_ip;
    std::vector<std::string> texts;
    for (const auto& [set, element] : *elements) {
      texts.push_back(set + Words(element.key) + " :" + Words(element.data));
    }
    EXPECT_EQ(texts, row.elements) << row.host_ip << " " << row.route_loopback;
  }
}

TEST(FirewallRulesTest, ElementsOfANetwork) {
  const auto elements = ElementsOf(FirewallNetwork{"sk1", true}).value();
  const std::string name("sk1\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
  EXPECT_EQ(elements, (std::vector<Element>{{"bridges", {name, "", ""}},
                                            {"same", {name + name, "", ""}},
                                            {"internal", {name, "", ""}}}));
}

TEST(FirewallRulesTest, WhatIsNoNameAddressOrPortIsRefused) {
  EXPECT_FALSE(ElementsOf(FirewallNetwork{"sk1\" }", false}));
  EXPECT_FALSE(ElementsOf(FirewallNetwork{"sixteen-letters-", false}));
  EXPECT_FALSE(ElementsOf(FirewallNetwork{"", false}));
  EXPECT_FALSE(ElementsOf(PublishSpec{"i", "0.0.0.0 }", 80, 80, IPPROTO_TCP, "10.0.0.2", ""}, {}));
  EXPECT_FALSE(ElementsOf(PublishSpec{"i", "", 80, 80, IPPROTO_TCP, "10.0.0.2; x", ""}, {}));
  EXPECT_FALSE(ElementsOf(PublishSpec{"i", "", 80, 80, 47, "10.0.0.2", ""}, {}));
  EXPECT_FALSE(ElementsOf(PublishSpec{"i", "", 0, 80, IPPROTO_TCP, "10.0.0.2", ""}, {}));
  const auto odd = ElementsOf(PublishSpec{"a\" b", "", 80, 80, IPPROTO_TCP, "10.0.0.2", ""}, {});
  EXPECT_EQ(odd->front().element.comment, "");
}

TEST(FirewallRulesTest, WhatTheTableHoldsIsReadAsItWasPut) {
  FirewallState state;
  state.networks = {{"sk1", false}, {"sk2", true}};
  state.ports = {{"c0ffee", "0.0.0.0", 8080, 80, IPPROTO_TCP, "172.20.0.2", ""},
                 {"", "2001:db8::1", 53, 5353, IPPROTO_UDP, "", "fd00::2"},
                 {"", "::", 9, 10, IPPROTO_UDP, "", "fd00::2"}};
  const FirewallState read = StateOf(ElementsOf(state, {}).value());
  EXPECT_EQ(read.networks, state.networks);
  EXPECT_EQ(read.ports, state.ports);
  // A set of another layout, a key of another length.
  const std::vector<Element> odd = {{"layers", {"x", "", ""}}, {"bridges", {"short", "", ""}},
                                    {"ports4", {"12345678", "", ""}}};
  EXPECT_TRUE(StateOf(odd).networks.empty());
  EXPECT_TRUE(StateOf(odd).ports.empty());
}

TEST(FirewallTest, CollectsChanges) {
  auto firewall = Firewall::Open("7e57ab1e").value();
  EXPECT_FALSE(firewall->HasChanges());
  firewall->Publish({"c", "", 80, 8080, IPPROTO_TCP, "10.0.0.3", ""});
  EXPECT_TRUE(firewall->HasChanges());
}

}  // namespace
}  // namespace skiff::net
