#pragma once

#include "engine-core/child/inside/plan.h"

namespace skiff::engine::child::inside {

// The path of args[0], looked up in the PATH of the container's environment as docker does it; ends
// the process with docker's text and exit code (126, 127) when there is none.
const char* FindProgram(const ProcessPlan& plan);

}  // namespace skiff::engine::child::inside
