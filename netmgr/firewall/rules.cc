#include "netmgr/firewall/rules.h"

#include <fmt/format.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>

#include "netmgr/address.h"

namespace skiff::net {
namespace {

constexpr const char* kAnyV4 = "0.0.0.0";
constexpr const char* kAnyV6 = "::";

// Numbers of nft's types, for whoever lists the table: a concatenation has six bits for each.
constexpr uint32_t kNfProto = 2, kIpv4Addr = 7, kIpv6Addr = 8, kInetProto = 12, kInetService = 13,
                   kIfname = 41;
constexpr uint32_t Concat(uint32_t a, uint32_t b) {
  return a << 6 | b;
}
// Bytes. A part of a concatenation fills whole words.
constexpr uint32_t kWord = 4, kV6Size = 16;

constexpr uint32_t kPort4Data = Concat(kIpv4Addr, kInetService);
constexpr uint32_t kPort6Data = Concat(kIpv6Addr, kInetService);

constexpr std::array kSets = {
    NfSet{"bridges", kIfname, kNfNameSize},
    NfSet{"internal", kIfname, kNfNameSize},
    NfSet{"same", Concat(kIfname, kIfname), 2 * kNfNameSize},
    NfSet{"ports4", Concat(kInetProto, kInetService), 2 * kWord, kPort4Data, 2 * kWord},
    NfSet{"ports6", Concat(kInetProto, kInetService), 2 * kWord, kPort6Data, kV6Size + kWord},
    NfSet{"bound4", Concat(Concat(kInetProto, kIpv4Addr), kInetService), 3 * kWord, kPort4Data,
          2 * kWord},
    NfSet{"bound6", Concat(Concat(kInetProto, kIpv6Addr), kInetService), 2 * kWord + kV6Size,
          kPort6Data, kV6Size + kWord},
    NfSet{"seen4", kIpv4Addr, kWord, 0, 0, true},
    NfSet{"seen6", kIpv6Addr, kV6Size, 0, 0, true},
    NfSet{"overflow", kNfProto, 1, 0, 0, true},
};

bool IsInterfaceName(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() < kNfNameSize && std::all_of(name.begin(), name.end(), plain);
}

// An id is hexadecimal; anything else is no comment.
std::string ShortId(std::string_view id) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (!std::all_of(id.begin(), id.end(), plain)) return {};
  return std::string(id.substr(0, 12));
}

std::string NameBytes(std::string_view name) {
  std::string bytes(name);
  bytes.resize(kNfNameSize);
  return bytes;
}

std::string ProtocolBytes(int protocol) {
  return {static_cast<char>(protocol), 0, 0, 0};
}

std::string PortBytes(uint16_t port) {
  return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff), 0, 0};
}

std::string AddressBytes(const IpAddress& address) {
  return std::string(reinterpret_cast<const char*>(address.bytes.data()), address.size());
}

uint16_t PortIn(std::string_view bytes) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 |
                               static_cast<uint8_t>(bytes[1]));
}

std::string AddressIn(std::string_view bytes) {
  IpAddress address;
  address.v6 = bytes.size() > kWord;
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  return address.Text();
}

bool IsPublished(int protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

Result<IpAddress> TargetAddress(const std::string& text, bool v6) {
  const auto address = IpAddress::Parse(text);
  if (!address || address->v6 != v6) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid container address '{}'", text));
  }
  return *address;
}

// ---- The rules ---------------------------------------------------------------------------------
//
// Each is preceded by its text in nft's language. Offsets in headers: an IPv4 packet has its
// destination at 16, an IPv6 packet at 24; TCP, UDP and SCTP have the destination port at 2.

NfRule& Protocol(NfRule& rule, uint8_t family) {
  return rule.Meta(NFT_META_NFPROTO).Is(family);
}

// "ip daddr 127.0.0.0/8"
NfRule& ToLoopback(NfRule& rule) {
  return Protocol(rule, NFPROTO_IPV4).Payload(NFT_PAYLOAD_NETWORK_HEADER, 16, 1).Is(uint8_t{127});
}

