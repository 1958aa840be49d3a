#include "engine-core/seccomp/compile.h"

#include <seccomp.h>

#include <cerrno>

#include "engine-core/seccomp/default_policy.h"
#include "engine-core/seccomp/filter_builder.h"

namespace skiff::engine::seccomp {
namespace {

#if defined(__x86_64__)
constexpr Machine kMachine = Machine::kX86;
#else
constexpr Machine kMachine = Machine::kArm;
#endif

std::vector<ArgumentRow> Arguments(const ArgumentTest& test) {
  switch (test.comparison) {
    case Comparison::kNone:
      return {};
    case Comparison::kEqual:
      return {{test.index, SCMP_CMP_EQ, test.value, 0}};
    case Comparison::kLess:
      return {{test.index, SCMP_CMP_LT, test.value, 0}};
    case Comparison::kGreater:
      return {{test.index, SCMP_CMP_GT, test.value, 0}};
    case Comparison::kMaskedEqual:
      return {{test.index, SCMP_CMP_MASKED_EQ, test.value, 0}};
  }
  return {};
}

bool Has(uint64_t capabilities, int number) {
  return number != kNoCapability && (capabilities >> number & 1) != 0;
}

}  // namespace

Result<std::string> CompileDefaultPolicy(uint64_t capabilities) {
  SKIFF_ASSIGN(FilterBuilder builder, FilterBuilder::Create(SCMP_ACT_ERRNO(EPERM)));
  SKIFF_TRY(AddNativeFamily(builder));
  for (const std::string_view name : AlwaysAllowed())
    SKIFF_TRY(builder.AddRule(SCMP_ACT_ALLOW, name, {}));
  for (const std::string_view name : AllowedOn(kMachine))
    SKIFF_TRY(builder.AddRule(SCMP_ACT_ALLOW, name, {}));
  for (const PolicyRule& rule : ConditionalRules()) {
    if (rule.needs != kNoCapability && !Has(capabilities, rule.needs)) continue;
    if (Has(capabilities, rule.unless)) continue;
    const uint32_t action =
        rule.error == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(static_cast<uint32_t>(rule.error));
    SKIFF_TRY(builder.AddRule(action, rule.name, Arguments(rule.test)));
  }
  return builder.Export();
}

}  // namespace skiff::engine::seccomp
