#include "compose/planner/lifecycle_planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "compose/labels.h"
#include "compose/planner/hooks.h"
#include "compose/planner/plan_builder.h"
#include "compose/service_graph.h"

namespace skiff::compose {
namespace {

// What the plans below share: the graph, and which containers are meant.
class Lifecycle {
 public:
  explicit Lifecycle(const LifecycleInput& input)
      : input_(input),
        graph_(input.model ? ServiceGraph::FromModel(*input.model)
                           : ServiceGraph::FromContainers(*input.containers)),
        builder(plan) {
    plan.project = input.project;
  }

  Status CheckServices() const {
    for (const std::string& name : input_.services) {
      const bool disabled = input_.model && input_.model->disabled_services.count(name) > 0;
      if (!graph_.Contains(name) && !disabled) return Fail(NoSuchService(name, graph_.names()));
    }
    return {};
  }

  std::set<std::string> Selected() const {
    const std::vector<std::string> names =
        input_.services.empty() ? graph_.names() : input_.services;
    return {names.begin(), names.end()};
  }

  std::vector<const ObservedContainer*> ContainersOf(const std::string& service,
                                                     bool oneoff = false) const {
    std::vector<const ObservedContainer*> result;
    for (const ObservedContainer& observed : *input_.containers) {
      if (observed.service == service && observed.oneoff == oneoff) result.push_back(&observed);
    }
    return result;
  }

  const ServiceGraph& graph() const { return graph_; }

 private:
  const LifecycleInput& input_;
  ServiceGraph graph_;