// "meta l4proto . [ip daddr .] th dport": the key of a map, from register 1 on.
void MapByPort(NfBatch* batch, uint8_t family, std::string_view map, bool bound) {
  NfRule rule = batch->Rule("published");
  Protocol(rule, family).Meta(NFT_META_L4PROTO);
  uint32_t next = NFT_REG32_01;
  if (bound) {
    const bool v6 = family == NFPROTO_IPV6;
    rule.Payload(NFT_PAYLOAD_NETWORK_HEADER, v6 ? 24 : 16, v6 ? kV6Size : kWord, next);
    next += v6 ? kV6Size / kWord : 1;
  }
  rule.Payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, next).DnatBy(map, family);
}

// An address that is bound wins over "any". `fib daddr type local` keeps packets on their way
// through the host to some other machine's port alone.
void AddPublished(NfBatch* batch) {
  batch->AddChain("published");
  // fib daddr type != local return
  batch->Rule("published").DestinationTypeIsNot(RTN_LOCAL).Verdict(NFT_RETURN);
  // dnat ip to meta l4proto . ip daddr . th dport map @bound4
  MapByPort(batch, NFPROTO_IPV4, "bound4", true);
  // dnat ip6 to meta l4proto . ip6 daddr . th dport map @bound6
  MapByPort(batch, NFPROTO_IPV6, "bound6", true);
  // meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports4
  MapByPort(batch, NFPROTO_IPV4, "ports4", false);
  // meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @ports6
  MapByPort(batch, NFPROTO_IPV6, "ports6", false);
}

// What is sent to many (multicast and broadcast) is no container's address.
void AddReturnOfMulticast(NfBatch* batch, std::string_view chain) {
  {
    // ip daddr >= 224.0.0.0 return
    NfRule rule = batch->Rule(chain);
    Protocol(rule, NFPROTO_IPV4)
        .Payload(NFT_PAYLOAD_NETWORK_HEADER, 16, kWord)
        .AtLeast(AddressBytes(*IpAddress::Parse("224.0.0.0")))
        .Verdict(NFT_RETURN);
  }
  {
    // ip6 daddr ff00::/8 return
    NfRule rule = batch->Rule(chain);
    Protocol(rule, NFPROTO_IPV6)
        .Payload(NFT_PAYLOAD_NETWORK_HEADER, 24, 1)
        .Is(uint8_t{0xff})
        .Verdict(NFT_RETURN);
  }
}

// Which addresses connections have been tracked of: a chain of a NAT hook sees the first packet of
// each. Link-local ones come and go with every interface; where the sets are full, the last rule
// says so.
void AddSeen(NfBatch* batch, std::string_view chain, uint32_t v4_offset, uint32_t v6_offset) {
  {
    // add @seen4 { ip saddr } return
    NfRule rule = batch->Rule(chain);
    Protocol(rule, NFPROTO_IPV4)
        .Payload(NFT_PAYLOAD_NETWORK_HEADER, v4_offset, kWord)
        .AddTo("seen4")
        .Verdict(NFT_RETURN);
  }
  {
    // ip6 saddr fe80::/64 return
    NfRule rule = batch->Rule(chain);
    Protocol(rule, NFPROTO_IPV6)
        .Payload(NFT_PAYLOAD_NETWORK_HEADER, v6_offset, kV6Size / 2)
        .Is(AddressBytes(*IpAddress::Parse("fe80::")).substr(0, kV6Size / 2))
        .Verdict(NFT_RETURN);
  }
  {
    // add @seen6 { ip6 saddr } return
    NfRule rule = batch->Rule(chain);
    Protocol(rule, NFPROTO_IPV6)
        .Payload(NFT_PAYLOAD_NETWORK_HEADER, v6_offset, kV6Size)
        .AddTo("seen6")
        .Verdict(NFT_RETURN);
  }
  // add @overflow { meta nfproto }
  batch->Rule(chain).Meta(NFT_META_NFPROTO).AddTo("overflow");
}

