#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>

#include "netmgr/netlink/nf_batch.h"

namespace skiff::net {
namespace {

// The bytes of {NFTA_DATA_VALUE}.
std::string ValueIn(std::string_view nest) {
  AttributeReader parts(nest);
  while (parts.Next()) {
    if (parts->type == NFTA_DATA_VALUE) return std::string(parts->data);
  }
  return {};
}

std::string CommentIn(std::string_view user_data) {
  while (user_data.size() >= 2) {
    const auto type = static_cast<uint8_t>(user_data[0]);
    const auto length = static_cast<uint8_t>(user_data[1]);
    const std::string_view value = user_data.substr(2).substr(0, length);
    if (type == kNfCommentType) return std::string(value.substr(0, value.find('\0')));
    user_data.remove_prefix(std::min(user_data.size(), size_t{2} + length));
  }
  return {};
}

NfElement ParseElement(std::string_view nest) {
  NfElement element;
  AttributeReader parts(nest);
  while (parts.Next()) {
    if (parts->type == NFTA_SET_ELEM_KEY) element.key = ValueIn(parts->data);
    if (parts->type == NFTA_SET_ELEM_DATA) element.data = ValueIn(parts->data);
    if (parts->type == NFTA_SET_ELEM_USERDATA) element.comment = CommentIn(parts->data);
  }
  return element;
}

NfChain ParseChain(const NetlinkMessage& message) {
  NfChain chain;
  chain.family = message.Header<nfgenmsg>().nfgen_family;
  AttributeReader parts(message.After(sizeof(nfgenmsg)));
  while (parts.Next()) {
    if (parts->type == NFTA_CHAIN_TABLE) chain.table = parts->text();
    if (parts->type == NFTA_CHAIN_NAME) chain.name = parts->text();
    if (parts->type == NFTA_CHAIN_TYPE) chain.type = parts->text();
    if (parts->type == NFTA_CHAIN_POLICY) chain.policy = ntohl(parts->u32());
    if (parts->type != NFTA_CHAIN_HOOK) continue;
    AttributeReader hook(parts->data);
    while (hook.Next()) {
      if (hook->type == NFTA_HOOK_HOOKNUM) chain.hook = ntohl(hook->u32());
    }
  }
  return chain;
}

struct Expression {
  std::string name;
  std::string_view data;
};

std::vector<Expression> ExpressionsIn(std::string_view nest) {
  std::vector<Expression> all;
  AttributeReader list(nest);
  while (list.Next()) {
    Expression& expression = all.emplace_back();
    AttributeReader parts(list->data);
    while (parts.Next()) {
      if (parts->type == NFTA_EXPR_NAME) expression.name = parts->text();
      if (parts->type == NFTA_EXPR_DATA) expression.data = parts->data;
    }
  }
  return all;
}

// A number of an expression, in network order.
uint32_t NumberIn(std::string_view data, uint16_t type) {
  AttributeReader parts(data);
  while (parts.Next()) {
    if (parts->type == type) return ntohl(parts->u32());
  }
  return 0;
}

std::string_view NestIn(std::string_view data, uint16_t type) {
  AttributeReader parts(data);
  while (parts.Next()) {
    if (parts->type == type) return parts->data;
  }
  return {};
}

bool Accepts(const Expression& immediate) {
  const std::string_view verdict =
      NestIn(NestIn(immediate.data, NFTA_IMMEDIATE_DATA), NFTA_DATA_VERDICT);
  return !verdict.empty() && NumberIn(verdict, NFTA_VERDICT_CODE) == NF_ACCEPT;
}

// meta, cmp, perhaps counters, accept: in this order and nothing else.
std::optional<NfAcceptRule> ParseAccept(std::string_view expressions) {
  std::vector<Expression> all = ExpressionsIn(expressions);
  std::erase_if(all, [](const Expression& one) { return one.name == "counter"; });
  if (all.size() != 3 || all[0].name != "meta" || all[1].name != "cmp" ||
      all[2].name != "immediate") {
    return std::nullopt;
  }
  NfAcceptRule rule;
  rule.key = NumberIn(all[0].data, NFTA_META_KEY);
  if (rule.key != NFT_META_IIFNAME && rule.key != NFT_META_OIFNAME) return std::nullopt;
  if (NumberIn(all[1].data, NFTA_CMP_OP) != NFT_CMP_EQ || !Accepts(all[2])) return std::nullopt;
  const std::string name = ValueIn(NestIn(all[1].data, NFTA_CMP_DATA));
  rule.interface_name = name.substr(0, name.find('\0'));
  return rule;
}

}  // namespace

Result<std::vector<NfElement>> ReadElements(NetlinkSocket* socket, uint8_t family,
                                            std::string_view table, std::string_view set) {
  NetlinkBatch ask;
  ask.BeginQuiet(NfMessage(NFT_MSG_GETSETELEM), NLM_F_DUMP);
  ask.Body(NfHeader(family));
  ask.Text(NFTA_SET_ELEM_LIST_TABLE, table).Text(NFTA_SET_ELEM_LIST_SET, set);
  std::vector<NfElement> elements;
  SKIFF_TRY(socket->Ask(std::move(ask), "read the firewall", [&](const NetlinkMessage& message) {
    AttributeReader parts(message.After(sizeof(nfgenmsg)));
    while (parts.Next()) {
      if (parts->type != NFTA_SET_ELEM_LIST_ELEMENTS) continue;
      AttributeReader list(parts->data);
      while (list.Next()) elements.push_back(ParseElement(list->data));
    }
  }));
  return elements;
}

Result<bool> HasElement(NetlinkSocket* socket, uint8_t family, std::string_view table,
                        std::string_view set, std::string_view key) {
  NetlinkBatch ask;
  ask.BeginQuiet(NfMessage(NFT_MSG_GETSETELEM), 0);
  ask.Body(NfHeader(family));
  ask.Text(NFTA_SET_ELEM_LIST_TABLE, table).Text(NFTA_SET_ELEM_LIST_SET, set);
  ask.Nest(NFTA_SET_ELEM_LIST_ELEMENTS).Nest(NFTA_LIST_ELEM).Nest(NFTA_SET_ELEM_KEY);
  ask.Bytes(NFTA_DATA_VALUE, key).EndNest().EndNest().EndNest();
  const Status asked =
      socket->Ask(std::move(ask), "read the firewall", [](const NetlinkMessage&) {});
  if (asked) return true;
  if (asked.error().sys_errno == ENOENT) return false;
  return Fail(asked.error());
}

Result<std::vector<NfChain>> ReadChains(NetlinkSocket* socket) {
  NetlinkBatch ask;
  ask.BeginQuiet(NfMessage(NFT_MSG_GETCHAIN), NLM_F_DUMP);
  ask.Body(NfHeader(AF_UNSPEC));
  std::vector<NfChain> chains;
  const Status read =
      socket->Ask(std::move(ask), "read the firewall",
                  [&](const NetlinkMessage& message) { chains.push_back(ParseChain(message)); });
  if (!read && (read.error().sys_errno == EINVAL || read.error().sys_errno == EOPNOTSUPP)) {
    return std::vector<NfChain>();
  }
  SKIFF_TRY(read);
  return chains;
}

Result<std::vector<NfAcceptRule>> ReadAcceptRules(NetlinkSocket* socket, const NfChain& chain) {
  NetlinkBatch ask;
  ask.BeginQuiet(NfMessage(NFT_MSG_GETRULE), NLM_F_DUMP);
  ask.Body(NfHeader(chain.family));
  ask.Text(NFTA_RULE_TABLE, chain.table).Text(NFTA_RULE_CHAIN, chain.name);
  std::vector<NfAcceptRule> rules;
  SKIFF_TRY(socket->Ask(std::move(ask), "read the firewall", [&](const NetlinkMessage& message) {
    uint64_t handle = 0;
    std::optional<NfAcceptRule> rule;
    AttributeReader parts(message.After(sizeof(nfgenmsg)));
    while (parts.Next()) {
      if (parts->type == NFTA_RULE_HANDLE && parts->data.size() == sizeof handle) {
        std::copy_n(parts->data.data(), sizeof handle, reinterpret_cast<char*>(&handle));
      }
      if (parts->type == NFTA_RULE_EXPRESSIONS) rule = ParseAccept(parts->data);
    }
    if (!rule) return;
    rule->handle = be64toh(handle);
    rules.push_back(std::move(*rule));
  }));
  return rules;
}

}  // namespace skiff::net
