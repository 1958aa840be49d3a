#pragma once

// First: the kernel's headers step back from what libc has declared, not the other way round.
// clang-format off
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
// clang-format on

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "netmgr/netlink/netlink.h"

// The nf_tables protocol, as much of it as our own tables and an accept in somebody else's chain
// need. In place of libnftables, which lists whatever tables the machine has before each change and
// takes 8 ms for one element: more than all the rest of a container's network.
namespace skiff::net {

uint16_t NfMessage(int message);
nfgenmsg NfHeader(uint8_t family, uint16_t resource = 0);

// libnftnl's user data of an element: its comment.
inline constexpr uint8_t kNfCommentType = 0;

// Room for an interface's name in a set or a comparison, padded with NULs.
inline constexpr uint32_t kNfNameSize = 16;

// A chain with a hook, policy accept. `priority`: raw is -300, dstnat -100, filter 0, srcnat 100.
struct NfHook {
  const char* type = "filter";  // "nat"
  uint32_t number = NF_INET_FORWARD;
  int32_t priority = 0;
};

// Lengths in bytes; the parts of a concatenation are padded to four each.
struct NfSet {
  std::string_view name;
  uint32_t key_type = 0;  // For whoever lists it: numbers of nft's types, six bits each.
  uint32_t key_length = 0;
  uint32_t data_type = 0;  // A map has these two.
  uint32_t data_length = 0;
  // Rules add to it: 65535 elements at most, the kernel's own limit for such a set. Naming a size
  // instead would have it clear a table for that many at once.
  bool dynamic = false;
};

// In the kernel's form: bytes in network order, a name padded with NULs.
struct NfElement {
  std::string key;
  std::string data;     // "": of a set.
  std::string comment;  // "": none.

  bool operator==(const NfElement&) const = default;
};

// The expressions of one rule, in the words of nft's language. Values go through register 1.
class NfRule {
 public:
  NfRule(NetlinkBatch* batch, uint8_t family, std::string_view table, std::string_view chain,
         uint16_t position);
  ~NfRule() { batch_->EndNest(); }
  NfRule(const NfRule&) = delete;
  NfRule& operator=(const NfRule&) = delete;

  NfRule& Meta(uint32_t key, uint32_t into = NFT_REG_1);
  NfRule& Payload(uint32_t base, uint32_t offset, uint32_t length, uint32_t into = NFT_REG_1);
  NfRule& Is(std::string_view value) { return Compare(NFT_CMP_EQ, value); }
  NfRule& Is(uint8_t value) { return Is(std::string(1, static_cast<char>(value))); }
  NfRule& AtLeast(std::string_view value) { return Compare(NFT_CMP_GTE, value); }
  NfRule& In(std::string_view set, bool inverted = false);
  NfRule& NotIn(std::string_view set) { return In(set, true); }
  // add @set { ... }: what register 1 holds. The rule ends here when the set is full.
  NfRule& AddTo(std::string_view set);
  // ct state, ct status: any of the bits.
  NfRule& Tracked(uint32_t key, uint32_t bits);
  // fib daddr type
  NfRule& DestinationTypeIsNot(uint32_t type);
  NfRule& Counter();
  // dnat ip[6] to ... map: the key begins in register 1, the address and port replace it.
  NfRule& DnatBy(std::string_view map, uint8_t family);
  NfRule& DnatTo(std::string_view address, uint16_t port);  // IPv4.
  NfRule& Masquerade();
  NfRule& Verdict(int32_t code, std::string_view chain = {});  // NF_ACCEPT, NFT_JUMP, ...

 private:
  void Begin(std::string_view name);
  void End() { batch_->EndNest().EndNest(); }
  void Number(uint16_t type, uint32_t number);
  void Value(uint16_t type, std::string_view value);
  NfRule& Compare(uint32_t operation, std::string_view value);
  void Load(uint32_t reg, std::string_view value);
  void Nat(uint8_t family, uint32_t address, uint32_t port);

  NetlinkBatch* batch_;
};

// One transaction, mostly about one table. All of it happens or nothing.
class NfBatch {
 public:
  NfBatch(uint8_t family, std::string table);

  void AddTable(bool must_be_new);
  void RemoveTable();
  void AddChain(std::string_view name, const std::optional<NfHook>& hook = {});
  void AddSet(const NfSet& set);
  // Adding one that is there with the same data is fine; removing one that is not fails (ENOENT).
  void AddElements(std::string_view set, std::span<const NfElement> elements);
  void RemoveElements(std::string_view set, std::span<const NfElement> elements);
  // At the end of a chain of the table.
  NfRule Rule(std::string_view chain);
  // At the beginning of a chain of another table.
  NfRule InsertRule(uint8_t family, std::string_view table, std::string_view chain);
  void RemoveRule(uint8_t family, std::string_view table, std::string_view chain, uint64_t handle);

  bool empty() const { return labels_.size() <= 1; }
  // kUnsupported: the kernel lacks nf_tables or a part of it. Other failures are "cannot <what>".
  Status Send(NetlinkSocket* socket, std::string_view what) &&;

 private:
  void Begin(int message, uint16_t flags, uint8_t family, std::string label);
  void Elements(int message, uint16_t flags, std::string_view set,
                std::span<const NfElement> elements, bool whole);

  uint8_t family_;
  std::string table_;
  uint32_t sets_ = 0;
  NetlinkBatch batch_;
  std::vector<std::string> labels_;  // What each message is about.
};

// ---- Reading -----------------------------------------------------------------------------------

// kNotFound: no such table or set.
Result<std::vector<NfElement>> ReadElements(NetlinkSocket* socket, uint8_t family,
                                            std::string_view table, std::string_view set);

// Whether a set has this key. A table or a set that is not there has none.
Result<bool> HasElement(NetlinkSocket* socket, uint8_t family, std::string_view table,
                        std::string_view set, std::string_view key);

struct NfChain {
  uint8_t family = 0;
  std::string table;
  std::string name;
  std::string type;              // "filter"; "" without a hook.
  std::optional<uint32_t> hook;  // NF_INET_*
  uint32_t policy = NF_ACCEPT;
};
// Of all tables. A kernel without nf_tables has none.
Result<std::vector<NfChain>> ReadChains(NetlinkSocket* socket);

// A rule that accepts what one interface receives or sends, counting at most.
struct NfAcceptRule {
  uint32_t key = NFT_META_IIFNAME;  // Or NFT_META_OIFNAME.
  std::string interface_name;
  uint64_t handle = 0;
};
// Those of a chain; whatever else it has is left out.
Result<std::vector<NfAcceptRule>> ReadAcceptRules(NetlinkSocket* socket, const NfChain& chain);

}  // namespace skiff::net
