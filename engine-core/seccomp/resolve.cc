#include <linux/filter.h>
#include <seccomp.h>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/identity.h"
#include "engine-core/capabilities.h"
#include "engine-core/seccomp.h"
#include "engine-core/seccomp/compile.h"
#include "engine-core/seccomp/default_policy.h"

namespace skiff::engine {
namespace {

// Raised whenever the default policy or the way of compiling changes: cached filters are then
// stale.
constexpr int kPolicyVersion = 1;

// The capabilities that change what the default policy allows.
uint64_t RelevantCapabilities() {
  uint64_t relevant = 0;
  for (const seccomp::PolicyRule& rule : seccomp::ConditionalRules()) {
    for (const int number : {rule.needs, rule.unless}) {
      if (number != seccomp::kNoCapability) relevant |= uint64_t{1} << number;
    }
  }
  return relevant;
}

std::string CacheName(std::string_view profile, uint64_t capabilities) {
  const scmp_version* version = seccomp_version();
  std::string key = std::to_string(kPolicyVersion) + "\n" + std::to_string(seccomp_arch_native()) +
                    "\n" + std::to_string(capabilities) + "\n" + std::to_string(version->major) +
                    "." + std::to_string(version->minor) + "." + std::to_string(version->micro) +
                    "\n";
  key += profile;
  return Sha256Hex(key);
}

bool IsFilter(const std::string& data) {
  return !data.empty() && data.size() % sizeof(sock_filter) == 0;
}

}  // namespace

Result<std::string> CompileDefaultSeccomp(uint64_t capabilities) {
  return seccomp::CompileDefaultPolicy(capabilities);
}

Result<SeccompChoice> ResolveSeccomp(std::string_view profile, uint64_t capabilities,
                                     const std::string& cache_dir) {
  SeccompChoice choice;
  if (profile == "unconfined") {
    choice.enabled = false;
    return choice;
  }
  const bool standard = profile.empty() || profile == "builtin";
  const uint64_t relevant = standard ? capabilities & RelevantCapabilities() : capabilities;
  if (standard && relevant == (kDefaultCapabilities & RelevantCapabilities())) return choice;

  std::string path;
  if (!cache_dir.empty()) {
    path = cache_dir + "/" + CacheName(profile, relevant);
    auto cached = ReadFile(path, 1u << 20);
    if (cached && IsFilter(*cached)) {
      choice.filter = std::move(*cached);
      return choice;
    }
  }
  if (standard) {
    SKIFF_ASSIGN(choice.filter, CompileDefaultSeccomp(relevant));
  } else {
    SKIFF_ASSIGN(choice.filter, CompileSeccompProfile(profile, relevant));
  }
  if (!path.empty()) {
    SKIFF_TRY(Failpoint("seccomp.cache"));
    SKIFF_TRY(MakeDirectories(cache_dir));
    SKIFF_TRY(WriteFileAtomically(path, choice.filter, 0600, Durability::kDurable));
  }
  return choice;
}

}  // namespace skiff::engine
