#include "netmgr/netlink/name_redirect.h"

#include <cerrno>
#include <string>

#include "netmgr/netlink/nf_batch.h"

namespace skiff::net {
namespace {

constexpr char kTable[] = "skiff-names";
constexpr char kChain[] = "output";
constexpr std::string_view kAddress("\x7f\0\0\x0b", 4);  // 127.0.0.11
constexpr std::string_view kDnsPort("\0\x35", 2);        // 53
constexpr int32_t kDestinationNat = -100;                // A chain's priority.

}  // namespace

Status RedirectNameService(NetlinkSocket* socket, uint16_t port) {
  constexpr uint32_t kDestinationAddress = 16;  // In the IPv4 header.
  constexpr uint32_t kDestinationPort = 2;
  NfBatch batch(NFPROTO_IPV4, kTable);
  batch.AddTable(true);
  batch.AddChain(kChain, NfHook{"nat", NF_INET_LOCAL_OUT, kDestinationNat});
  for (const uint8_t protocol : {uint8_t{IPPROTO_UDP}, uint8_t{IPPROTO_TCP}}) {
    batch.Rule(kChain)
        .Payload(NFT_PAYLOAD_NETWORK_HEADER, kDestinationAddress, 4)
        .Is(kAddress)
        .Meta(NFT_META_L4PROTO)
        .Is(protocol)
        .Payload(NFT_PAYLOAD_TRANSPORT_HEADER, kDestinationPort, 2)
        .Is(kDnsPort)
        .DnatTo(kAddress, port);
  }
  Status sent = std::move(batch).Send(socket, "redirect the name service");
  // ENOENT: a chain type or an expression that is no part of this kernel.
  if (!sent && (sent.error().code == Code::kUnsupported || sent.error().sys_errno == ENOENT)) {
    return Fail(Code::kUnsupported, "no NAT in the container's network namespace");
  }
  return sent;
}

}  // namespace skiff::net
