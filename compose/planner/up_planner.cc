#include "compose/planner/up_planner.h"

#include <fmt/format.h>

#include <algorithm>

#include "compose/labels.h"
#include "compose/planner/hooks.h"

namespace skiff::compose {

Result<Plan> UpPlanner::Make() {
  plan_.project = project_.name;
  SKIFF_TRY(SelectServices());
  std::vector<Error> errors;
  for (const std::string& name : order_) CheckReplicas(services_.at(name), errors);
  CheckHostPorts(errors);
  CheckExternals(errors);
  SKIFF_TRY(DecideServices());
  CheckImages(errors);
  CheckHealthchecks(errors);
  if (!errors.empty()) return Fail(CombineErrors(std::move(errors)));
  WarnAboutOrphans();
  WarnAboutKeys();

  EmitNetworks();
  EmitVolumes();
  SKIFF_TRY(EmitCreates());
  EmitStopsAndRemovals();
  if (options_.remove_orphans) EmitOrphanRemovals();
  if (options_.start) SKIFF_TRY(EmitStarts());
  if (options_.start && options_.wait) EmitFinalWaits();
  return std::move(plan_);
}

Status UpPlanner::EmitCreates() {
  for (const std::string& name : order_) {
    ServicePlan& plan = services_.at(name);
    for (Replica& replica : plan.replicas) {
      if (replica.existing == nullptr || replica.recreate) SKIFF_TRY(EmitCreate(plan, replica));
      if (replica.existing && !replica.recreate && replica.start_cause.empty()) {
        plan_.unchanged.push_back(replica.name);
      }
    }
  }
  return {};
}

Status UpPlanner::EmitCreate(ServicePlan& plan, Replica& replica) {
  const schema::Service& service = *plan.service;
  TranslateOptions translate;
  translate.number = replica.number;
  translate.file_dir = options_.file_dir;
  if (plan.image) translate.image_id = plan.image->id;
  SKIFF_ASSIGN(TranslatedService translated, TranslateService(project_, service, translate));
  Operation create;
  create.kind = OperationKind::kCreateContainer;
  create.stage = Operation::Stage::kDeclare;
  create.name = replica.name;
  create.service = service.name;
  create.cause = replica.cause;
  create.span = service.span;
  create.recreate = replica.recreate;
  for (const schema::ServiceNetwork& network : service.networks) {
    if (const auto op = network_ops_.find(network.network); op != network_ops_.end()) {
      create.dependencies.push_back(op->second);
    }
  }
  for (const schema::VolumeMount& mount : service.volumes) {
    if (mount.type != schema::VolumeMountType::kVolume || mount.source.empty()) continue;
    if (const auto op = volume_ops_.find(mount.source); op != volume_ops_.end()) {
      create.dependencies.push_back(op->second);
    }
  }
  SKIFF_TRY(ResolveReferences(plan, translated, create));
  create.container_config = std::move(translated.config);
  if (replica.existing) {
    create.container_config.replaces = replica.existing->container.id;
    create.container_config.labels[std::string(kReplaceLabel)] = replica.name;
    if (!options_.renew_anon_volumes) {
      InheritAnonymousVolumes(plan, replica, create.container_config);
    }
  }
  replica.create_op = builder_.Add(std::move(create));
  return {};
}

void UpPlanner::InheritAnonymousVolumes(const ServicePlan& plan, const Replica& replica,
                                        engine::ContainerConfig& config) const {
  for (const engine::Mount& old : replica.existing->container.mounts) {
    if (old.kind != engine::MountKind::kVolume || old.name.empty()) continue;
    // Once carried over it is mounted by its name, and still nobody's but this service's.
    const auto volume = observed_.volumes.find(old.name);
    const bool anonymous =
        old.anonymous || (volume != observed_.volumes.end() && volume->second.anonymous);
    if (!anonymous) continue;
    const auto wanted =
        std::find_if(config.mounts.begin(), config.mounts.end(),
                     [&](const engine::MountRequest& mount) { return mount.target == old.target; });
    if (wanted != config.mounts.end()) {
      if (wanted->kind == engine::MountKind::kVolume && wanted->source.empty()) {
        wanted->source = old.name;
      }
      continue;
    }
    if (plan.image == nullptr) continue;
    const std::vector<std::string>& declared = plan.image->config.volumes;
    if (std::find(declared.begin(), declared.end(), old.target) == declared.end()) continue;
    engine::MountRequest mount;
    mount.kind = engine::MountKind::kVolume;
    mount.source = old.name;
    mount.target = old.target;
    config.mounts.push_back(std::move(mount));
  }
}

Status UpPlanner::ResolveReferences(const ServicePlan& plan, const TranslatedService& translated,
                                    Operation& operation) const {
  using Field = ContainerReference::Field;
  for (const ServiceReference& reference : translated.references) {
    ContainerReference resolved;
    resolved.field = reference.field;
    resolved.suffix = reference.suffix;
    bool found = false;
    const auto target = services_.find(reference.service);
    if (target != services_.end() && !target->second.replicas.empty()) {
      const Replica& replica = target->second.replicas.front();
      resolved.target.name = replica.name;
      resolved.target.created_by = replica.create_op;
      if (replica.create_op < 0) resolved.target.id = replica.existing->container.id;
      if (replica.create_op >= 0) operation.dependencies.push_back(replica.create_op);
      found = true;
    }
    for (const ObservedContainer& existing : observed_.containers) {
      if (found || existing.oneoff || existing.service != reference.service) continue;
      resolved.target = TargetOf(existing);
      found = true;
    }
    if (!found) {
      const std::string_view what = reference.field == Field::kVolumesFrom ? "volume with"
                                    : reference.field == Field::kPid       ? "PID namespace with"
                                    : reference.field == Field::kIpc       ? "IPC namespace with"
                                                                     : "network namespace with";
      return Fail(Error(Code::kFailedPrecondition,
                        fmt::format("cannot share {} service {}: container missing", what,
                                    reference.service))
                      .At(plan.service->span));
    }
    operation.references.push_back(std::move(resolved));
  }
  return {};
}

void UpPlanner::EmitStopsAndRemovals() {
  std::map<std::string, std::vector<int>> dependent_stops;
  // Dependents with `restart: true` stop before what they depend on goes.
  for (const std::string& name : order_) {
    for (Replica& replica : services_.at(name).replicas) {
      const bool stays = replica.existing && !replica.recreate && !replica.start_cause.empty();
      if (!stays || replica.stop_op >= 0 || !IsActive(replica.existing->container.state) ||
          replica.existing->container.state.status == engine::ContainerStatus::kPaused) {
        continue;
      }
      replica.stop_op =
          builder_.AddStop(*replica.existing, replica.start_cause, {}, options_.stop_timeout);
      for (const schema::Dependency& dependency : graph_.DependenciesOf(name)) {
        if (dependency.restart) dependent_stops[dependency.service].push_back(replica.stop_op);
      }
    }
  }
  const auto free_ports = [&](const ObservedContainer& existing, int operation) {
    for (const engine::PublishedPort& port : existing.container.ports) {
      if (port.host_port) freed_ports_[{port.protocol, port.host_port}].push_back(operation);
    }
  };
  for (const std::string& name : order_) {
    ServicePlan& plan = services_.at(name);
    for (Replica& replica : plan.replicas) {
      if (!replica.recreate) continue;
      std::vector<int> before_removal = {replica.stop_op, replica.create_op};
      if (replica.stop_op < 0 && IsActive(replica.existing->container.state)) {
        std::vector<int> after = dependent_stops[name];
        after.push_back(replica.create_op);
        replica.stop_op =
            builder_.AddStop(*replica.existing, replica.cause, after, options_.stop_timeout);
        builder_.at(replica.stop_op).recreate = true;
        before_removal = {replica.stop_op};
      }
      // Volumes that were carried over belong to the new container now.
      replica.remove_op = builder_.AddRemove(*replica.existing, replica.cause, before_removal,
                                             options_.renew_anon_volumes);
      builder_.at(replica.remove_op).recreate = true;
      builder_.at(replica.remove_op).name = replica.name;
      free_ports(*replica.existing, replica.remove_op);
    }
    for (Removal& removal : plan.removals) {
      int last = -1;
      if (IsActive(removal.existing->container.state)) {
        last = builder_.AddStop(*removal.existing, removal.cause, {}, options_.stop_timeout);
      }
      removal.remove_op = builder_.AddRemove(*removal.existing, removal.cause, {last}, true);
      free_ports(*removal.existing, removal.remove_op);
    }
  }
}

void UpPlanner::EmitOrphanRemovals() {
  for (const ObservedContainer& observed : observed_.containers) {
    const bool known = project_.services.count(observed.service) > 0 ||
                       project_.disabled_services.count(observed.service) > 0;
    const bool active = IsActive(observed.container.state);
    if (known && !(observed.oneoff && !active)) continue;
    if (!known && observed.oneoff && active) continue;
    const std::string cause = observed.oneoff ? "leftover of run" : "orphan";
    int last = -1;
    if (active) last = builder_.AddStop(observed, cause, {}, options_.stop_timeout);
    const int removed = builder_.AddRemove(observed, cause, {last}, false);
    for (const engine::PublishedPort& port : observed.container.ports) {
      if (port.host_port) freed_ports_[{port.protocol, port.host_port}].push_back(removed);
    }
  }
}

Status UpPlanner::EmitStarts() {
  for (const std::string& name : order_) {
    ServicePlan& plan = services_.at(name);
    bool any = plan.prepare_only;
    for (const Replica& replica : plan.replicas) any = any || !replica.start_cause.empty();
    if (!any) continue;
    // Files of containers that only start again are looked after, too: they live in a folder that
    // does not survive a reboot.
    SKIFF_TRY(AddFiles(plan));
    const std::vector<int> dependencies = DependencyOperations(plan);
    for (Replica& replica : plan.replicas) {
      if (replica.start_cause.empty()) continue;
      std::vector<int>& after = replica.start_after;
      after.insert(after.end(), dependencies.begin(), dependencies.end());
      replica.start_op = EmitStart(plan, replica);
    }
  }
  return {};
}

int UpPlanner::EmitStart(ServicePlan& plan, Replica& replica) {
  Operation start;
  start.kind = OperationKind::kStartContainer;
  start.name = replica.name;
  start.service = plan.service->name;
  start.cause = replica.start_cause;
  start.span = plan.service->span;
  if (replica.create_op >= 0) {
    start.container = {"", replica.create_op, replica.name};
  } else {
    start.container = TargetOf(*replica.existing);
    if (replica.existing->container.state.status == engine::ContainerStatus::kPaused &&
        replica.stop_op < 0) {
      start.kind = OperationKind::kUnpauseContainer;
    }
  }
  start.dependencies = replica.start_after;
  if (replica.remove_op >= 0) {
    start.dependencies.push_back(replica.remove_op);
  } else {
    start.dependencies.insert(start.dependencies.end(), {replica.create_op, replica.stop_op});
  }
  for (const schema::Port& port : plan.service->ports) {
    const auto request = TranslatePort(port);
    if (!request || request->host_port == 0) continue;
    const uint32_t last = std::max(request->host_port, request->host_port_last);
    for (uint32_t number = request->host_port; number <= last; ++number) {
      const auto freed = freed_ports_.find({request->protocol, static_cast<uint16_t>(number)});
      if (freed == freed_ports_.end()) continue;
      start.dependencies.insert(start.dependencies.end(), freed->second.begin(),
                                freed->second.end());
    }
  }
  return builder_.Add(std::move(start));
}

std::vector<int> UpPlanner::DependencyOperations(const ServicePlan& plan) {
  std::vector<int> operations;
  for (const schema::Dependency& dependency : graph_.DependenciesOf(plan.service->name)) {
    const auto target = services_.find(dependency.service);
    if (target == services_.end() || target->second.scale == 0) continue;
    if (dependency.condition == schema::DependencyCondition::kStarted) {
      for (const Replica& replica : target->second.replicas) {
        operations.push_back(replica.start_op);
      }
    } else {
      operations.push_back(WaitFor(plan, dependency));
    }
  }
  return operations;
}

// One wait serves all dependents that want the same.
int UpPlanner::WaitFor(const ServicePlan& dependent, const schema::Dependency& dependency) {
  const WaitCondition condition = dependency.condition == schema::DependencyCondition::kHealthy
                                      ? WaitCondition::kHealthy
                                      : WaitCondition::kCompletedSuccessfully;
  const ServicePlan& target = services_.at(dependency.service);
  if (AlreadyTrue(target, condition)) return -1;
  const auto key = std::make_tuple(dependency.service, condition, dependency.required);
  if (const auto made = wait_ops_.find(key); made != wait_ops_.end()) {
    builder_.at(made->second).cause += fmt::format(", '{}'", dependent.service->name);
    return made->second;
  }
  Operation wait = WaitOperation(target, condition);
  wait.cause = fmt::format("{} is needed by '{}'", ConditionName(dependency.condition),
                           dependent.service->name);
  wait.span = dependency.span;
  wait.required = dependency.required;
  return wait_ops_[key] = builder_.Add(std::move(wait));
}

Operation UpPlanner::WaitOperation(const ServicePlan& plan, WaitCondition condition) const {
  Operation wait;
  wait.kind = OperationKind::kWait;
  wait.name = plan.service->name;
  wait.service = plan.service->name;
  wait.condition = condition;
  wait.exit_zero_is_success = IsWaitedForCompletion(plan.service->name);
  for (const Replica& replica : plan.replicas) {
    ContainerTarget target{"", replica.create_op, replica.name};
    if (replica.create_op < 0) target.id = replica.existing->container.id;
    wait.wait_for.push_back(std::move(target));
    wait.dependencies.push_back(replica.start_op);
  }
  return wait;
}

bool UpPlanner::AlreadyTrue(const ServicePlan& plan, WaitCondition condition) const {
  return std::all_of(plan.replicas.begin(), plan.replicas.end(), [&](const Replica& replica) {
    if (replica.create_op >= 0 || replica.start_op >= 0) return false;
    const engine::ContainerState& state = replica.existing->container.state;
    const bool running = state.status == engine::ContainerStatus::kRunning;
    const bool done = state.status == engine::ContainerStatus::kExited && state.exit_code == 0;
    switch (condition) {
      case WaitCondition::kHealthy:
        return running && state.health == engine::HealthStatus::kHealthy;
      case WaitCondition::kCompletedSuccessfully:
        return done;
      case WaitCondition::kRunningOrHealthy:
        if (done) return IsWaitedForCompletion(plan.service->name);
        return running && (state.health == engine::HealthStatus::kHealthy ||
                           state.health == engine::HealthStatus::kNone);
    }
    return false;
  });
}

void UpPlanner::EmitFinalWaits() {
  for (const std::string& name : order_) {
    const ServicePlan& plan = services_.at(name);
    if (plan.replicas.empty() || AlreadyTrue(plan, WaitCondition::kRunningOrHealthy)) continue;
    Operation wait = WaitOperation(plan, WaitCondition::kRunningOrHealthy);
    wait.cause = "--wait";
    wait.span = plan.service->span;
    wait.wait_timeout = options_.wait_timeout;
    builder_.Add(std::move(wait));
  }
}

Status UpPlanner::AddFiles(const ServicePlan& plan) {
  if (plan.service->configs.empty() && plan.service->secrets.empty()) return {};
  TranslateOptions translate;
  translate.file_dir = options_.file_dir;
  SKIFF_ASSIGN(TranslatedService translated, TranslateService(project_, *plan.service, translate));
  for (WrittenFile& file : translated.files) {
    if (std::count(written_paths_.begin(), written_paths_.end(), file.path)) continue;
    written_paths_.push_back(file.path);
    plan_.files.push_back(std::move(file));
  }
  return {};
}

Result<Plan> MakePlan(const schema::Project& project, const Observed& observed,
                      const PlanOptions& options) {
  SKIFF_ASSIGN(Plan plan, UpPlanner(project, observed, options).Make());
  return WithHooks(std::move(plan), &project);
}

}  // namespace skiff::compose
