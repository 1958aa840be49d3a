#include "netmgr/netlink/name_redirect.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

namespace skiff::net {
namespace {

constexpr char kTable[] = "skiff-names";
constexpr char kChain[] = "output";
constexpr std::array<uint8_t, 4> kAddress = {127, 0, 0, 11};
constexpr uint16_t kDnsPort = 53;

uint16_t MessageType(int message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

nfgenmsg Header(uint8_t family, uint16_t resource = 0) {
  nfgenmsg header = {};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  header.res_id = htons(resource);
  return header;
}

void Number(NetlinkBatch* batch, uint16_t type, uint32_t number) {
  batch->Number<uint32_t>(type, htonl(number));
}

std::string BigEndian16(uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

std::string_view AddressBytes() {
  return {reinterpret_cast<const char*>(kAddress.data()), kAddress.size()};
}

// The expressions of one rule.
class RuleBuilder {
 public:
  explicit RuleBuilder(NetlinkBatch* batch) : batch_(batch) {
    batch_->Begin(MessageType(NFT_MSG_NEWRULE), NLM_F_CREATE | NLM_F_APPEND);
    batch_->Body(Header(NFPROTO_IPV4));
    batch_->Text(NFTA_RULE_TABLE, kTable).Text(NFTA_RULE_CHAIN, kChain);
    batch_->Nest(NFTA_RULE_EXPRESSIONS);
  }
  ~RuleBuilder() { batch_->EndNest(); }
  RuleBuilder(const RuleBuilder&) = delete;
  RuleBuilder& operator=(const RuleBuilder&) = delete;

  void PayloadIs(uint32_t base, uint32_t offset, std::string_view value) {
    Begin("payload");
    Number(batch_, NFTA_PAYLOAD_DREG, NFT_REG_1);
    Number(batch_, NFTA_PAYLOAD_BASE, base);
    Number(batch_, NFTA_PAYLOAD_OFFSET, offset);
    Number(batch_, NFTA_PAYLOAD_LEN, static_cast<uint32_t>(value.size()));
    End();
    Equals(value);
  }
  void ProtocolIs(uint8_t protocol) {
    Begin("meta");
    Number(batch_, NFTA_META_DREG, NFT_REG_1);
    Number(batch_, NFTA_META_KEY, NFT_META_L4PROTO);
    End();
    Equals(std::string(1, static_cast<char>(protocol)));
  }
  void DnatTo(std::string_view address, uint16_t port) {
    Load(NFT_REG_1, address);
    Load(NFT_REG_2, BigEndian16(port));
    Begin("nat");
    Number(batch_, NFTA_NAT_TYPE, NFT_NAT_DNAT);
    Number(batch_, NFTA_NAT_FAMILY, NFPROTO_IPV4);
    Number(batch_, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
    Number(batch_, NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
    End();
  }

 private:
  void Begin(std::string_view name) {
    batch_->Nest(NFTA_LIST_ELEM).Text(NFTA_EXPR_NAME, name).Nest(NFTA_EXPR_DATA);
  }
  void End() { batch_->EndNest().EndNest(); }
  void Equals(std::string_view value) {
    Begin("cmp");
    Number(batch_, NFTA_CMP_SREG, NFT_REG_1);
    Number(batch_, NFTA_CMP_OP, NFT_CMP_EQ);
    batch_->Nest(NFTA_CMP_DATA).Bytes(NFTA_DATA_VALUE, value).EndNest();
    End();
  }
  void Load(uint32_t reg, std::string_view value) {
    Begin("immediate");
    Number(batch_, NFTA_IMMEDIATE_DREG, reg);
    batch_->Nest(NFTA_IMMEDIATE_DATA).Bytes(NFTA_DATA_VALUE, value).EndNest();
    End();
  }

  NetlinkBatch* batch_;
};

void AddTableAndChain(NetlinkBatch* batch) {
  batch->Begin(MessageType(NFT_MSG_NEWTABLE), NLM_F_CREATE | NLM_F_EXCL);
  batch->Body(Header(NFPROTO_IPV4)).Text(NFTA_TABLE_NAME, kTable);
  batch->Begin(MessageType(NFT_MSG_NEWCHAIN), NLM_F_CREATE | NLM_F_EXCL);
  batch->Body(Header(NFPROTO_IPV4));
  batch->Text(NFTA_CHAIN_TABLE, kTable).Text(NFTA_CHAIN_NAME, kChain);
  batch->Nest(NFTA_CHAIN_HOOK);
  Number(batch, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
  Number(batch, NFTA_HOOK_PRIORITY, static_cast<uint32_t>(-100));  // dstnat
  batch->EndNest();
  batch->Text(NFTA_CHAIN_TYPE, "nat");
}

}  // namespace

Status RedirectNameService(NetlinkSocket* socket, uint16_t port) {
  constexpr uint32_t kNetworkHeader = NFT_PAYLOAD_NETWORK_HEADER;
  constexpr uint32_t kTransportHeader = NFT_PAYLOAD_TRANSPORT_HEADER;
  constexpr uint32_t kDestinationAddress = 16;  // In the IPv4 header.
  constexpr uint32_t kDestinationPort = 2;
  NetlinkBatch batch;
  batch.BeginQuiet(NFNL_MSG_BATCH_BEGIN, 0);
  batch.Body(Header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  AddTableAndChain(&batch);
  for (const uint8_t protocol : {uint8_t{IPPROTO_UDP}, uint8_t{IPPROTO_TCP}}) {
    RuleBuilder rule(&batch);
    rule.PayloadIs(kNetworkHeader, kDestinationAddress, AddressBytes());
    rule.ProtocolIs(protocol);
    rule.PayloadIs(kTransportHeader, kDestinationPort, BigEndian16(kDnsPort));
    rule.DnatTo(AddressBytes(), port);
  }
  batch.BeginQuiet(NFNL_MSG_BATCH_END, 0);
  batch.Body(Header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  SKIFF_ASSIGN(const std::vector<int> verdicts, socket->Send(std::move(batch)));
  for (const int verdict : verdicts) {
    // ENOENT: a chain type or an expression that is no part of this kernel.
    if (verdict == EOPNOTSUPP || verdict == ENOENT || verdict == EPROTONOSUPPORT) {
      return Fail(Code::kUnsupported, "no NAT in the container's network namespace");
    }
    if (verdict > 0) return FailErrno(verdict, "cannot redirect the name service");
  }
  return {};
}

}  // namespace skiff::net
