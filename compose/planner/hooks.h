#pragma once

#include "compose/plan.h"

namespace skiff::compose {

// The plan with the commands that services run in their containers (compose-spec: post_start and
// pre_stop): after a start, before whoever waits for it; before a stop, after what the stop waits
// for. `project` may be null: none are known then.
Plan WithHooks(Plan plan, const schema::Project* project);

}  // namespace skiff::compose
