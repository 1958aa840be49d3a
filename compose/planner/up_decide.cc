// Which replicas of each service stay, go, come or change, and why.
#include <fmt/format.h>

#include <algorithm>

#include "base/identity.h"
#include "base/text.h"
#include "compose/labels.h"
#include "compose/model_diff.h"
#include "compose/planner/up_planner.h"

namespace skiff::compose {
namespace {

std::string ShortImage(const std::string& id) {
  constexpr std::string_view kAlgorithm = "sha256:";
  const size_t prefix = id.starts_with(kAlgorithm) ? kAlgorithm.size() : 0;
  return id.substr(0, prefix + 12);
}

}  // namespace

Status UpPlanner::DecideServices() {
  for (const std::string& name : order_) {
    SKIFF_TRY(DecideService(services_.at(name)));
  }
  DecideDependents();
  return {};
}

Status UpPlanner::DecideService(ServicePlan& plan) {
  struct Candidate {
    const ObservedContainer* existing;
    std::string cause;
  };
  std::vector<Candidate> candidates;
  int highest = 0;
  for (const ObservedContainer& existing : observed_.containers) {
    if (existing.service != plan.service->name || existing.oneoff) continue;
    SKIFF_ASSIGN(std::string cause, RecreateCause(plan, existing));
    candidates.push_back({&existing, std::move(cause)});
    highest = std::max(highest, existing.number);
  }
  if (plan.prepare_only) {
    // Nothing of it is touched; `run` may still share its namespaces or wait for nothing.
    return {};
  }
  // Those that would have to change go first when there are too many, then the highest numbers.
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     if (a.cause.empty() != b.cause.empty()) return a.cause.empty();
                     return a.existing->number < b.existing->number;
                   });
  const int before = static_cast<int>(candidates.size());
  const std::string scale_cause = fmt::format("scale {} -> {}", before, plan.scale);
  for (int i = 0; i < before; ++i) {
    Candidate& candidate = candidates[static_cast<size_t>(i)];
    if (i >= plan.scale) {
      plan.removals.push_back({candidate.existing, scale_cause, -1});
      continue;
    }
    Replica replica;
    replica.existing = candidate.existing;
    replica.number = candidate.existing->number;
    replica.name = DisplayName(candidate.existing->container);
    replica.recreate = !candidate.cause.empty();
    replica.cause = std::move(candidate.cause);
    if (replica.recreate) {
      plan.recreated = true;
      replica.name = ContainerName(project_.name, *plan.service, replica.number);
    }
    DecideStart(plan, replica);
    plan.replicas.push_back(std::move(replica));
  }
  for (int i = before; i < plan.scale; ++i) {
    Replica replica;
    replica.number = ++highest;
    replica.name = ContainerName(project_.name, *plan.service, replica.number);
    replica.cause = before == 0 ? "new service" : scale_cause;
    DecideStart(plan, replica);
    plan.replicas.push_back(std::move(replica));
  }
  std::stable_sort(plan.replicas.begin(), plan.replicas.end(),
                   [](const Replica& a, const Replica& b) { return a.number < b.number; });
  return {};
}

Result<std::string> UpPlanner::RecreateCause(const ServicePlan& plan,
                                             const ObservedContainer& existing) const {
  const schema::Service& service = *plan.service;
  const bool is_selected = selected_.count(service.name) > 0;
  if (options_.no_recreate) return std::string();
  if (is_selected && options_.force_recreate) return std::string("recreation is forced");
  if (!is_selected && options_.always_recreate_deps) {
    return std::string("recreation of dependencies is forced");
  }
  if (std::string cause = SharedParentCause(plan); !cause.empty()) return cause;
  // Made by something older, or by hand: left alone (compose.md 4.7).
  if (existing.config_hash.empty()) return std::string();
  if (existing.config_hash != Sha256Hex(service.hashed_json)) {
    const auto& annotations = existing.container.annotations;
    const auto before = annotations.find(std::string(kServiceAnnotation));
    std::string cause =
        before == annotations.end() ? "" : DescribeModelChange(before->second, service.hashed_json);
    return cause.empty() ? std::string("configuration changed") : cause;
  }
  if (plan.image != nullptr && !existing.container.image_id.empty() &&
      existing.container.image_id != plan.image->id) {
    return fmt::format("image changed: {} -> {}", ShortImage(existing.container.image_id),
                       ShortImage(plan.image->id));
  }
  if (!service.configs.empty() || !service.secrets.empty()) {
    TranslateOptions translate;
    translate.file_dir = options_.file_dir;
    SKIFF_ASSIGN(TranslatedService wanted, TranslateService(project_, service, translate));
    const auto& annotations = existing.container.annotations;
    const auto before = annotations.find(std::string(kGrantsAnnotation));
    if ((before == annotations.end() ? "" : before->second) !=
        wanted.config.annotations[std::string(kGrantsAnnotation)]) {
      return std::string("content of a config or secret changed");
    }
  }
  return MountCause(plan, existing);
}

