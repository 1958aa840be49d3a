#pragma once

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/flag_values.h"
#include "engine-core/types.h"

namespace skiff::cli {

// The container that the flags and operands of `docker run` or `docker create` describe.
Result<engine::ContainerConfig> ContainerConfigOf(const Arguments& arguments,
                                                  const Environment& environment,
                                                  const std::string& working_dir);

}  // namespace skiff::cli
