#include "netmgr/firewall/rules.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

#include "netmgr/address.h"

namespace skiff::net {
namespace {

// Priorities: raw is -300, dstnat -100, filter 0, srcnat 100.
//
// In `published` an address that is bound wins over "any". `fib daddr type local` keeps packets on
// their way through the host to some other machine's port alone. In prerouting nothing for
// 127.0.0.0/8 is translated: such a packet comes from a neighbour, and the kernel drops it as a
// martian unless it is translated first.
//
// In postrouting no input interface (iif 0) means a packet of the host itself, perhaps from
// 127.0.0.1, or one that a bridge has translated itself (br_netfilter).
//
// In `forward` an accept ends this chain only. Who comes to a bridge from elsewhere, neighbours
// with a route to the subnet included, needs a published port. The same bridge twice is seen where
// bridged packets pass the firewall (br_netfilter, as dockerd sets it) and on the way of a hairpin.
constexpr std::string_view kLayout = R"(create table inet {table}
add chain inet {table} {layout}
add set inet {table} bridges {{ type ifname; }}
add set inet {table} internal {{ type ifname; }}
add set inet {table} same {{ type ifname . ifname; }}
add map inet {table} ports4 {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
add map inet {table} ports6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
add map inet {table} bound4 {{ type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }}
add map inet {table} bound6 {{ type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }}
add chain inet {table} raw {{ type filter hook prerouting priority -300; policy accept; }}
add rule inet {table} raw iifname @bridges ip daddr 127.0.0.0/8 drop
add chain inet {table} published
add rule inet {table} published fib daddr type != local return
add rule inet {table} published dnat ip to meta l4proto . ip daddr . th dport map @bound4
add rule inet {table} published dnat ip6 to meta l4proto . ip6 daddr . th dport map @bound6
add rule inet {table} published meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports4
add rule inet {table} published meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @ports6
add chain inet {table} prerouting {{ type nat hook prerouting priority -100; policy accept; }}
add rule inet {table} prerouting ip daddr 127.0.0.0/8 return
add rule inet {table} prerouting jump published
add chain inet {table} output {{ type nat hook output priority -100; policy accept; }}
{loopback}add rule inet {table} output ip6 daddr ::1 return
add rule inet {table} output jump published
add chain inet {table} postrouting {{ type nat hook postrouting priority 100; policy accept; }}
add rule inet {table} postrouting iifname @bridges oifname != @bridges masquerade
add rule inet {table} postrouting iifname @bridges oifname @bridges ct status dnat masquerade
add rule inet {table} postrouting iif 0 oifname @bridges ct status dnat masquerade
add chain inet {table} forward {{ type filter hook forward priority 0; policy accept; }}
add rule inet {table} forward iifname != @bridges oifname != @bridges accept
add rule inet {table} forward iifname . oifname @same accept
add rule inet {table} forward iifname @internal drop
add rule inet {table} forward oifname @internal drop
add rule inet {table} forward ct state established,related accept
add rule inet {table} forward oifname @bridges ct status dnat accept
add rule inet {table} forward oifname @bridges drop
)";

bool IsInterfaceName(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= 15 && std::all_of(name.begin(), name.end(), plain);
}

// An id is hexadecimal; anything else stays out of the commands.
std::string ShortId(std::string_view id) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (!std::all_of(id.begin(), id.end(), plain)) return {};
  return std::string(id.substr(0, 12));
}

Result<IpAddress> TargetAddress(const std::string& text, bool v6) {
  const auto address = IpAddress::Parse(text);
  if (!address || address->v6 != v6) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid container address '{}'", text));
  }
  return *address;
}

std::string ElementText(const Element& element, bool with_data) {
  if (!with_data) return element.key;
  std::string text = element.key;
  if (!element.comment.empty()) text += fmt::format(" comment \"{}\"", element.comment);
  if (!element.data.empty()) text += " : " + element.data;
  return text;
}

