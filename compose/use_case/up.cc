#include <fmt/format.h>

#include <algorithm>

#include "compose/planner/plan_builder.h"
#include "compose/use_case/attached_up.h"
#include "compose/use_case/use_case.h"

namespace skiff::compose {
namespace {

Status CheckOptions(const schema::Project& project, const UpOptions& options) {
  const CreateOptions& create = options.create;
  if (create.force_recreate && create.no_recreate) {
    return Fail(Code::kInvalidArgument, "--force-recreate and --no-recreate are incompatible");
  }
  if (create.no_recreate && create.renew_anon_volumes) {
    return Fail(Code::kInvalidArgument, "--no-recreate and --renew-anon-volumes are incompatible");
  }
  if (create.no_recreate && create.always_recreate_deps) {
    return Fail(Code::kInvalidArgument,
                "--always-recreate-deps and --no-recreate are incompatible");
  }
  if (create.remove_orphans && create.ignore_orphans) {
    return Fail(Code::kInvalidArgument,
                "cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans");
  }
  std::vector<std::string> named = options.attach;
  named.insert(named.end(), options.no_attach.begin(), options.no_attach.end());
  if (!options.exit_code_from.empty()) named.push_back(options.exit_code_from);
  return CheckServices({project.name, &project}, {}, named);
}

PlanOptions UpPlanOptions(const Context& context, const schema::Project& project,
                          const UpOptions& options) {
  PlanOptions result = PlanOptionsOf(context, project.name, options.create);
  result.start = !options.no_start;
  result.wait = options.wait;
  result.wait_timeout = ToNanoseconds(options.wait_timeout);
  return result;
}

Result<Plan> ObserveAndPlan(const Context& context, const schema::Project& project,
                            const PlanOptions& options) {
  SKIFF_ASSIGN(const Observed observed, Observe(*context.engine, project.name));
  return MakePlan(project, observed, options);
}

}  // namespace

Result<Plan> PlanUp(const Context& context, const schema::Project& project,
                    const UpOptions& options) {
  SKIFF_TRY(CheckOptions(project, options));
  return ObserveAndPlan(context, project, UpPlanOptions(context, project, options));
}

Result<int> Up(const Context& context, const schema::Project& project, const UpOptions& options) {
  SKIFF_ASSIGN(std::shared_ptr<void> lock, LockProject(context, project.name));
  SKIFF_ASSIGN(const Plan plan, PlanUp(context, project, options));
  const bool attached = !options.detach && !options.wait && !options.no_start;
  if (attached && !context.plan_sink) {
    return AttachedUp(context, project, options, plan, std::move(lock));
  }
  SKIFF_TRY(CarryOut(context, plan, options.no_start ? "create" : "up"));
  return 0;
}

Status Create(const Context& context, const schema::Project& project,
              const CreateOptions& options) {
  UpOptions up;
  up.create = options;
  up.no_start = true;
  SKIFF_TRY(Up(context, project, up));
  return {};
}

Status Scale(const Context& context, const schema::Project& project, const ScaleOptions& options) {
  SKIFF_ASSIGN(std::shared_ptr<void> lock, LockProject(context, project.name));
  PlanOptions plan_options = PlanOptionsOf(context, project.name, {});
  plan_options.scale = options.scale;
  plan_options.no_deps = options.no_deps;
  for (const auto& [service, replicas] : options.scale) plan_options.services.push_back(service);
  SKIFF_ASSIGN(const Plan plan, ObserveAndPlan(context, project, plan_options));
  return CarryOut(context, plan, "scale");
}

}  // namespace skiff::compose