std::string UpPlanner::SharedParentCause(const ServicePlan& plan) const {
  const schema::Service& service = *plan.service;
  const auto recreated = [&](const std::string& parent) {
    const auto found = services_.find(parent);
    return found != services_.end() && found->second.recreated;
  };
  for (const std::string* mode : {&service.network_mode, &service.ipc, &service.pid}) {
    if (mode->starts_with("service:") && recreated(mode->substr(8))) {
      return fmt::format("it shares a namespace of service '{}', which is recreated",
                         mode->substr(8));
    }
  }
  for (const std::string& from : service.volumes_from) {
    const std::string parent = from.substr(0, from.find(':'));
    if (parent != "container" && recreated(parent)) {
      return fmt::format("it shares volumes of service '{}', which is recreated", parent);
    }
  }
  return "";
}

// A network or volume the model wants, under the name it has now, that the container lacks.
std::string UpPlanner::MountCause(const ServicePlan& plan,
                                  const ObservedContainer& existing) const {
  const engine::Container& container = existing.container;
  if (container.state.status == engine::ContainerStatus::kRunning) {
    for (const schema::ServiceNetwork& wanted : plan.service->networks) {
      const auto network = project_.networks.find(wanted.network);
      if (network == project_.networks.end()) continue;
      const std::string& name = network->second.name;
      const bool connected =
          std::any_of(container.endpoints.begin(), container.endpoints.end(),
                      [&](const engine::Endpoint& endpoint) {
                        return endpoint.network == name || endpoint.network_id.starts_with(name);
                      });
      if (!connected) return fmt::format("it is not connected to network '{}'", name);
    }
  }
  for (const schema::VolumeMount& wanted : plan.service->volumes) {
    if (wanted.type != schema::VolumeMountType::kVolume || wanted.source.empty()) continue;
    const auto volume = project_.volumes.find(wanted.source);
    if (volume == project_.volumes.end()) continue;
    const std::string& name = volume->second.name;
    const bool mounted =
        std::any_of(container.mounts.begin(), container.mounts.end(), [&](const engine::Mount& m) {
          return m.kind == engine::MountKind::kVolume && m.name == name;
        });
    if (!mounted) return fmt::format("volume '{}' is not mounted", name);
  }
  return "";
}

bool UpPlanner::IsWaitedForCompletion(const std::string& service) const {
  for (const auto& [name, other] : project_.services) {
    for (const schema::Dependency& dependency : other.depends_on) {
      if (dependency.service == service &&
          dependency.condition == schema::DependencyCondition::kCompletedSuccessfully) {
        return true;
      }
    }
  }
  return false;
}

// A job somebody waits for has done its work once it ended with 0; running it again would be a
// change of a project in which nothing changed.
bool UpPlanner::IsCompletedJob(const ServicePlan& plan, const ObservedContainer& existing) const {
  const engine::ContainerState& state = existing.container.state;
  return state.status == engine::ContainerStatus::kExited && state.exit_code == 0 &&
         IsWaitedForCompletion(plan.service->name);
}

void UpPlanner::DecideStart(ServicePlan& plan, Replica& replica) const {
  if (!options_.start) return;
  if (replica.existing == nullptr || replica.recreate) {
    replica.start_cause = replica.cause;
    return;
  }
  const engine::ContainerState& state = replica.existing->container.state;
  using enum engine::ContainerStatus;
  switch (state.status) {
    case kRunning:
    case kRestarting:
      return;
    case kPaused:
      replica.start_cause = "paused";
      return;
    case kCreated:
      replica.start_cause = "not started";
      return;
    case kRemoving:
    case kExited:
    case kDead:
      if (!IsCompletedJob(plan, *replica.existing)) {
        replica.start_cause = fmt::format("exited with code {}", state.exit_code);
      }
      return;
  }
}

// Dependents with `restart: true` of a service that is recreated stop first and start afterwards.
void UpPlanner::DecideDependents() {
  if (options_.no_deps || !options_.start) return;
  for (const std::string& name : order_) {
    if (!services_.at(name).recreated) continue;
    for (const std::string& dependent : graph_.RestartedWith(name)) {
      const auto found = services_.find(dependent);
      if (found == services_.end()) continue;
      for (Replica& replica : found->second.replicas) {
        if (replica.existing == nullptr || replica.recreate || !replica.start_cause.empty()) {
          continue;
        }
        if (!IsActive(replica.existing->container.state)) continue;
        replica.start_cause = fmt::format("dependency '{}' is recreated", name);
      }
    }
  }
}

}  // namespace skiff::compose
