#pragma once

#include <cstdint>
#include <span>
#include <string_view>

// Docker's default seccomp policy as data (engine.md 7.5): everything is refused with EPERM but
// what these tables allow. Names are libseccomp's; one this machine's libseccomp does not know is
// left out, so that the call it stands for stays refused.
namespace skiff::engine::seccomp {

enum class Comparison : uint8_t { kNone, kEqual, kLess, kGreater, kMaskedEqual };

struct ArgumentTest {
  Comparison comparison = Comparison::kNone;
  unsigned index = 0;
  uint64_t value = 0;  // Of kMaskedEqual: the mask; the masked argument must be 0.
};

inline constexpr int kNoCapability = -1;

struct PolicyRule {
  std::string_view name;
  int needs = kNoCapability;   // Only with this capability ...
  int unless = kNoCapability;  // ... and without that one.
  int error = 0;               // 0: allow; else refuse with this number.
  ArgumentTest test = {};
};

enum class Machine : uint8_t { kAny, kX86, kArm };

// Calls every container may make.
std::span<const std::string_view> AlwaysAllowed();
// Calls of one family of machines.
std::span<const std::string_view> AllowedOn(Machine machine);
// Calls that depend on a capability or on an argument.
std::span<const PolicyRule> ConditionalRules();

}  // namespace skiff::engine::seccomp