 public:
  Plan plan;
  PlanBuilder builder;
};

// Operations of services by name; `before` those of all its neighbours in one direction.
using OperationsOf = std::map<std::string, std::vector<int>>;

std::vector<int> OfDependents(const ServiceGraph& graph, const std::string& service,
                              const OperationsOf& operations) {
  std::vector<int> result;
  for (const auto& [name, made] : operations) {
    for (const schema::Dependency& dependency : graph.DependenciesOf(name)) {
      if (dependency.service != service) continue;
      result.insert(result.end(), made.begin(), made.end());
    }
  }
  return result;
}

// The wait for one dependency that is started by the same plan, or -1 when there is nothing to
// wait for.
int AddWait(Lifecycle& lifecycle, const std::string& dependent,
            const schema::Dependency& dependency, const std::vector<int>& starts) {
  Operation wait;
  wait.kind = OperationKind::kWait;
  wait.name = dependency.service;
  wait.service = dependency.service;
  wait.span = dependency.span;
  wait.required = dependency.required;
  wait.condition = dependency.condition == schema::DependencyCondition::kHealthy
                       ? WaitCondition::kHealthy
                       : WaitCondition::kCompletedSuccessfully;
  wait.cause = fmt::format("{} is needed by '{}'", ConditionName(dependency.condition), dependent);
  wait.dependencies = starts;
  for (const ObservedContainer* observed : lifecycle.ContainersOf(dependency.service)) {
    wait.wait_for.push_back(TargetOf(*observed));
  }
  if (wait.wait_for.empty()) return -1;
  return lifecycle.builder.Add(std::move(wait));
}

}  // namespace

Result<Plan> MakeStopPlan(const LifecycleInput& input, std::optional<engine::Nanoseconds> timeout) {
  Lifecycle lifecycle(input);
  SKIFF_TRY(lifecycle.CheckServices());
  const std::set<std::string> selected = lifecycle.Selected();
  std::vector<std::string> order = lifecycle.graph().InOrder();
  std::reverse(order.begin(), order.end());
  OperationsOf stops;
  for (const std::string& service : order) {
    const std::vector<int> after = OfDependents(lifecycle.graph(), service, stops);
    std::vector<int>& mine = stops[service];
    if (selected.count(service)) {
      for (const ObservedContainer* observed : lifecycle.ContainersOf(service)) {
        if (!IsActive(observed->container.state)) continue;
        mine.push_back(lifecycle.builder.AddStop(*observed, "stop", after, timeout));
      }
    }
    if (mine.empty()) mine = after;
  }
  return WithHooks(std::move(lifecycle.plan), input.model);
}

Result<Plan> MakeStartPlan(const LifecycleInput& input, const StartPlanOptions& options) {
  Lifecycle lifecycle(input);
  SKIFF_TRY(lifecycle.CheckServices());
  const std::set<std::string> selected = lifecycle.Selected();
  const std::set<std::string> scope =
      lifecycle.graph().WithDependencies({selected.begin(), selected.end()});
  OperationsOf starts;
  for (const std::string& service : lifecycle.graph().InOrder()) {
    if (!scope.count(service)) continue;
    const std::vector<const ObservedContainer*> containers = lifecycle.ContainersOf(service);
    if (containers.empty()) {
      const bool named = std::count(input.services.begin(), input.services.end(), service) > 0;
      if (named || input.services.empty()) {
        if (input.model && input.model->services.at(service).scale.value_or(1) == 0) continue;
        return Fail(Code::kFailedPrecondition,
                    fmt::format("service \"{}\" has no container to start", service));
      }
      continue;
    }
    std::vector<int> after;
    const bool any_starts = std::any_of(
        containers.begin(), containers.end(),
        [](const ObservedContainer* observed) { return !IsActive(observed->container.state); });
    for (const schema::Dependency& dependency : lifecycle.graph().DependenciesOf(service)) {
      const std::vector<int>& before = starts[dependency.service];
      if (dependency.condition == schema::DependencyCondition::kStarted) {
        after.insert(after.end(), before.begin(), before.end());
      } else if (any_starts) {
        after.push_back(AddWait(lifecycle, service, dependency, before));
      }
    }
    for (const ObservedContainer* observed : containers) {
      if (IsActive(observed->container.state)) continue;
      Operation start = PlanBuilder::About(OperationKind::kStartContainer, *observed, "start");
      start.dependencies = after;
      starts[service].push_back(lifecycle.builder.Add(std::move(start)));
    }
    if (options.wait && selected.count(service)) {
      Operation wait;
      wait.kind = OperationKind::kWait;
      wait.name = wait.service = service;
      wait.condition = WaitCondition::kRunningOrHealthy;
      wait.cause = "--wait";
      wait.wait_timeout = options.wait_timeout;
      wait.dependencies = starts[service];
      for (const ObservedContainer* observed : containers) {
        wait.wait_for.push_back(TargetOf(*observed));
      }
      lifecycle.builder.Add(std::move(wait));
    }
  }
  return WithHooks(std::move(lifecycle.plan), input.model);
}

Result<Plan> MakeRestartPlan(const LifecycleInput& input,
                             std::optional<engine::Nanoseconds> timeout, bool no_deps) {
  Lifecycle lifecycle(input);
  SKIFF_TRY(lifecycle.CheckServices());
  std::set<std::string> restarted = lifecycle.Selected();
  std::map<std::string, std::string> causes;
  if (!no_deps) {
    std::vector<std::string> pending(restarted.begin(), restarted.end());
    while (!pending.empty()) {
      const std::string service = std::move(pending.back());
      pending.pop_back();
      for (const std::string& dependent : lifecycle.graph().RestartedWith(service)) {
        if (!restarted.insert(dependent).second) continue;
        causes[dependent] = fmt::format("dependency '{}' is restarted", service);
        pending.push_back(dependent);
      }
    }
  }
  OperationsOf restarts;
  for (const std::string& service : lifecycle.graph().InOrder()) {
    std::vector<int> after;
    for (const schema::Dependency& dependency : lifecycle.graph().DependenciesOf(service)) {
      const std::vector<int>& before = restarts[dependency.service];
      after.insert(after.end(), before.begin(), before.end());
    }
    std::vector<int>& mine = restarts[service];
    if (restarted.count(service)) {
      const auto cause = causes.find(service);
      for (const ObservedContainer* observed : lifecycle.ContainersOf(service)) {
        Operation restart = PlanBuilder::About(OperationKind::kRestartContainer, *observed,
                                               cause == causes.end() ? "restart" : cause->second);
        restart.dependencies = after;
        restart.stop.timeout = timeout;
        mine.push_back(lifecycle.builder.Add(std::move(restart)));
      }
    }
    if (mine.empty()) mine = after;
  }
  return WithHooks(std::move(lifecycle.plan), input.model);
}

Result<Plan> MakeKillPlan(const LifecycleInput& input, int signal, bool orphans) {
  Lifecycle lifecycle(input);
  SKIFF_TRY(lifecycle.CheckServices());
  const std::set<std::string> selected = lifecycle.Selected();
  for (const ObservedContainer& observed : *input.containers) {
    if (observed.oneoff || !IsActive(observed.container.state)) continue;
    const bool orphan = !lifecycle.graph().Contains(observed.service);
    if (orphan ? !orphans : !selected.count(observed.service)) continue;
    Operation kill = PlanBuilder::About(OperationKind::kKillContainer, observed, "kill");
    kill.signal = signal;
    lifecycle.builder.Add(std::move(kill));
  }
  return std::move(lifecycle.plan);
}

Result<Plan> MakePausePlan(const LifecycleInput& input, bool pause) {
  Lifecycle lifecycle(input);
  SKIFF_TRY(lifecycle.CheckServices());
  for (const std::string& service : lifecycle.Selected()) {
    for (const ObservedContainer* observed : lifecycle.ContainersOf(service)) {
      if (!IsActive(observed->container.state)) continue;
      const OperationKind kind =
          pause ? OperationKind::kPauseContainer : OperationKind::kUnpauseContainer;
      if (!pause && observed->container.state.status != engine::ContainerStatus::kPaused) continue;
      lifecycle.builder.Add(PlanBuilder::About(kind, *observed, pause ? "pause" : "unpause"));
    }
  }
  return std::move(lifecycle.plan);
}

Result<Plan> MakeRmPlan(const LifecycleInput& input, bool stop, bool volumes) {
  Lifecycle lifecycle(input);
  SKIFF_TRY(lifecycle.CheckServices());
  if (stop) {
    SKIFF_ASSIGN(lifecycle.plan, MakeStopPlan(input, std::nullopt));
  }
  std::map<std::string, int> stops;
  for (size_t i = 0; i < lifecycle.plan.operations.size(); ++i) {
    stops[lifecycle.plan.operations[i].container.id] = static_cast<int>(i);
  }
  const std::set<std::string> selected = lifecycle.Selected();
  for (const ObservedContainer& observed : *input.containers) {
    if (observed.oneoff || !selected.count(observed.service)) continue;
    const bool active = IsActive(observed.container.state);
    if (active && !stop) continue;
    const auto stopped = stops.find(observed.container.id);
    lifecycle.builder.AddRemove(observed, "rm", {stopped == stops.end() ? -1 : stopped->second},
                                volumes);
  }
  return std::move(lifecycle.plan);
}

}  // namespace skiff::compose
