#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::engine::embedded {

// docker: [a-zA-Z0-9][a-zA-Z0-9_.-]+
Status ValidateContainerName(std::string_view name);
// "brave_hopper", made from `seed`; with a number behind it from the second `attempt` (0, 1, ...)
// on.
std::string GeneratedName(uint64_t seed, int attempt);

}  // namespace skiff::engine::embedded
