#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

// Bridges, endpoints, addresses, names and published ports, in plain values: this module knows
// nothing of containers' processes, images or databases.
namespace skiff::net {

// Bridge and link group of one network. Both follow from the network's id and the hash of the root
// (BridgeName, LinkGroup); a caller that leaves them empty gets those.
struct BridgeSpec {
  std::string network_id;  // 64 hexadecimal digits.
  std::string bridge;      // "" or 0: derived.
  uint32_t link_group = 0;
  std::string gateway_v4;  // "172.20.0.1". Empty: no IPv4 address on the bridge.
  int prefix_v4 = 0;
  std::string gateway_v6;
  int prefix_v6 = 0;
  bool internal = false;  // No way out, no way in, no default route.
  int mtu = 1500;
};

// One container's interface in one network.
struct EndpointSpec {
  std::string endpoint_id;  // 64 hexadecimal digits: the host end's name derives from it.
  BridgeSpec network;
  std::string interface_name;  // In the container: "eth0".
  std::string address_v4;
  std::string address_v6;
  std::string mac_address;     // "02:42:ac:14:00:02". Empty: MacOfAddress(address_v4, endpoint_id).
  bool default_route = false;  // Through the gateways of `network`; ignored when it is internal.
};

// One published port. The socket that reserves it is netmgr/ports.h.
struct PublishSpec {
  std::string container_id;
  std::string host_ip;  // "" (all, both families), "0.0.0.0", "127.0.0.1", "::", "::1", ...
  uint16_t host_port = 0;
  uint16_t container_port = 0;
  int protocol = 6;       // IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP
  std::string target_v4;  // Address of the container; empty: none in that family.
  std::string target_v6;

  bool operator==(const PublishSpec&) const = default;
};

// Names of the kernel objects of one root. `root_hash`: at least eight hexadecimal digits.
std::string BridgeName(std::string_view root_hash, std::string_view network_id);     // "sk" + 13
std::string HostLinkName(std::string_view root_hash, std::string_view endpoint_id);  // "sv" + 13
std::string TableName(std::string_view root_hash);                                   // "skiff-" + 8
// Never 0 (the kernel's default group), and far above what people number by hand.
uint32_t LinkGroup(std::string_view network_id);
// 02:42 and the four bytes of an IPv4 address, or, without one, of the endpoint's id.
std::string MacOfAddress(std::string_view address_v4, std::string_view endpoint_id);

// Fills in what `spec` leaves to be derived.
BridgeSpec Complete(BridgeSpec spec, std::string_view root_hash);

}  // namespace skiff::net
