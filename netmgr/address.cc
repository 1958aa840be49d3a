#include "netmgr/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace skiff::net {
namespace {

// Clears the bits of `bytes` past the first `length`, or sets them.
void FillHostBits(IpAddress* address, int length, bool ones) {
  for (size_t i = 0; i < address->size(); ++i) {
    const int kept = std::min(std::max(length - static_cast<int>(i) * 8, 0), 8);
    const auto host = static_cast<uint8_t>(0xff >> kept);
    if (ones) {
      address->bytes[i] |= host;
    } else {
      address->bytes[i] &= static_cast<uint8_t>(~host);
    }
  }
}

}  // namespace

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  const std::string copy(text);
  IpAddress address;
  address.v6 = text.find(':') != std::string_view::npos;
  // A NUL inside would end the text early for inet_pton.
  if (copy.size() != std::strlen(copy.c_str())) return std::nullopt;
  if (::inet_pton(address.v6 ? AF_INET6 : AF_INET, copy.c_str(), address.bytes.data()) != 1) {
    return std::nullopt;
  }
  return address;
}

std::string IpAddress::Text() const {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof text);
  return text;
}

bool IpAddress::IsLoopback() const {
  if (!v6) return bytes[0] == 127;
  IpAddress one;
  one.v6 = true;
  one.bytes[15] = 1;
  return *this == one;
}

bool IpAddress::IsUnspecified() const {
  IpAddress zero;
  zero.v6 = v6;
  return *this == zero;
}

bool IpAddress::IsMulticast() const {
  return v6 ? bytes[0] == 0xff : (bytes[0] & 0xf0) == 0xe0;
}

bool IpAddress::IsLinkLocal() const {
  return v6 ? bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80 : bytes[0] == 169 && bytes[1] == 254;
}

std::optional<IpAddress> IpAddress::Plus(uint64_t offset) const {
  IpAddress sum = *this;
  for (size_t i = size(); i-- > 0 && offset != 0;) {
    const uint64_t byte = sum.bytes[i] + (offset & 0xff);
    sum.bytes[i] = static_cast<uint8_t>(byte);
    offset = (offset >> 8) + (byte >> 8);
  }
  if (offset != 0) return std::nullopt;
  return sum;
}

std::optional<IpPrefix> IpPrefix::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = IpAddress::Parse(text.substr(0, slash));
  const auto length = ParseNumber<int>(text.substr(slash + 1));
  if (!address || !length || *length < 0 || *length > address->bits()) return std::nullopt;
  IpPrefix prefix{*address, *length};
  FillHostBits(&prefix.address, prefix.length, false);
  return prefix;
}

std::string IpPrefix::Text() const {
  return address.Text() + "/" + std::to_string(length);
}

IpAddress IpPrefix::Last() const {
  IpAddress last = address;
  FillHostBits(&last, length, true);
  return last;
}

bool IpPrefix::Contains(const IpAddress& other) const {
  if (other.v6 != address.v6) return false;
  IpAddress masked = other;
  FillHostBits(&masked, length, false);
  return masked == address;
}

bool IpPrefix::Contains(const IpPrefix& other) const {
  return other.length >= length && Contains(other.address);
}

bool IpPrefix::Overlaps(const IpPrefix& other) const {
  return Contains(other) || other.Contains(*this);
}

}  // namespace skiff::net
