#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compose/observe.h"
#include "compose/plan.h"
#include "schema/project.h"

namespace skiff::compose {

// What the verbs act on that change containers but neither make nor configure them.
struct LifecycleInput {
  std::string project;
  const schema::Project* model = nullptr;  // May be null: then labels decide.
  const std::vector<ObservedContainer>* containers = nullptr;
  std::vector<std::string> services;  // Empty: all.
};

// Dependents stop first; `kill` style verbs have no order.
Result<Plan> MakeStopPlan(const LifecycleInput& input, std::optional<engine::Nanoseconds> timeout);
struct StartPlanOptions {
  bool wait = false;
  std::optional<engine::Nanoseconds> wait_timeout;
};
// Dependencies start first and are waited for as they ask.
Result<Plan> MakeStartPlan(const LifecycleInput& input, const StartPlanOptions& options);
// Dependents with `restart: true` follow unless no_deps.
Result<Plan> MakeRestartPlan(const LifecycleInput& input,
                             std::optional<engine::Nanoseconds> timeout, bool no_deps);
Result<Plan> MakeKillPlan(const LifecycleInput& input, int signal, bool orphans);
Result<Plan> MakePausePlan(const LifecycleInput& input, bool pause);
// Stopped containers, also one-off ones; with `stop` all of them.
Result<Plan> MakeRmPlan(const LifecycleInput& input, bool stop, bool volumes);

}  // namespace skiff::compose
