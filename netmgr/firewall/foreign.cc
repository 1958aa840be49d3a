#include "netmgr/firewall/foreign.h"

#include <algorithm>

namespace skiff::net {
namespace {

bool Blocks(const NfChain& chain) {
  if (chain.hook != NF_INET_FORWARD || chain.type != "filter") return false;
  if (chain.family != NFPROTO_IPV4 && chain.family != NFPROTO_IPV6 && chain.family != NFPROTO_INET)
    return false;
  if (chain.table.starts_with("skiff-")) return false;
  return chain.policy == NF_DROP || chain.table == "firewalld";
}

Result<std::vector<NfChain>> BlockingChains(NetlinkSocket* socket) {
  SKIFF_ASSIGN(std::vector<NfChain> chains, ReadChains(socket));
  std::erase_if(chains, [](const NfChain& chain) { return !Blocks(chain); });
  return chains;
}

bool Matches(const std::string& pattern, const std::string& bridge) {
  if (!pattern.ends_with('*')) return pattern == bridge;
  return bridge.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

}  // namespace

Status AddAccepts(NetlinkSocket* socket, std::span<const std::string> bridges, NfBatch* batch) {
  if (bridges.empty()) return {};
  SKIFF_ASSIGN(const std::vector<NfChain> chains, BlockingChains(socket));
  for (const NfChain& chain : chains) {
    SKIFF_ASSIGN(const std::vector<NfAcceptRule> rules, ReadAcceptRules(socket, chain));
    for (const std::string& bridge : bridges) {
      for (const uint32_t key : {NFT_META_IIFNAME, NFT_META_OIFNAME}) {
        const bool stands = std::ranges::any_of(rules, [&](const NfAcceptRule& rule) {
          return rule.key == key && rule.interface_name == bridge;
        });
        if (stands) continue;
        std::string name = bridge;
        name.resize(kNfNameSize);
        batch->InsertRule(chain.family, chain.table, chain.name)
            .Meta(key)
            .Is(name)
            .Counter()
            .Verdict(NF_ACCEPT);
      }
    }
  }
  return {};
}

Status RemoveAccepts(NetlinkSocket* socket, std::span<const std::string> bridges, NfBatch* batch) {
  if (bridges.empty()) return {};
  SKIFF_ASSIGN(const std::vector<NfChain> chains, BlockingChains(socket));
  for (const NfChain& chain : chains) {
    SKIFF_ASSIGN(const std::vector<NfAcceptRule> rules, ReadAcceptRules(socket, chain));
    for (const NfAcceptRule& rule : rules) {
      const bool ours = std::ranges::any_of(
          bridges, [&](const std::string& bridge) { return Matches(bridge, rule.interface_name); });
      if (ours) batch->RemoveRule(chain.family, chain.table, chain.name, rule.handle);
    }
  }
  return {};
}

}  // namespace skiff::net
