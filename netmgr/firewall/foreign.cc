#include "netmgr/firewall/foreign.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.h"
#include "netmgr/address.h"

namespace skiff::net {
namespace {

using Json = nlohmann::json;

struct ForeignChain {
  std::string family;
  std::string table;
  std::string name;
};

// One of our accepts in a foreign chain.
struct AcceptRule {
  std::string key;  // "iifname", "oifname"
  std::string bridge;
  int64_t handle = 0;
};

Result<Json> ListJson(Nftables* nftables, const std::string& command) {
  SKIFF_ASSIGN(const std::string text, nftables->List(command));
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.contains("nftables") || !json["nftables"].is_array()) {
    return Fail(Code::kInternal, "cannot read what libnftables lists");
  }
  return json["nftables"];
}

std::string TextOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Names in somebody else's table become part of our commands.
bool IsPlainName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

bool Blocks(const Json& chain) {
  if (TextOf(chain, "hook") != "forward" || TextOf(chain, "type") != "filter") return false;
  const std::string family = TextOf(chain, "family");
  if (family != "ip" && family != "ip6" && family != "inet") return false;
  const std::string table = TextOf(chain, "table");
  if (table.starts_with("skiff-")) return false;
  return TextOf(chain, "policy") == "drop" || table == "firewalld";
}

Result<std::vector<ForeignChain>> BlockingChains(Nftables* nftables) {
  SKIFF_ASSIGN(const Json listed, ListJson(nftables, "list chains"));
  std::vector<ForeignChain> chains;
  for (const Json& item : listed) {
    const auto chain = item.find("chain");
    if (chain == item.end() || !Blocks(*chain)) continue;
    ForeignChain foreign{TextOf(*chain, "family"), TextOf(*chain, "table"), TextOf(*chain, "name")};
    if (IsPlainName(foreign.table) && IsPlainName(foreign.name)) chains.push_back(foreign);
  }
  return chains;
}

// "iifname "skX" [counter] accept" and nothing else.
std::optional<AcceptRule> ParseAccept(const Json& rule) {
  const auto expressions = rule.find("expr");
  if (expressions == rule.end() || !expressions->is_array()) return std::nullopt;
  AcceptRule found;
  bool accepts = false;
  for (const Json& expression : *expressions) {
    if (expression.contains("accept")) {
      accepts = true;
    } else if (const auto match = expression.find("match"); match != expression.end()) {
      const Json left = match->value("left", Json::object());
      const auto meta = left.find("meta");
      if (!found.bridge.empty() || meta == left.end()) return std::nullopt;
      found.key = TextOf(*meta, "key");
      found.bridge = TextOf(*match, "right");
    } else if (!expression.contains("counter")) {
      return std::nullopt;
    }
  }
  if (!accepts || (found.key != "iifname" && found.key != "oifname")) return std::nullopt;
  found.handle = rule.value("handle", int64_t{0});
  return found;
}

Result<std::vector<AcceptRule>> AcceptRules(Nftables* nftables, const ForeignChain& chain) {
  SKIFF_ASSIGN(const Json listed,
               ListJson(nftables,
                        fmt::format("list chain {} {} {}", chain.family, chain.table, chain.name)));
  std::vector<AcceptRule> rules;
  for (const Json& item : listed) {
    const auto rule = item.find("rule");
    if (rule == item.end()) continue;
    if (auto accept = ParseAccept(*rule)) rules.push_back(std::move(*accept));
  }
  return rules;
}

bool Matches(const std::string& pattern, const std::string& bridge) {
  if (!pattern.ends_with('*')) return pattern == bridge;
  return bridge.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

// ---- our own table -----------------------------------------------------------------------------

// "tcp . 80" as text pieces: from {"concat": ["tcp", 80]}, possibly below {"elem": {"val": ...}}.
std::vector<std::string> Pieces(const Json& value) {
  std::vector<std::string> pieces;
  const auto add = [&](const Json& piece) {
    pieces.push_back(piece.is_string() ? piece.get<std::string>() : piece.dump());
  };
  if (const auto concat = value.find("concat"); value.is_object() && concat != value.end()) {
    for (const Json& piece : *concat) add(piece);
  } else {
    add(value);
  }
  return pieces;
}

// libnftables prints names where the machine has /etc/protocols (package netbase), else numbers.
int ProtocolNumber(const std::string& text) {
  if (const auto number = ParseNumber<int>(text)) return *number;
  if (text == "tcp") return IPPROTO_TCP;
  if (text == "udp") return IPPROTO_UDP;
  return text == "sctp" ? IPPROTO_SCTP : 0;
}

std::optional<PublishSpec> ParsePort(const std::string& map, const Json& element) {
  if (!element.is_array() || element.size() != 2) return std::nullopt;
  PublishSpec port;
  Json key_value = element[0];
  if (const auto elem = key_value.find("elem"); key_value.is_object() && elem != key_value.end()) {
    port.container_id = TextOf(*elem, "comment");
    key_value = Json(elem->value("val", Json()));
  }
  const std::vector<std::string> key = Pieces(key_value);
  const std::vector<std::string> data = Pieces(element[1]);
  const bool bound = map.starts_with("bound");
  const bool v6 = map.ends_with('6');
  if (key.size() != (bound ? 3u : 2u) || data.size() != 2) return std::nullopt;
  port.protocol = ProtocolNumber(key.front());
  port.host_ip = bound ? key[1] : v6 ? "::" : "0.0.0.0";
  port.host_port = ParseNumber<uint16_t>(key.back()).value_or(0);
  (v6 ? port.target_v6 : port.target_v4) = data[0];
  port.container_port = ParseNumber<uint16_t>(data[1]).value_or(0);
  return port;
}

}  // namespace

Result<std::string> AcceptCommands(Nftables* nftables, std::span<const std::string> bridges) {
  SKIFF_ASSIGN(const std::vector<ForeignChain> chains, BlockingChains(nftables));
  std::string commands;
  for (const ForeignChain& chain : chains) {
    SKIFF_ASSIGN(const std::vector<AcceptRule> rules, AcceptRules(nftables, chain));
    for (const std::string& bridge : bridges) {
      for (const std::string key : {"iifname", "oifname"}) {
        const bool stands = std::any_of(rules.begin(), rules.end(), [&](const AcceptRule& rule) {
          return rule.key == key && rule.bridge == bridge;
        });
        if (stands) continue;
        commands += fmt::format("insert rule {} {} {} {} \"{}\" counter accept\n", chain.family,
                                chain.table, chain.name, key, bridge);
      }
    }
  }
  return commands;
}

Result<std::string> RemoveAcceptCommands(Nftables* nftables, std::span<const std::string> bridges) {
  SKIFF_ASSIGN(const std::vector<ForeignChain> chains, BlockingChains(nftables));
  std::string commands;
  for (const ForeignChain& chain : chains) {
    SKIFF_ASSIGN(const std::vector<AcceptRule> rules, AcceptRules(nftables, chain));
    for (const AcceptRule& rule : rules) {
      const bool ours = std::any_of(bridges.begin(), bridges.end(), [&](const std::string& bridge) {
        return Matches(bridge, rule.bridge);
      });
      if (!ours) continue;
      commands += fmt::format("delete rule {} {} {} handle {}\n", chain.family, chain.table,
                              chain.name, rule.handle);
    }
  }
  return commands;
}

Result<FirewallState> ParseTable(std::string_view json) {
  const Json document = Json::parse(json, nullptr, false);
  if (document.is_discarded() || !document.contains("nftables")) {
    return Fail(Code::kInternal, "cannot read what libnftables lists");
  }
  FirewallState state;
  std::vector<std::string> internal;
  for (const Json& item : document["nftables"]) {
    const bool is_map = item.contains("map");
    if (!is_map && !item.contains("set")) continue;
    const Json& set = item[is_map ? "map" : "set"];
    const std::string name = TextOf(set, "name");
    for (const Json& element : set.value("elem", Json::array())) {
      if (is_map) {
        if (auto port = ParsePort(name, element)) state.ports.push_back(std::move(*port));
      } else if (element.is_string() && name == "bridges") {
        state.networks.push_back({element.get<std::string>(), false});
      } else if (element.is_string() && name == "internal") {
        internal.push_back(element.get<std::string>());
      }
    }
  }
  for (FirewallNetwork& network : state.networks) {
    network.internal =
        std::find(internal.begin(), internal.end(), network.bridge) != internal.end();
  }
  return state;
}

}  // namespace skiff::net
