// Verbs that act on containers that exist: down, stop, start, restart, kill, rm, pause.
#include <fmt/format.h>

#include <csignal>
#include <cstring>

#include "base/atomic_file.h"
#include "base/text.h"
#include "compose/planner/lifecycle_planner.h"
#include "compose/planner/plan_builder.h"
#include "compose/use_case/use_case.h"

namespace skiff::compose {
namespace {

// What the planners of these verbs get; owns the listing.
struct Subject {
  std::shared_ptr<void> lock;
  std::vector<ObservedContainer> containers;
  LifecycleInput input;
};

Result<std::unique_ptr<Subject>> Look(const Context& context, const ProjectRef& project,
                                      const std::vector<std::string>& services) {
  auto subject = std::make_unique<Subject>();
  SKIFF_ASSIGN(subject->lock, LockProject(context, project.name));
  SKIFF_ASSIGN(subject->containers, ObserveContainers(*context.engine, project.name));
  subject->input = {project.name, project.model, &subject->containers, services};
  if (project.model == nullptr && subject->containers.empty()) {
    return Fail(Code::kNotFound,
                fmt::format("no container found for project \"{}\": not found", project.name));
  }
  return subject;
}

// "SIGHUP", "hup", "1".
Result<int> ParseSignal(std::string_view text) {
  if (const auto number = ParseNumber<int>(text)) {
    if (*number > 0 && *number <= SIGRTMAX) return *number;
  }
  std::string_view name = text;
  if (name.size() > 3 && EqualsIgnoreCase(name.substr(0, 3), "SIG")) name.remove_prefix(3);
  for (int number = 1; number < SIGRTMIN; ++number) {
    const char* known = sigabbrev_np(number);
    if (known != nullptr && EqualsIgnoreCase(name, known)) return number;
  }
  return Fail(Code::kInvalidArgument, fmt::format("invalid signal: {}", text));
}

void Warn(const Context& context, std::string message) {
  context.progress->Diagnose({Severity::kWarning, Error(Code::kNotFound, std::move(message))});
}

}  // namespace

Status Down(const Context& context, const ProjectRef& project, const DownOptions& options) {
  if (!options.rmi.empty() && options.rmi != "local" && options.rmi != "all") {
    return Fail(Code::kInvalidArgument,
                fmt::format("invalid value for --rmi: \"{}\"", options.rmi));
  }
  SKIFF_ASSIGN(std::shared_ptr<void> lock, LockProject(context, project.name));
  SKIFF_ASSIGN(const Observed observed, Observe(*context.engine, project.name));
  DownPlanOptions plan_options;
  plan_options.services = options.services;
  plan_options.volumes = options.volumes;
  plan_options.remove_orphans = options.remove_orphans;
  plan_options.timeout = ToNanoseconds(options.timeout);
  plan_options.rmi = options.rmi;
  SKIFF_ASSIGN(const Plan plan, MakeDownPlan(project.name, project.model, observed, plan_options));
  if (plan.empty() && !context.plan_sink) {
    Warn(context, fmt::format("No resource found to remove for project \"{}\".", project.name));
    return {};
  }
  SKIFF_TRY(CarryOut(context, plan, "down"));
  if (context.plan_sink || !options.services.empty()) return {};
  return RemoveTree(FileDirectory(context, project.name));
}

Status Stop(const Context& context, const ProjectRef& project, const StopOptions& options) {
  SKIFF_ASSIGN(const auto subject, Look(context, project, options.services));
  SKIFF_ASSIGN(const Plan plan, MakeStopPlan(subject->input, ToNanoseconds(options.timeout)));
  return CarryOut(context, plan, "stop");
}

Status Start(const Context& context, const ProjectRef& project, const StartOptions& options) {
  SKIFF_ASSIGN(const auto subject, Look(context, project, options.services));
  StartPlanOptions plan_options;
  plan_options.wait = options.wait;
  plan_options.wait_timeout = ToNanoseconds(options.wait_timeout);
  SKIFF_ASSIGN(Plan plan, MakeStartPlan(subject->input, plan_options));
  return CarryOut(context, plan, "start");
}

Status Restart(const Context& context, const ProjectRef& project, const RestartOptions& options) {
  SKIFF_ASSIGN(const auto subject, Look(context, project, options.services));
  SKIFF_ASSIGN(const Plan plan,
               MakeRestartPlan(subject->input, ToNanoseconds(options.timeout), options.no_deps));
  return CarryOut(context, plan, "restart");
}

Status Kill(const Context& context, const ProjectRef& project, const KillOptions& options) {
  SKIFF_ASSIGN(const int signal, ParseSignal(options.signal));
  SKIFF_ASSIGN(const auto subject, Look(context, project, options.services));
  SKIFF_ASSIGN(const Plan plan, MakeKillPlan(subject->input, signal, options.remove_orphans));
  if (plan.empty() && !context.plan_sink) {
    Warn(context, "No container to kill");
    return {};
  }
  return CarryOut(context, plan, "kill");
}

Status Rm(const Context& context, const ProjectRef& project, const RmOptions& options) {
  SKIFF_ASSIGN(const auto subject, Look(context, project, options.services));
  SKIFF_ASSIGN(const Plan plan, MakeRmPlan(subject->input, options.stop, options.volumes));
  std::vector<std::string> names;
  for (const Operation& operation : plan.operations) {
    if (operation.kind == OperationKind::kRemoveContainer) names.push_back(operation.name);
  }
  if (names.empty() && !context.plan_sink) {
    context.progress->Message("No stopped containers");
    return {};
  }
  if (!context.plan_sink && options.confirm && !options.confirm(names)) return {};
  return CarryOut(context, plan, "remove");
}

Status Pause(const Context& context, const ProjectRef& project,
             const std::vector<std::string>& services) {
  SKIFF_ASSIGN(const auto subject, Look(context, project, services));
  SKIFF_ASSIGN(const Plan plan, MakePausePlan(subject->input, true));
  return CarryOut(context, plan, "pause");
}

Status Unpause(const Context& context, const ProjectRef& project,
               const std::vector<std::string>& services) {
  SKIFF_ASSIGN(const auto subject, Look(context, project, services));
  SKIFF_ASSIGN(const Plan plan, MakePausePlan(subject->input, false));
  return CarryOut(context, plan, "unpause");
}

}  // namespace skiff::compose