std::string ElementCommands(std::string_view verb, const std::string& table,
                            const std::vector<Element>& elements) {
  std::map<std::string, std::string> sets;
  for (const Element& element : elements) {
    std::string& list = sets[element.set];
    if (!list.empty()) list += ", ";
    list += ElementText(element, verb == "add");
  }
  std::string commands;
  for (const auto& [set, list] : sets) {
    commands += fmt::format("{} element inet {} {} {{ {} }}\n", verb, table, set, list);
  }
  return commands;
}

}  // namespace

Result<std::string> ProtocolText(int protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_UDP:
      return "udp";
    case IPPROTO_SCTP:
      return "sctp";
    default:
      return Fail(Code::kInvalidArgument, fmt::format("cannot publish protocol '{}'", protocol));
  }
}

Result<std::vector<Element>> ElementsOf(const FirewallNetwork& network) {
  if (!IsInterfaceName(network.bridge)) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid bridge name '{}'", network.bridge));
  }
  const std::string quoted = "\"" + network.bridge + "\"";
  std::vector<Element> elements = {{"bridges", quoted, "", ""},
                                   {"same", quoted + " . " + quoted, "", ""}};
  if (network.internal) elements.push_back({"internal", quoted, "", ""});
  return elements;
}

Result<std::vector<Element>> ElementsOf(const PublishSpec& port, const FirewallOptions& options) {
  SKIFF_ASSIGN(const std::string protocol, ProtocolText(port.protocol));
  std::optional<IpAddress> bound;
  if (!port.host_ip.empty()) {
    bound = IpAddress::Parse(port.host_ip);
    if (!bound) {
      return Fail(Code::kInvalidArgument, fmt::format("invalid host IP '{}'", port.host_ip));
    }
  }
  if (port.host_port == 0 || port.container_port == 0) {
    return Fail(Code::kInvalidArgument, "a published port has a number from 1");
  }
  std::vector<Element> elements;
  for (const bool v6 : {false, true}) {
    const std::string& target = v6 ? port.target_v6 : port.target_v4;
    if (target.empty() || (bound && bound->v6 != v6)) continue;
    SKIFF_ASSIGN(const IpAddress address, TargetAddress(target, v6));
    const std::string data = fmt::format("{} . {}", address.Text(), port.container_port);
    const char* const family = v6 ? "6" : "4";
    if (!bound || bound->IsUnspecified()) {
      elements.push_back({fmt::format("ports{}", family),
                          fmt::format("{} . {}", protocol, port.host_port), data,
                          ShortId(port.container_id)});
      continue;
    }
    // ::1 has no way off the loopback interface.
    if (bound->IsLoopback() && (v6 || !options.route_loopback)) continue;
    elements.push_back({fmt::format("bound{}", family),
                        fmt::format("{} . {} . {}", protocol, bound->Text(), port.host_port), data,
                        ShortId(port.container_id)});
  }
  return elements;
}

std::string AddCommands(const std::string& table, const std::vector<Element>& elements) {
  return ElementCommands("add", table, elements);
}

std::string DeleteCommands(const std::string& table, const std::vector<Element>& elements) {
  return ElementCommands("delete", table, elements);
}

std::string LayoutCommands(const std::string& table, const FirewallOptions& options) {
  const std::string loopback =
      options.route_loopback
          ? std::string()
          : fmt::format("add rule inet {} output ip daddr 127.0.0.0/8 return\n", table);
  return fmt::format(kLayout, fmt::arg("table", table), fmt::arg("layout", kLayoutChain),
                     fmt::arg("loopback", loopback));
}

Result<std::string> TableCommands(const std::string& table, const FirewallState& state,
                                  const FirewallOptions& options) {
  std::vector<Element> all;
  for (const FirewallNetwork& network : state.networks) {
    SKIFF_ASSIGN(const std::vector<Element> elements, ElementsOf(network));
    all.insert(all.end(), elements.begin(), elements.end());
  }
  for (const PublishSpec& port : state.ports) {
    SKIFF_ASSIGN(const std::vector<Element> elements, ElementsOf(port, options));
    all.insert(all.end(), elements.begin(), elements.end());
  }
  return LayoutCommands(table, options) + AddCommands(table, all);
}

}  // namespace skiff::net
