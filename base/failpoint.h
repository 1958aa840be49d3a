#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff {

// Named places where tests make a command fail or die. SKIFF_FAILPOINTS="name=action[,name=action]"
// with action `error`, `error:ENOSPC`, `kill`, `delay:MS`, each optionally followed by `@N`: only
// the N-th pass (from 1), or `trace:/FILE`: the name is appended to the file. The name `*` is every
// failpoint. SKIFF_FAILPOINTS="@/FILE": the list is in that file, which is read at every pass, so
// that processes which live on (monitors) are armed and disarmed with their commands. Without the
// variable a failpoint costs one predictable branch.
//
// Every place that changes state on disk or in the kernel has one: "engine.create.after_intent".
// Failpoint() registers nothing at run time: the list is generated from the sources by
// tests/architecture/list_failpoints.cmake.
namespace failpoint_internal {
extern std::atomic<bool> g_active;
Status Evaluate(std::string_view name);
}  // namespace failpoint_internal

inline Status Failpoint(std::string_view name) {
  if (!failpoint_internal::g_active.load(std::memory_order_relaxed)) [[likely]]
    return {};
  return failpoint_internal::Evaluate(name);
}

// Parses `spec` (SKIFF_FAILPOINTS) and arms the registry; "" disarms. Called once by each main().
Status ConfigureFailpoints(std::string_view spec);

}  // namespace skiff
