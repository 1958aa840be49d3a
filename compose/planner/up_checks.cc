// What can be seen to be wrong with a plan before anything changes.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "compose/labels.h"
#include "compose/planner/up_planner.h"
#include "engine-core/image_platform.h"

namespace skiff::compose {
namespace {

// A host port one replica of a service needs for itself.
struct FixedPort {
  std::string service;
  const schema::Port* port = nullptr;
  uint16_t number = 0;
};

bool IsWildcard(std::string_view ip) {
  return ip.empty() || ip == "0.0.0.0" || ip == "::";
}

// Whether both cannot be bound at once. "" is every address of both families.
bool AddressesClash(std::string_view a, std::string_view b) {
  if (a == b || a.empty() || b.empty()) return true;
  const bool same_family =
      (a.find(':') == std::string_view::npos) == (b.find(':') == std::string_view::npos);
  return same_family && (IsWildcard(a) || IsWildcard(b));
}

std::string_view ProtocolOf(const schema::Port& port) {
  return port.protocol.empty() ? std::string_view("tcp") : std::string_view(port.protocol);
}

}  // namespace

bool UpPlanner::ServicePlan::creates() const {
  return std::any_of(replicas.begin(), replicas.end(), [](const Replica& replica) {
    return replica.existing == nullptr || replica.recreate;
  });
}

Status UpPlanner::SelectServices() {
  std::vector<std::string> wanted = options_.services;
  for (const auto& [name, scale] : options_.scale) {
    if (!project_.services.count(name)) return Fail(NoSuchService(name, graph_.names()));
  }
  for (const std::string& name : wanted) {
    if (!project_.services.count(name)) return Fail(NoSuchService(name, graph_.names()));
  }
  if (wanted.empty()) wanted = graph_.names();
  selected_.insert(wanted.begin(), wanted.end());
  const std::set<std::string> scope =
      options_.no_deps ? selected_ : graph_.WithDependencies(wanted);
  for (const std::string& name : graph_.InOrder()) {
    if (!scope.count(name)) continue;
    const schema::Service& service = project_.services.at(name);
    if (!service.provider_type.empty()) continue;  // Warned about.
    order_.push_back(name);
    ServicePlan& plan = services_[name];
    plan.service = &service;
    engine::Platform platform;
    if (!service.platform.empty()) {
      auto parsed = engine::ParsePlatform(service.platform);
      if (!parsed) return Fail(std::move(parsed.error()).At(service.span));
      platform = std::move(*parsed);
    }
    plan.image = observed_.FindImageFor(ImageOf(project_.name, service), platform);
    plan.scale = service.scale.value_or(1);
    if (const auto found = options_.scale.find(name); found != options_.scale.end()) {
      plan.scale = found->second;
    }
    plan.prepare_only =
        std::count(options_.prepare_only.begin(), options_.prepare_only.end(), name) > 0;
  }
  return {};
}

void UpPlanner::CheckReplicas(const ServicePlan& plan, std::vector<Error>& errors) const {
  const schema::Service& service = *plan.service;
  if (plan.scale < 0) {
    errors.push_back(Error(Code::kInvalidArgument,
                           fmt::format("cannot scale service '{}' to {}", service.name, plan.scale))
                         .At(service.scale_span));
    return;
  }
  if (plan.scale < 2) return;
  const auto refuse = [&](const std::string& why, SourceSpan span, const std::string& advice) {
    errors.push_back(
        Error(Code::kInvalidArgument,
              fmt::format("cannot scale service '{}' to {}: {}", service.name, plan.scale, why))
            .At(span)
            .With(advice));
  };
  if (!service.container_name.empty()) {
    refuse(fmt::format("it is using the custom container name '{}', and each container needs a "
                       "unique name",
                       service.container_name),
           service.span, "remove the custom name to scale the service");
  }
  for (const schema::Port& port : service.ports) {
    const auto range = HostPortRange(port);
    if (!range || range->first == 0) continue;  // Reported by the translation, or any free port.
    const int available = range->second - range->first + 1;
    if (available >= plan.scale) continue;
    refuse(available == 1
               ? fmt::format("host port {} can be published by one replica only", range->first)
               : fmt::format("host ports {} are {} only", port.published, available),
           port.span,
           fmt::format("publish a range of at least {} host ports, such as '{}-{}:{}', or the "
                       "container port alone",
                       plan.scale, range->first, range->first + plan.scale - 1, port.target));
  }
  for (const schema::ServiceNetwork& network : service.networks) {
    for (const std::string* address : {&network.ipv4_address, &network.ipv6_address}) {
      if (address->empty()) continue;
      refuse(fmt::format("address {} can be used by one replica only", *address), network.span,
             "leave the address out to scale the service");
    }
  }
}

void UpPlanner::CheckHostPorts(std::vector<Error>& errors) const {
  std::map<uint16_t, std::vector<FixedPort>> by_number;
  for (const std::string& name : order_) {
    const ServicePlan& plan = services_.at(name);
    if (plan.scale < 1 || plan.prepare_only) continue;
    for (const schema::Port& port : plan.service->ports) {
      const auto range = HostPortRange(port);
      if (!range || range->first == 0 || range->first != range->second) continue;
      for (const FixedPort& other : by_number[range->first]) {
        if (ProtocolOf(port) != ProtocolOf(*other.port)) continue;
        if (!AddressesClash(port.host_ip, other.port->host_ip)) continue;
        errors.push_back(
            Error(Code::kInvalidArgument,
                  fmt::format("host port {}/{} of service '{}' is also published by service '{}'",
                              range->first, ProtocolOf(port), name, other.service))
                .At(port.span)
                .With("published here, too", other.port->span));
        break;
      }
      by_number[range->first].push_back({name, &port, range->first});
    }
  }
}

void UpPlanner::CheckExternals(std::vector<Error>& errors) const {
  const std::set<std::string> networks = UsedNetworks();
  for (const auto& [key, network] : project_.networks) {
    if (!network.external || !networks.count(key) || observed_.networks.count(network.name)) {
      continue;
    }
    // Also by id.
    const bool by_id = std::any_of(
        observed_.networks.begin(), observed_.networks.end(), [&](const auto& existing) {
          return network.name.size() >= 12 && existing.second.id.starts_with(network.name);
        });
    if (by_id) continue;
    errors.push_back(
        Error(Code::kNotFound,
              fmt::format("network {} declared as external, but could not be found", network.name))
            .At(network.span)
            .With(fmt::format("create it with: skiff network create {}", network.name)));
  }
  const std::set<std::string> volumes = UsedVolumes();
  for (const auto& [key, volume] : project_.volumes) {
    if (!volume.external || !volumes.count(key) || observed_.volumes.count(volume.name)) continue;
    errors.push_back(
        Error(Code::kNotFound, fmt::format("external volume \"{}\" not found", volume.name))
            .At(volume.span)
            .With(fmt::format("create it with: skiff volume create {}", volume.name)));
  }
}

void UpPlanner::CheckImages(std::vector<Error>& errors) const {
  for (const std::string& name : order_) {
    const ServicePlan& plan = services_.at(name);
    if (plan.image != nullptr) continue;
    if (!plan.creates() && !(plan.prepare_only && plan.scale > 0)) continue;
    const schema::Service& service = *plan.service;
    const std::string image = ImageOf(project_.name, service);
    if (service.build) {
      errors.push_back(
          Error(Code::kNotFound,
                fmt::format("no such image: '{}', which service '{}' runs and builds", image, name))
              .At(service.build->span.valid() ? service.build->span : service.span)
              .With(fmt::format("make it with: skiff build {}", name)));
      continue;
    }
    Error error(Code::kNotFound,
                fmt::format("no such image: '{}', which service '{}' runs", image, name));
    if (const engine::Image* other = observed_.FindImage(image)) {
      error.notes.push_back({fmt::format("it is here for {}, not for the service's platform {}",
                                         engine::PlatformOf(*other).Text(), service.platform),
                             {}});
    }
    errors.push_back(
        std::move(error).At(service.span).With(fmt::format("get it with: skiff pull {}", name)));
  }
}

bool UpPlanner::HasHealthcheck(const ServicePlan& plan) const {
  const auto is_test = [](const std::vector<std::string>& test) {
    return !test.empty() && test[0] != "NONE";
  };
  if (plan.service->healthcheck) {
    if (plan.service->healthcheck->disable) return false;
    if (!plan.service->healthcheck->test.empty()) return is_test(plan.service->healthcheck->test);
  }
  return plan.image != nullptr && plan.image->config.healthcheck &&
         is_test(plan.image->config.healthcheck->test);
}

void UpPlanner::CheckHealthchecks(std::vector<Error>& errors) const {
  for (const std::string& name : order_) {
    for (const schema::Dependency& dependency : graph_.DependenciesOf(name)) {
      if (dependency.condition != schema::DependencyCondition::kHealthy || !dependency.required) {
        continue;
      }
      const auto found = services_.find(dependency.service);
      if (found == services_.end() || found->second.scale == 0) continue;
      const ServicePlan& target = found->second;
      // Without the image nothing is known; that is an error of its own.
      if (target.image == nullptr || HasHealthcheck(target)) continue;
      errors.push_back(
          Error(Code::kInvalidArgument,
                fmt::format("dependency failed to start: container {} has no healthcheck "
                            "configured",
                            ContainerName(project_.name, *target.service, 1)))
              .At(dependency.span)
              .With(fmt::format("service '{}' waits for '{}' to be healthy; it needs a "
                                "healthcheck, or another condition",
                                name, dependency.service),
                    target.service->span));
    }
  }
}

void UpPlanner::WarnAboutOrphans() {
  if (options_.ignore_orphans || options_.remove_orphans) return;
  std::vector<std::string> names;
  for (const ObservedContainer& observed : observed_.containers) {
    const bool known = project_.services.count(observed.service) > 0 ||
                       project_.disabled_services.count(observed.service) > 0;
    if (known ? (observed.oneoff && !IsActive(observed.container.state)) : !observed.oneoff) {
      names.push_back(DisplayName(observed.container));
    }
  }
  if (names.empty()) return;
  plan_.warnings.AddWarning(
      Error(Code::kFailedPrecondition,
            fmt::format("Found orphan containers ({}) for this project. If you removed or renamed "
                        "this service in your compose file, you can run this command with the "
                        "--remove-orphans flag to clean it up.",
                        Join(names, ", "))));
}

void UpPlanner::WarnAboutKeys() {
  const auto warn = [&](const schema::Service& service, std::string_view key) {
    plan_.warnings.AddWarning(
        Error(Code::kUnsupported,
              fmt::format("services.{}.{}: not supported yet, ignored", service.name, key))
            .At(service.span));
  };
  for (const auto& [name, service] : project_.services) {
    if (!selected_.count(name) && !services_.count(name)) continue;
    if (!service.provider_type.empty()) warn(service, "provider");
    if (!service.external_links.empty()) warn(service, "external_links");
    if (!service.pre_start.empty()) warn(service, "pre_start");
  }
}

void UpPlanner::WarnUnmanaged(const std::string& message, SourceSpan span) {
  plan_.warnings.AddWarning(Error(Code::kFailedPrecondition, message).At(span));
}

}  // namespace skiff::compose
