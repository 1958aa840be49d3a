#include "netmgr/network.h"

#include <fmt/format.h>

#include "base/identity.h"
#include "base/text.h"
#include "netmgr/address.h"

namespace skiff::net {
namespace {

// A Linux interface name has at most 15 bytes. Five digits tell roots apart, eight the objects of
// one root.
constexpr size_t kRootDigits = 5;
constexpr size_t kObjectDigits = 8;

std::string LinkName(std::string_view kind, std::string_view root_hash, std::string_view id) {
  std::string name(kind);
  name += root_hash.substr(0, kRootDigits);
  name += id.substr(0, kObjectDigits);
  return name;
}

// Ids are hexadecimal; anything else is hashed, so that every id has a number.
uint32_t NumberOf(std::string_view id) {
  const auto number = ParseNumber<uint32_t>(id.substr(0, 8), 16);
  return number ? *number : *ParseNumber<uint32_t>(Sha256Hex(id).substr(0, 8), 16);
}

}  // namespace

std::string BridgeName(std::string_view root_hash, std::string_view network_id) {
  return LinkName("sk", root_hash, network_id);
}

std::string HostLinkName(std::string_view root_hash, std::string_view endpoint_id) {
  return LinkName("sv", root_hash, endpoint_id);
}

std::string TableName(std::string_view root_hash) {
  return "skiff-" + std::string(root_hash.substr(0, 8));
}

uint32_t LinkGroup(std::string_view network_id) {
  return (NumberOf(network_id) & 0x3fffffffu) | 0x40000000u;
}

std::string MacOfAddress(std::string_view address_v4, std::string_view endpoint_id) {
  uint32_t tail = NumberOf(endpoint_id);
  if (const auto address = IpAddress::Parse(address_v4); address && !address->v6) {
    const auto& b = address->bytes;
    tail = uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
  }
  return fmt::format("02:42:{:02x}:{:02x}:{:02x}:{:02x}", tail >> 24, tail >> 16 & 0xff,
                     tail >> 8 & 0xff, tail & 0xff);
}

BridgeSpec Complete(BridgeSpec spec, std::string_view root_hash) {
  if (spec.bridge.empty()) spec.bridge = BridgeName(root_hash, spec.network_id);
  if (spec.link_group == 0) spec.link_group = LinkGroup(spec.network_id);
  return spec;
}

}  // namespace skiff::net
