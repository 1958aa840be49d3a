#include "netmgr/netlink/nf_batch.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace skiff::net {
namespace {

// An attribute's length has sixteen bits; an element has at most some 120 bytes.
constexpr size_t kElementsPerMessage = 400;
constexpr uint8_t kKeyOrderType = 0;  // Of a set: the order of bytes of its keys.
constexpr uint32_t kHostOrder = 1;

std::string BigEndian16(uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

template <typename T>
std::string BytesOf(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

void PutNumber(NetlinkBatch* batch, uint16_t type, uint32_t number) {
  batch->Number<uint32_t>(type, htonl(number));
}

// Type, length, value; text with its NUL.
std::string UserData(uint8_t type, const std::string& value) {
  return std::string{static_cast<char>(type), static_cast<char>(value.size())} + value;
}

}  // namespace

uint16_t NfMessage(int message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

nfgenmsg NfHeader(uint8_t family, uint16_t resource) {
  nfgenmsg header = {};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  header.res_id = htons(resource);
  return header;
}

// ---- Rules -------------------------------------------------------------------------------------

NfRule::NfRule(NetlinkBatch* batch, uint8_t family, std::string_view table, std::string_view chain,
               uint16_t position)
    : batch_(batch) {
  batch_->Begin(NfMessage(NFT_MSG_NEWRULE), static_cast<uint16_t>(NLM_F_CREATE | position));
  batch_->Body(NfHeader(family));
  batch_->Text(NFTA_RULE_TABLE, table).Text(NFTA_RULE_CHAIN, chain);
  batch_->Nest(NFTA_RULE_EXPRESSIONS);
}

void NfRule::Begin(std::string_view name) {
  batch_->Nest(NFTA_LIST_ELEM).Text(NFTA_EXPR_NAME, name).Nest(NFTA_EXPR_DATA);
}

void NfRule::Number(uint16_t type, uint32_t number) {
  PutNumber(batch_, type, number);
}

void NfRule::Value(uint16_t type, std::string_view value) {
  batch_->Nest(type).Bytes(NFTA_DATA_VALUE, value).EndNest();
}

NfRule& NfRule::Meta(uint32_t key, uint32_t into) {
  Begin("meta");
  Number(NFTA_META_KEY, key);
  Number(NFTA_META_DREG, into);
  End();
  return *this;
}

NfRule& NfRule::Payload(uint32_t base, uint32_t offset, uint32_t length, uint32_t into) {
  Begin("payload");
  Number(NFTA_PAYLOAD_DREG, into);
  Number(NFTA_PAYLOAD_BASE, base);
  Number(NFTA_PAYLOAD_OFFSET, offset);
  Number(NFTA_PAYLOAD_LEN, length);
  End();
  return *this;
}

NfRule& NfRule::Compare(uint32_t operation, std::string_view value) {
  Begin("cmp");
  Number(NFTA_CMP_SREG, NFT_REG_1);
  Number(NFTA_CMP_OP, operation);
  Value(NFTA_CMP_DATA, value);
  End();
  return *this;
}

NfRule& NfRule::In(std::string_view set, bool inverted) {
  Begin("lookup");
  batch_->Text(NFTA_LOOKUP_SET, set);
  Number(NFTA_LOOKUP_SREG, NFT_REG_1);
  if (inverted) Number(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
  End();
  return *this;
}

NfRule& NfRule::AddTo(std::string_view set) {
  Begin("dynset");
  batch_->Text(NFTA_DYNSET_SET_NAME, set);
  Number(NFTA_DYNSET_OP, NFT_DYNSET_OP_ADD);
  Number(NFTA_DYNSET_SREG_KEY, NFT_REG_1);
  End();
  return *this;
}

NfRule& NfRule::Tracked(uint32_t key, uint32_t bits) {
  Begin("ct");
  Number(NFTA_CT_KEY, key);
  Number(NFTA_CT_DREG, NFT_REG_1);
  End();
  Begin("bitwise");
  Number(NFTA_BITWISE_SREG, NFT_REG_1);
  Number(NFTA_BITWISE_DREG, NFT_REG_1);
  Number(NFTA_BITWISE_LEN, sizeof bits);
  Value(NFTA_BITWISE_MASK, BytesOf(bits));
  Value(NFTA_BITWISE_XOR, BytesOf(uint32_t{0}));
  End();
  return Compare(NFT_CMP_NEQ, BytesOf(uint32_t{0}));
}

NfRule& NfRule::DestinationTypeIsNot(uint32_t type) {
  Begin("fib");
  Number(NFTA_FIB_DREG, NFT_REG_1);
  Number(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
  Number(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
  End();
  return Compare(NFT_CMP_NEQ, BytesOf(type));
}

NfRule& NfRule::Counter() {
  Begin("counter");
  End();
  return *this;
}

void NfRule::Load(uint32_t reg, std::string_view value) {
  Begin("immediate");
  Number(NFTA_IMMEDIATE_DREG, reg);
  Value(NFTA_IMMEDIATE_DATA, value);
  End();
}

void NfRule::Nat(uint8_t family, uint32_t address, uint32_t port) {
  Begin("nat");
  Number(NFTA_NAT_TYPE, NFT_NAT_DNAT);
  Number(NFTA_NAT_FAMILY, family);
  Number(NFTA_NAT_REG_ADDR_MIN, address);
  Number(NFTA_NAT_REG_PROTO_MIN, port);
  End();
}

NfRule& NfRule::DnatBy(std::string_view map, uint8_t family) {
  Begin("lookup");
  batch_->Text(NFTA_LOOKUP_SET, map);
  Number(NFTA_LOOKUP_SREG, NFT_REG_1);
  Number(NFTA_LOOKUP_DREG, NFT_REG_1);
  End();
  // The port stands behind the address: four bytes on, or sixteen.
  Nat(family, NFT_REG_1, family == NFPROTO_IPV4 ? NFT_REG32_01 : NFT_REG_2);
  return *this;
}

NfRule& NfRule::DnatTo(std::string_view address, uint16_t port) {
  Load(NFT_REG_1, address);
  Load(NFT_REG_2, BigEndian16(port));
  Nat(NFPROTO_IPV4, NFT_REG_1, NFT_REG_2);
  return *this;
}

NfRule& NfRule::Masquerade() {
  Begin("masq");
  End();
  return *this;
}

NfRule& NfRule::Verdict(int32_t code, std::string_view chain) {
  Begin("immediate");
  Number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
  batch_->Nest(NFTA_IMMEDIATE_DATA).Nest(NFTA_DATA_VERDICT);
  Number(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
  if (!chain.empty()) batch_->Text(NFTA_VERDICT_CHAIN, chain);
  batch_->EndNest().EndNest();
  End();
  return *this;
}

// ---- Transactions ------------------------------------------------------------------------------

NfBatch::NfBatch(uint8_t family, std::string table) : family_(family), table_(std::move(table)) {
  batch_.BeginQuiet(NFNL_MSG_BATCH_BEGIN, 0);
  batch_.Body(NfHeader(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  labels_.emplace_back("the transaction");
}

void NfBatch::Begin(int message, uint16_t flags, uint8_t family, std::string label) {
  batch_.Begin(NfMessage(message), flags);
  batch_.Body(NfHeader(family));
  labels_.push_back(std::move(label));
}

void NfBatch::AddTable(bool must_be_new) {
  Begin(NFT_MSG_NEWTABLE, must_be_new ? NLM_F_CREATE | NLM_F_EXCL : NLM_F_CREATE, family_,
        "table " + table_);
  batch_.Text(NFTA_TABLE_NAME, table_);
}

void NfBatch::RemoveTable() {
  Begin(NFT_MSG_DELTABLE, 0, family_, "table " + table_);
  batch_.Text(NFTA_TABLE_NAME, table_);
}

void NfBatch::AddChain(std::string_view name, const std::optional<NfHook>& hook) {
  Begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, family_, fmt::format("chain {}", name));
  batch_.Text(NFTA_CHAIN_TABLE, table_).Text(NFTA_CHAIN_NAME, name);
  if (!hook) return;
  batch_.Nest(NFTA_CHAIN_HOOK);
  PutNumber(&batch_, NFTA_HOOK_HOOKNUM, hook->number);
  PutNumber(&batch_, NFTA_HOOK_PRIORITY, static_cast<uint32_t>(hook->priority));
  batch_.EndNest();
  PutNumber(&batch_, NFTA_CHAIN_POLICY, NF_ACCEPT);
  batch_.Text(NFTA_CHAIN_TYPE, hook->type);
}

void NfBatch::AddSet(const NfSet& set) {
  Begin(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, family_, fmt::format("set {}", set.name));
  batch_.Text(NFTA_SET_TABLE, table_).Text(NFTA_SET_NAME, set.name);
  PutNumber(&batch_, NFTA_SET_FLAGS,
            (set.data_length > 0 ? NFT_SET_MAP : 0) | (set.dynamic ? NFT_SET_EVAL : 0));
  PutNumber(&batch_, NFTA_SET_KEY_TYPE, set.key_type);
  PutNumber(&batch_, NFTA_SET_KEY_LEN, set.key_length);
  if (set.data_length > 0) {
    PutNumber(&batch_, NFTA_SET_DATA_TYPE, set.data_type);
    PutNumber(&batch_, NFTA_SET_DATA_LEN, set.data_length);
  }
  PutNumber(&batch_, NFTA_SET_ID, ++sets_);
  if (set.key_length == kNfNameSize) {
    batch_.Bytes(NFTA_SET_USERDATA, UserData(kKeyOrderType, BytesOf(kHostOrder)));
  }
}

void NfBatch::Elements(int message, uint16_t flags, std::string_view set,
                       std::span<const NfElement> elements, bool whole) {
  while (!elements.empty()) {
    const auto some = elements.first(std::min(elements.size(), kElementsPerMessage));
    elements = elements.subspan(some.size());
    Begin(message, flags, family_, fmt::format("an element of set {}", set));
    batch_.Text(NFTA_SET_ELEM_LIST_TABLE, table_).Text(NFTA_SET_ELEM_LIST_SET, set);
    batch_.Nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (const NfElement& element : some) {
      batch_.Nest(NFTA_LIST_ELEM);
      batch_.Nest(NFTA_SET_ELEM_KEY).Bytes(NFTA_DATA_VALUE, element.key).EndNest();
      if (whole && !element.data.empty()) {
        batch_.Nest(NFTA_SET_ELEM_DATA).Bytes(NFTA_DATA_VALUE, element.data).EndNest();
      }
      if (whole && !element.comment.empty()) {
        batch_.Bytes(NFTA_SET_ELEM_USERDATA, UserData(kNfCommentType, element.comment + '\0'));
      }
      batch_.EndNest();
    }
    batch_.EndNest();
  }
}

void NfBatch::AddElements(std::string_view set, std::span<const NfElement> elements) {
  Elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, elements, true);
}

void NfBatch::RemoveElements(std::string_view set, std::span<const NfElement> elements) {
  Elements(NFT_MSG_DELSETELEM, 0, set, elements, false);
}

NfRule NfBatch::Rule(std::string_view chain) {
  labels_.push_back(fmt::format("a rule of chain {}", chain));
  return NfRule(&batch_, family_, table_, chain, NLM_F_APPEND);
}

NfRule NfBatch::InsertRule(uint8_t family, std::string_view table, std::string_view chain) {
  labels_.push_back(fmt::format("a rule of chain {} in table {}", chain, table));
  return NfRule(&batch_, family, table, chain, 0);
}

void NfBatch::RemoveRule(uint8_t family, std::string_view table, std::string_view chain,
                         uint64_t handle) {
  Begin(NFT_MSG_DELRULE, 0, family, fmt::format("a rule of chain {} in table {}", chain, table));
  batch_.Text(NFTA_RULE_TABLE, table).Text(NFTA_RULE_CHAIN, chain);
  batch_.Number<uint64_t>(NFTA_RULE_HANDLE, htobe64(handle));
}

Status NfBatch::Send(NetlinkSocket* socket, std::string_view what) && {
  if (empty()) return {};
  batch_.BeginQuiet(NFNL_MSG_BATCH_END, 0);
  batch_.Body(NfHeader(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  labels_.emplace_back("the transaction");
  SKIFF_ASSIGN(const std::vector<int> verdicts, socket->Send(std::move(batch_)));
  for (size_t i = 0; i < verdicts.size(); ++i) {
    const int verdict = verdicts[i];
    if (verdict <= 0) continue;
    const std::string about = "the kernel refuses " + labels_[i];
    // EINVAL for the whole: no nf_tables. ENOENT where a thing is made: a chain type or an
    // expression that is no part of this kernel.
    const bool whole = i == 0 || i + 1 == verdicts.size();
    if (verdict == EOPNOTSUPP || verdict == EPROTONOSUPPORT || (whole && verdict == EINVAL)) {
      return Fail(Error(Code::kUnsupported,
                        fmt::format("cannot {}: this kernel lacks a part of "
                                    "nf_tables",
                                    what),
                        verdict)
                      .With(about));
    }
    Error error(CodeOfErrno(verdict), fmt::format("cannot {}", what), verdict);
    return Fail(std::move(error).With(about));
  }
  return {};
}

}  // namespace skiff::net
