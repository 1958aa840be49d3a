#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::engine::seccomp {

struct ArgumentRow {
  unsigned index = 0;
  int comparison = 0;  // enum scmp_compare
  uint64_t a = 0;
  uint64_t b = 0;  // Second operand of a masked comparison.
};

// libseccomp, behind one narrow door: rules in, cBPF out.
class FilterBuilder {
 public:
  // `default_action`: an SCMP_ACT_* value.
  static Result<FilterBuilder> Create(uint32_t default_action);

  // Adds a machine beside the native one ("x86", "x32", "arm", ...).
  Status AddArchitecture(uint32_t architecture);
  // A name libseccomp does not know, and a call no machine of the filter has, are left out. Rules
  // whose action is the default one are too.
  Status AddRule(uint32_t action, std::string_view name, const std::vector<ArgumentRow>& arguments);
  Result<std::string> Export();

 private:
  struct Release {
    void operator()(void* context) const;
  };
  explicit FilterBuilder(void* context, uint32_t default_action)
      : context_(context), default_action_(default_action) {}
  std::unique_ptr<void, Release> context_;
  uint32_t default_action_;
};

// The native machine and those it runs too; false when there is none beside it.
Status AddNativeFamily(FilterBuilder& builder);

}  // namespace skiff::engine::seccomp
