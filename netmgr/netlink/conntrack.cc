#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "netmgr/address.h"
#include "netmgr/netlink/bridge.h"
#include "netmgr/netlink/links.h"
#include "netmgr/netlink/netlink.h"

namespace skiff::net {
namespace {

uint16_t MessageType(int message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
}

// One tracked connection: what names it, to delete it again.
struct Tracked {
  uint8_t family = 0;
  std::string tuple;  // CTA_TUPLE_ORIG
  std::string id;
  std::string zone;
};

// `see` gets the raw bytes of each address.
void ForEachAddress(std::string_view tuple, const std::function<void(std::string_view)>& see) {
  AttributeReader parts(tuple);
  while (parts.Next()) {
    if (parts->type != CTA_TUPLE_IP) continue;
    AttributeReader ip(parts->data);
    while (ip.Next()) see(ip->data);
  }
}

// Most often nothing is tracked, or the kernel tracks nothing at all.
bool NothingIsTracked() {
  const auto count = NetSysctl("netfilter/nf_conntrack_count");
  return !count || *count == "0";
}

Status ListTracked(NetlinkSocket* socket, const std::function<void(const NetlinkMessage&)>& see) {
  NetlinkBatch ask;
  ask.BeginQuiet(MessageType(IPCTNL_MSG_CT_GET), NLM_F_DUMP);
  ask.Body(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, 0});
  Status listed = socket->Ask(std::move(ask), "list tracked connections", see);
  // A kernel without ctnetlink: what is tracked ends by its own time-out, as it does with docker.
  if (!listed && (listed.error().sys_errno == EINVAL || listed.error().sys_errno == EOPNOTSUPP)) {
    return {};
  }
  return listed;
}

IpAddress AddressOf(std::string_view bytes) {
  IpAddress address;
  address.v6 = bytes.size() > 4;
  std::copy_n(bytes.begin(), std::min(bytes.size(), address.bytes.size()), address.bytes.begin());
  return address;
}

}  // namespace

Status ForgetTracked(const std::function<bool(const IpAddress&)>& wanted) {
  if (NothingIsTracked()) return {};
  SKIFF_ASSIGN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_NETFILTER));
  std::vector<Tracked> found;
  SKIFF_TRY(ListTracked(&socket, [&](const NetlinkMessage& message) {
    Tracked tracked;
    tracked.family = message.Header<nfgenmsg>().nfgen_family;
    bool hit = false;
    AttributeReader attributes(message.After(sizeof(nfgenmsg)));
    while (attributes.Next()) {
      if (attributes->type == CTA_TUPLE_ORIG) tracked.tuple = attributes->data;
      if (attributes->type == CTA_ID) tracked.id = attributes->data;
      if (attributes->type == CTA_ZONE) tracked.zone = attributes->data;
      if (attributes->type != CTA_TUPLE_ORIG && attributes->type != CTA_TUPLE_REPLY) continue;
      ForEachAddress(attributes->data,
                     [&](std::string_view address) { hit = hit || wanted(AddressOf(address)); });
    }
    if (hit) found.push_back(std::move(tracked));
  }));
  for (const Tracked& tracked : found) {
    NetlinkBatch drop;
    drop.Begin(MessageType(IPCTNL_MSG_CT_DELETE), 0);
    drop.Body(nfgenmsg{tracked.family, NFNETLINK_V0, 0});
    drop.Bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, tracked.tuple).Bytes(CTA_ID, tracked.id);
    if (!tracked.zone.empty()) drop.Bytes(CTA_ZONE, tracked.zone);
    SKIFF_TRY(socket.Transact(std::move(drop), "forget a tracked connection", {ENOENT}));
  }
  return {};
}

}  // namespace skiff::net