// In prerouting nothing for 127.0.0.0/8 is translated: such a packet comes from a neighbour, and
// the kernel drops it as a martian unless it is translated first.
void AddDestinations(NfBatch* batch, bool route_loopback) {
  batch->AddChain("raw", NfHook{"filter", NF_INET_PRE_ROUTING, -300});
  {
    // iifname @bridges ip daddr 127.0.0.0/8 drop
    NfRule rule = batch->Rule("raw");
    ToLoopback(rule.Meta(NFT_META_IIFNAME).In("bridges")).Verdict(NF_DROP);
  }
  AddPublished(batch);
  batch->AddChain("seen_source");
  AddSeen(batch, "seen_source", 12, 8);
  batch->AddChain("seen_target");
  AddReturnOfMulticast(batch, "seen_target");
  AddSeen(batch, "seen_target", 16, 24);
  batch->AddChain("prerouting", NfHook{"nat", NF_INET_PRE_ROUTING, -100});
  // iifname @bridges jump seen_source
  batch->Rule("prerouting").Meta(NFT_META_IIFNAME).In("bridges").Verdict(NFT_JUMP, "seen_source");
  {
    // ip daddr 127.0.0.0/8 return
    NfRule rule = batch->Rule("prerouting");
    ToLoopback(rule).Verdict(NFT_RETURN);
  }
  // jump published
  batch->Rule("prerouting").Verdict(NFT_JUMP, "published");
  batch->AddChain("output", NfHook{"nat", NF_INET_LOCAL_OUT, -100});
  if (!route_loopback) {
    // ip daddr 127.0.0.0/8 return
    NfRule rule = batch->Rule("output");
    ToLoopback(rule).Verdict(NFT_RETURN);
  }
  {
    // ip6 daddr ::1 return
    NfRule rule = batch->Rule("output");
    Protocol(rule, NFPROTO_IPV6)
        .Payload(NFT_PAYLOAD_NETWORK_HEADER, 24, kV6Size)
        .Is(AddressBytes(*IpAddress::Parse("::1")))
        .Verdict(NFT_RETURN);
  }
  // jump published
  batch->Rule("output").Verdict(NFT_JUMP, "published");
}

// No input interface (iif 0) means a packet of the host itself, perhaps from 127.0.0.1, or one that
// a bridge has translated itself (br_netfilter).
void AddSources(NfBatch* batch) {
  batch->AddChain("postrouting", NfHook{"nat", NF_INET_POST_ROUTING, 100});
  // oifname @bridges jump seen_target
  batch->Rule("postrouting").Meta(NFT_META_OIFNAME).In("bridges").Verdict(NFT_JUMP, "seen_target");
  // iifname @bridges oifname != @bridges masquerade
  batch->Rule("postrouting")
      .Meta(NFT_META_IIFNAME)
      .In("bridges")
      .Meta(NFT_META_OIFNAME)
      .NotIn("bridges")
      .Masquerade();
  // iifname @bridges oifname @bridges ct status dnat masquerade
  batch->Rule("postrouting")
      .Meta(NFT_META_IIFNAME)
      .In("bridges")
      .Meta(NFT_META_OIFNAME)
      .In("bridges")
      .Tracked(NFT_CT_STATUS, IPS_DST_NAT)
      .Masquerade();
  // iif 0 oifname @bridges ct status dnat masquerade
  batch->Rule("postrouting")
      .Meta(NFT_META_IIF)
      .Is(std::string(kWord, '\0'))
      .Meta(NFT_META_OIFNAME)
      .In("bridges")
      .Tracked(NFT_CT_STATUS, IPS_DST_NAT)
      .Masquerade();
}

