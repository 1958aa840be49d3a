#include "engine-core/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#include <algorithm>
#include <iterator>

#include "base/fd.h"
#include "base/text.h"

namespace skiff::engine {
namespace {

// By number (linux/capability.h).
constexpr std::string_view kNames[] = {"CAP_CHOWN",
                                       "CAP_DAC_OVERRIDE",
                                       "CAP_DAC_READ_SEARCH",
                                       "CAP_FOWNER",
                                       "CAP_FSETID",
                                       "CAP_KILL",
                                       "CAP_SETGID",
                                       "CAP_SETUID",
                                       "CAP_SETPCAP",
                                       "CAP_LINUX_IMMUTABLE",
                                       "CAP_NET_BIND_SERVICE",
                                       "CAP_NET_BROADCAST",
                                       "CAP_NET_ADMIN",
                                       "CAP_NET_RAW",
                                       "CAP_IPC_LOCK",
                                       "CAP_IPC_OWNER",
                                       "CAP_SYS_MODULE",
                                       "CAP_SYS_RAWIO",
                                       "CAP_SYS_CHROOT",
                                       "CAP_SYS_PTRACE",
                                       "CAP_SYS_PACCT",
                                       "CAP_SYS_ADMIN",
                                       "CAP_SYS_BOOT",
                                       "CAP_SYS_NICE",
                                       "CAP_SYS_RESOURCE",
                                       "CAP_SYS_TIME",
                                       "CAP_SYS_TTY_CONFIG",
                                       "CAP_MKNOD",
                                       "CAP_LEASE",
                                       "CAP_AUDIT_WRITE",
                                       "CAP_AUDIT_CONTROL",
                                       "CAP_SETFCAP",
                                       "CAP_MAC_OVERRIDE",
                                       "CAP_MAC_ADMIN",
                                       "CAP_SYSLOG",
                                       "CAP_WAKE_ALARM",
                                       "CAP_BLOCK_SUSPEND",
                                       "CAP_AUDIT_READ",
                                       "CAP_PERFMON",
                                       "CAP_BPF",
                                       "CAP_CHECKPOINT_RESTORE"};
static_assert(std::size(kNames) == CAP_CHECKPOINT_RESTORE + 1);

constexpr std::string_view kPrefix = "CAP_";

struct Wanted {
  uint64_t set = 0;
  bool all = false;
};

Result<Wanted> ParseNames(const std::vector<std::string>& names, std::string_view key) {
  Wanted wanted;
  for (const std::string& name : names) {
    if (EqualsIgnoreCase(name, "ALL") || EqualsIgnoreCase(name, "CAP_ALL")) {
      wanted.all = true;
      continue;
    }
    const int number = CapabilityNumber(name);
    if (number < 0)
      return Fail(Code::kInvalidArgument, std::string(key) + ": unknown capability '" + name + "'");
    wanted.set |= uint64_t{1} << number;
  }
  return wanted;
}

}  // namespace

int CapabilityNumber(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (EqualsIgnoreCase(name, kNames[i]) ||
        EqualsIgnoreCase(name, kNames[i].substr(kPrefix.size())))
      return static_cast<int>(i);
  }
  return -1;
}

std::string_view CapabilityName(int number) {
  return number >= 0 && number < static_cast<int>(std::size(kNames)) ? kNames[number] : "";
}

uint64_t AllCapabilities() {
  uint64_t all = 0;
  for (int number = 0; number < 64 && prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number)
    all |= uint64_t{1} << number;
  return all;
}

uint64_t AvailableCapabilities() {
  uint64_t available = 0;
  for (int number = 0; number < 64; ++number) {
    const int has = prctl(PR_CAPBSET_READ, number, 0, 0, 0);
    if (has < 0) break;
    if (has == 1) available |= uint64_t{1} << number;
  }
  return available;
}

Result<uint64_t> ResolveCapabilities(const std::vector<std::string>& add,
                                     const std::vector<std::string>& drop, bool privileged,
                                     std::vector<std::string>* warnings) {
  SKIFF_ASSIGN(const Wanted added, ParseNames(add, "cap_add"));
  SKIFF_ASSIGN(const Wanted dropped, ParseNames(drop, "cap_drop"));
  const uint64_t all = AllCapabilities();
  const uint64_t available = AvailableCapabilities();
  if (privileged) return available;
  // docker: ALL that is added loses what is dropped by name; ALL that is dropped leaves what is
  // added.
  uint64_t result = (kDefaultCapabilities & ~dropped.set) | added.set;
  if (dropped.all) result = added.set;
  if (added.all) result = all & ~dropped.set;
  for (int number = 0; number < 64 && warnings != nullptr; ++number) {
    const uint64_t bit = uint64_t{1} << number;
    if ((added.set & result & bit) != 0 && (available & bit) == 0)
      warnings->push_back("cap_add: " + std::string(CapabilityName(number)) +
                          " is not available on this machine and is left out");
  }
  return result & available;
}

}  // namespace skiff::engine
