#pragma once

#include "compose/plan.h"
#include "compose/use_cases.h"

namespace skiff::compose {

// `up` in the foreground: runs the plan, shows output of containers, and stays until they have
// ended, one of them ends the rest, or the user interrupts (compose.md 4.28-31). Returns the exit
// code.
Result<int> AttachedUp(const Context& context, const schema::Project& project,
                       const UpOptions& options, const Plan& plan, std::shared_ptr<void> lock);

}  // namespace skiff::compose