// An accept ends this chain only. Who comes to a bridge from elsewhere, neighbours with a route to
// the subnet included, needs a published port. The same bridge twice is seen where bridged packets
// pass the firewall (br_netfilter, as dockerd sets it) and on the way of a hairpin.
void AddForward(NfBatch* batch) {
  batch->AddChain("forward", NfHook{"filter", NF_INET_FORWARD, 0});
  // iifname != @bridges oifname != @bridges accept
  batch->Rule("forward")
      .Meta(NFT_META_IIFNAME)
      .NotIn("bridges")
      .Meta(NFT_META_OIFNAME)
      .NotIn("bridges")
      .Verdict(NF_ACCEPT);
  // iifname . oifname @same accept
  batch->Rule("forward")
      .Meta(NFT_META_IIFNAME)
      .Meta(NFT_META_OIFNAME, NFT_REG_2)
      .In("same")
      .Verdict(NF_ACCEPT);
  // iifname @internal drop
  batch->Rule("forward").Meta(NFT_META_IIFNAME).In("internal").Verdict(NF_DROP);
  // oifname @internal drop
  batch->Rule("forward").Meta(NFT_META_OIFNAME).In("internal").Verdict(NF_DROP);
  // ct state established,related accept
  constexpr uint32_t kAnswers = NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED);
  batch->Rule("forward").Tracked(NFT_CT_STATE, kAnswers).Verdict(NF_ACCEPT);
  // oifname @bridges ct status dnat accept
  batch->Rule("forward")
      .Meta(NFT_META_OIFNAME)
      .In("bridges")
      .Tracked(NFT_CT_STATUS, IPS_DST_NAT)
      .Verdict(NF_ACCEPT);
  // oifname @bridges drop
  batch->Rule("forward").Meta(NFT_META_OIFNAME).In("bridges").Verdict(NF_DROP);
}

}  // namespace

std::span<const NfSet> TableSets() {
  return kSets;
}

void AddLayout(NfBatch* batch, const FirewallOptions& options) {
  batch->AddTable(true);
  batch->AddChain(kLayoutChain);
  for (const NfSet& set : kSets) batch->AddSet(set);
  AddDestinations(batch, options.route_loopback);
  AddSources(batch);
  AddForward(batch);
}

// ---- Elements ----------------------------------------------------------------------------------

Result<std::vector<PublishSpec>> HeldPorts(const PublishSpec& port,
                                           const FirewallOptions& options) {
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
  std::vector<PublishSpec> held;
  for (const bool v6 : {false, true}) {
    const std::string& target = v6 ? port.target_v6 : port.target_v4;
    if (target.empty() || (bound && bound->v6 != v6)) continue;
    const bool any = !bound || bound->IsUnspecified();
    // ::1 has no way off the loopback interface.
    if (!any && bound->IsLoopback() && (v6 || !options.route_loopback)) continue;
    PublishSpec& one = held.emplace_back(port);
    one.host_ip = any ? (v6 ? kAnyV6 : kAnyV4) : bound->Text();
    (v6 ? one.target_v4 : one.target_v6).clear();
  }
  return held;
}

Result<std::vector<Element>> ElementsOf(const FirewallNetwork& network) {
  if (!IsInterfaceName(network.bridge)) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid bridge name '{}'", network.bridge));
  }
  const std::string name = NameBytes(network.bridge);
  std::vector<Element> elements = {{"bridges", {name, "", ""}}, {"same", {name + name, "", ""}}};
  if (network.internal) elements.push_back({"internal", {name, "", ""}});
  return elements;
}

