#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace skiff::net {

// An IPv4 or IPv6 address. IPv4 uses the first four bytes; all in network order.
struct IpAddress {
  bool v6 = false;
  std::array<uint8_t, 16> bytes = {};

  // Strict: "172.20.0.1" (no leading zeros), "fd00::1" (no zone).
  static std::optional<IpAddress> Parse(std::string_view text);
  std::string Text() const;
  int bits() const { return v6 ? 128 : 32; }
  size_t size() const { return v6 ? 16 : 4; }
  bool IsLoopback() const;
  bool IsUnspecified() const;
  bool IsMulticast() const;
  bool IsLinkLocal() const;
  // This plus `offset`; nothing past the last address.
  std::optional<IpAddress> Plus(uint64_t offset) const;

  auto operator<=>(const IpAddress&) const = default;
};

// A subnet: an address whose host bits are zero, and a length.
struct IpPrefix {
  IpAddress address;
  int length = 0;

  // "172.20.0.0/16". Host bits may be set ("172.20.0.5/16"): they are cleared.
  static std::optional<IpPrefix> Parse(std::string_view text);
  std::string Text() const;
  IpAddress First() const { return address; }
  IpAddress Last() const;
  bool Contains(const IpAddress& other) const;
  bool Contains(const IpPrefix& other) const;
  bool Overlaps(const IpPrefix& other) const;

  auto operator<=>(const IpPrefix&) const = default;
};

}  // namespace skiff::net
