// A seccomp profile that somebody wrote (security_opt).

#include "engine-core/seccomp.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(seccomp_profile) {
  using skiff::fuzz::Require;
  if (input.size() > 4096) return;
  const auto filter = skiff::engine::CompileSeccompProfile(input, 0xa80425fb);
  if (!filter) {
    Require(!filter.error().message.empty(), "a refusal has a reason");
    return;
  }
  Require(!filter->empty() && filter->size() % 8 == 0, "a filter is made of instructions");
}