Result<std::vector<Element>> ElementsOf(const PublishSpec& port, const FirewallOptions& options) {
  if (!IsPublished(port.protocol)) {
    return Fail(Code::kInvalidArgument, fmt::format("cannot publish protocol '{}'", port.protocol));
  }
  SKIFF_ASSIGN(const std::vector<PublishSpec> held, HeldPorts(port, options));
  std::vector<Element> elements;
  for (const PublishSpec& one : held) {
    const bool v6 = one.target_v4.empty();
    SKIFF_ASSIGN(const IpAddress target, TargetAddress(v6 ? one.target_v6 : one.target_v4, v6));
    const bool bound = one.host_ip != (v6 ? kAnyV6 : kAnyV4);
    Element& element = elements.emplace_back();
    element.set = fmt::format("{}{}", bound ? "bound" : "ports", v6 ? "6" : "4");
    element.element.key = ProtocolBytes(port.protocol);
    if (bound) element.element.key += AddressBytes(*IpAddress::Parse(one.host_ip));
    element.element.key += PortBytes(port.host_port);
    element.element.data = AddressBytes(target) + PortBytes(port.container_port);
    element.element.comment = ShortId(port.container_id);
  }
  return elements;
}

Result<std::vector<Element>> SeenElements(std::span<const std::string> addresses) {
  std::vector<Element> elements;
  for (const std::string& text : addresses) {
    const auto address = IpAddress::Parse(text);
    if (!address) {
      return Fail(Code::kInvalidArgument, fmt::format("invalid IP address '{}'", text));
    }
    elements.push_back({address->v6 ? "seen6" : "seen4", {AddressBytes(*address), "", ""}});
  }
  return elements;
}

Element OverflowElement(bool v6) {
  const uint8_t family = v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
  return {"overflow", {std::string(1, static_cast<char>(family)), "", ""}};
}

Result<std::vector<Element>> ElementsOf(const FirewallState& state,
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
  if (state.unsure) {
    all.push_back(OverflowElement(false));
    all.push_back(OverflowElement(true));
  }
  return all;
}

FirewallState StateOf(std::span<const Element> elements) {
  FirewallState state;
  std::vector<std::string> internal;
  for (const auto& [set, element] : elements) {
    const auto shape = std::ranges::find(kSets, std::string_view(set), &NfSet::name);
    if (shape == kSets.end() || element.key.size() != shape->key_length ||
        element.data.size() != shape->data_length) {
      continue;
    }
    const std::string_view key = element.key, data = element.data;
    if (shape->data_length > 0) {
      const size_t address = data.size() - kWord;
      const bool v6 = address == kV6Size;
      PublishSpec& port = state.ports.emplace_back();
      port.container_id = element.comment;
      port.protocol = static_cast<uint8_t>(key[0]);
      port.host_ip = key.size() > 2 * kWord ? AddressIn(key.substr(kWord, key.size() - 2 * kWord))
                                            : (v6 ? kAnyV6 : kAnyV4);
      port.host_port = PortIn(key.substr(key.size() - kWord));
      (v6 ? port.target_v6 : port.target_v4) = AddressIn(data.substr(0, address));
      port.container_port = PortIn(data.substr(address));
    } else if (set == "overflow") {
      state.unsure = true;
    } else if (key.size() == kNfNameSize) {
      const std::string name(key.substr(0, key.find('\0')));
      if (set == "bridges") state.networks.push_back({name, false});
      if (set == "internal") internal.push_back(name);
    }
  }
  for (FirewallNetwork& network : state.networks) {
    network.internal = std::ranges::count(internal, network.bridge) > 0;
  }
  return state;
}

std::vector<std::string> SeenIn(std::span<const Element> elements) {
  std::vector<std::string> addresses;
  for (const auto& [set, element] : elements) {
    if (set == "seen4" || set == "seen6") addresses.push_back(AddressIn(element.key));
  }
  return addresses;
}

namespace {

std::map<std::string, std::vector<NfElement>> BySet(std::span<const Element> elements) {
  std::map<std::string, std::vector<NfElement>> sets;
  for (const Element& element : elements) sets[element.set].push_back(element.element);
  return sets;
}

}  // namespace

void AddElements(NfBatch* batch, std::span<const Element> elements) {
  for (const auto& [set, list] : BySet(elements)) batch->AddElements(set, list);
}

void RemoveElements(NfBatch* batch, std::span<const Element> elements) {
  for (const auto& [set, list] : BySet(elements)) batch->RemoveElements(set, list);
}

}  // namespace skiff::net
