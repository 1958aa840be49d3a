#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::engine {

// Docker's default set of 14 (engine.md 7.1) as 1 << CAP_*.
inline constexpr uint64_t kDefaultCapabilities = 0x00000000a80425fb;

// "CAP_NET_ADMIN", "net_admin" -> bit number; -1 when unknown.
int CapabilityNumber(std::string_view name);
std::string_view CapabilityName(int number);  // "CAP_NET_ADMIN", "" when unknown.
// All that this kernel has (/proc/sys/kernel/cap_last_cap).
uint64_t AllCapabilities();
// Those this process could hand on: its bounding set.
uint64_t AvailableCapabilities();

// docker's rules: start from the default (all when privileged); "ALL" in add: all but those
// dropped; "ALL" in drop: only those added. Unknown names are kInvalidArgument. What this machine
// lacks is left out and named in `warnings` when it was asked for by name.
Result<uint64_t> ResolveCapabilities(const std::vector<std::string>& add,
                                     const std::vector<std::string>& drop, bool privileged,
                                     std::vector<std::string>* warnings);

}  // namespace skiff::engine
