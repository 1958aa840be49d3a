// Networks and volumes of the plan of `up`.
#include <fmt/format.h>

#include <algorithm>

#include "base/identity.h"
#include "compose/labels.h"
#include "compose/model_diff.h"
#include "compose/planner/up_planner.h"

namespace skiff::compose {
namespace {

const engine::Endpoint* EndpointOn(const engine::Container& container,
                                   const engine::Network& network) {
  for (const engine::Endpoint& endpoint : container.endpoints) {
    if (endpoint.network_id == network.id || endpoint.network == network.config.name) {
      return &endpoint;
    }
  }
  return nullptr;
}

// How a container is to be connected again: as it was asked for.
engine::EndpointRequest ReconnectRequest(const engine::Container& container,
                                         const engine::Endpoint& endpoint) {
  for (const engine::EndpointRequest& request : container.config.endpoints) {
    if (request.network == endpoint.network || request.network == endpoint.network_id) {
      engine::EndpointRequest again = request;
      again.network = endpoint.network;
      return again;
    }
  }
  engine::EndpointRequest again;
  again.network = endpoint.network;
  again.aliases = endpoint.aliases;
  return again;
}

template <typename Declared>
std::string ChangeOf(const engine::Labels& labels,
                     const std::map<std::string, std::string>& annotations,
                     std::string_view annotation, const Declared& declared) {
  const std::string& hash = LabelOf(labels, kConfigHashLabel);
  if (hash.empty() || hash == Sha256Hex(declared.hashed_json)) return "";
  const auto before = annotations.find(std::string(annotation));
  const std::string change =
      before == annotations.end() ? "" : DescribeModelChange(before->second, declared.hashed_json);
  return change.empty() ? "configuration changed" : change;
}

}  // namespace

// Those of services in the plan, and those no service uses at all (--all-resources).
std::set<std::string> UpPlanner::UsedNetworks() const {
  std::set<std::string> used, used_by_any;
  for (const auto& [name, service] : project_.services) {
    for (const schema::ServiceNetwork& network : service.networks) {
      used_by_any.insert(network.network);
      if (services_.count(name)) used.insert(network.network);
    }
  }
  for (const auto& [key, network] : project_.networks) {
    if (!used_by_any.count(key)) used.insert(key);
  }
  return used;
}

std::set<std::string> UpPlanner::UsedVolumes() const {
  std::set<std::string> used, used_by_any;
  for (const auto& [name, service] : project_.services) {
    for (const schema::VolumeMount& mount : service.volumes) {
      if (mount.type != schema::VolumeMountType::kVolume || mount.source.empty()) continue;
      used_by_any.insert(mount.source);
      if (services_.count(name)) used.insert(mount.source);
    }
  }
  for (const auto& [key, volume] : project_.volumes) {
    if (!used_by_any.count(key)) used.insert(key);
  }
  return used;
}

void UpPlanner::EmitNetworks() {
  const std::set<std::string> used = UsedNetworks();
  for (const auto& [key, network] : project_.networks) {
    if (network.external || !used.count(key)) continue;
    const auto existing = observed_.networks.find(network.name);
    if (existing == observed_.networks.end()) {
      Operation create;
      create.kind = OperationKind::kCreateNetwork;
      create.stage = Operation::Stage::kDeclare;
      create.name = network.name;
      create.cause = "new network";
      create.span = network.span;
      create.network_config = TranslateNetwork(project_, network);
      network_ops_[key] = builder_.Add(std::move(create));
      continue;
    }
    const engine::NetworkConfig& config = existing->second.config;
    const std::string& owner = LabelOf(config.labels, kProjectLabel);
    if (owner != project_.name) {
      WarnUnmanaged(
          owner.empty()
              ? fmt::format("a network with name {} exists but was not created by compose.\nSet "
                            "`external: true` to use an existing network",
                            network.name)
              : fmt::format("a network with name {} exists but was not created for project "
                            "\"{}\".\nSet `external: true` to use an existing network",
                            network.name, project_.name),
          network.span);
      continue;
    }
    const std::string change =
        ChangeOf(config.labels, config.annotations, kNetworkAnnotation, network);
    if (!change.empty() && !options_.no_recreate) {
      EmitNetworkReplacement(network, existing->second, change);
    }
  }
}

// Everything attached is stopped and disconnected, the network replaced, and what is not replaced
// itself connected again (compose.md 4.10).
void UpPlanner::EmitNetworkReplacement(const schema::Network& network,
                                       const engine::Network& existing, const std::string& change) {
  const std::string cause = fmt::format("network changed: {}", change);
  struct Attached {
    const ObservedContainer* observed;
    const engine::Endpoint* endpoint;
    Replica* replica;
    bool removed;
  };
  std::vector<Attached> attached;
  std::vector<int> disconnects;
  for (const ObservedContainer& observed : observed_.containers) {
    const engine::Endpoint* endpoint = EndpointOn(observed.container, existing);
    if (endpoint == nullptr) continue;
    Attached entry{&observed, endpoint, nullptr, false};
    if (const auto plan = services_.find(observed.service); plan != services_.end()) {
      for (Replica& replica : plan->second.replicas) {
        if (replica.existing == &observed) entry.replica = &replica;
      }
      for (const Removal& removal : plan->second.removals) {
        entry.removed = entry.removed || removal.existing == &observed;
      }
    }
    int last = -1;
    if (IsActive(observed.container.state)) {
      last = builder_.AddStop(observed, cause, {}, options_.stop_timeout);
      builder_.at(last).stage = Operation::Stage::kDeclare;
      if (entry.replica) entry.replica->stop_op = last;
    }
    Operation disconnect = PlanBuilder::About(OperationKind::kDisconnectNetwork, observed, cause);
    disconnect.stage = Operation::Stage::kDeclare;
    disconnect.dependencies = {last};
    disconnect.endpoint.network = existing.config.name;
    disconnects.push_back(builder_.Add(std::move(disconnect)));
    attached.push_back(entry);
  }
  Operation remove;
  remove.kind = OperationKind::kRemoveNetwork;
  remove.stage = Operation::Stage::kDeclare;
  remove.name = network.name;
  remove.cause = cause;
  remove.span = network.span;
  remove.dependencies = disconnects;
  const int removed = builder_.Add(std::move(remove));
  Operation create;
  create.kind = OperationKind::kCreateNetwork;
  create.stage = Operation::Stage::kDeclare;
  create.name = network.name;
  create.cause = cause;
  create.span = network.span;
  create.dependencies = {removed};
  create.network_config = TranslateNetwork(project_, network);
  const int created = builder_.Add(std::move(create));
  network_ops_[network.key] = created;
  for (const Attached& entry : attached) {
    if (entry.removed || (entry.replica && entry.replica->recreate)) continue;
    Operation connect = PlanBuilder::About(OperationKind::kConnectNetwork, *entry.observed, cause);
    connect.stage = Operation::Stage::kDeclare;
    connect.dependencies = {created};
    connect.endpoint = ReconnectRequest(entry.observed->container, *entry.endpoint);
    const int connected = builder_.Add(std::move(connect));
    const bool was_active = IsActive(entry.observed->container.state);
    if (entry.replica) {
      entry.replica->start_after.push_back(connected);
      if (was_active && entry.replica->start_cause.empty()) entry.replica->start_cause = cause;
    } else if (was_active) {
      Operation start = PlanBuilder::About(OperationKind::kStartContainer, *entry.observed, cause);
      start.dependencies = {connected};
      builder_.Add(std::move(start));
    }
  }
}

void UpPlanner::EmitVolumes() {
  const std::set<std::string> used = UsedVolumes();
  for (const auto& [key, volume] : project_.volumes) {
    if (volume.external || !used.count(key)) continue;
    const auto existing = observed_.volumes.find(volume.name);
    if (existing == observed_.volumes.end()) {
      Operation create;
      create.kind = OperationKind::kCreateVolume;
      create.stage = Operation::Stage::kDeclare;
      create.name = volume.name;
      create.cause = "new volume";
      create.span = volume.span;
      create.volume_config = TranslateVolume(project_, volume);
      volume_ops_[key] = builder_.Add(std::move(create));
      continue;
    }
    const engine::VolumeConfig& config = existing->second.config;
    const std::string& owner = LabelOf(config.labels, kProjectLabel);
    if (owner != project_.name) {
      WarnUnmanaged(
          owner.empty()
              ? fmt::format("volume \"{}\" already exists but was not created by Docker Compose. "
                            "Use `external: true` to use an existing volume",
                            volume.name)
              : fmt::format("volume \"{}\" already exists but was created for project \"{}\" "
                            "(expected \"{}\"). Use `external: true` to use an existing volume",
                            volume.name, owner, project_.name),
          volume.span);
      continue;
    }
    const std::string change =
        ChangeOf(config.labels, config.annotations, kVolumeAnnotation, volume);
    if (change.empty()) continue;
    // Replacing it would lose what it holds; that is for a person to decide.
    WarnUnmanaged(fmt::format("volume \"{}\" exists but doesn't match configuration in compose "
                              "file ({}); it is used as it is. To replace it and lose its data: "
                              "skiff down, skiff volume rm {}, skiff up",
                              volume.name, change, volume.name),
                  volume.span);
  }
}

}  // namespace skiff::compose
