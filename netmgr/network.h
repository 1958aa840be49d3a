#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

// Bridges, endpoints, addresses, names and published ports, in plain values: this module knows
// nothing of containers' processes, images or databases.
namespace skiff::net {

// Bridge and link group of one network. Names derive from ids and the hash of the root.
struct BridgeSpec {
  std::string network_id;  // 64 hexadecimal digits.
  std::string bridge;      // "sk" + ...: at most 15 bytes; empty: derived.
  uint32_t link_group = 0;
  std::string gateway_v4;  // "172.20.0.1", prefix below. Empty: none.
  int prefix_v4 = 0;
  std::string gateway_v6;
  int prefix_v6 = 0;
  bool internal = false;
  int mtu = 1500;
};

struct EndpointSpec {
  std::string endpoint_id;
  BridgeSpec network;
  std::string interface_name;  // In the container: "eth0".
  std::string address_v4;
  std::string address_v6;
  std::string mac_address;  // Empty: 02:42 and the IPv4 address.
  bool default_route = false;
};

// One published port.
struct PublishSpec {
  std::string container_id;
  std::string host_ip;  // "", "0.0.0.0", "127.0.0.1", "::", ...
  uint16_t host_port = 0;
  uint16_t container_port = 0;
  int protocol = 6;        // IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP
  std::string target_v4;   // Address of the container.
  std::string target_v6;
};

}  // namespace skiff::net
