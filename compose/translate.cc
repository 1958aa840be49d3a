#include "compose/translate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/identity.h"
#include "base/text.h"
#include "base/units.h"
#include "compose/labels.h"

namespace skiff::compose {
namespace {

using Field = ContainerReference::Field;

Result<engine::RestartPolicy> TranslateRestart(const schema::Service& service) {
  engine::RestartPolicy policy;
  const std::string_view text = service.restart;
  if (text.empty() || text == "no") return policy;
  if (text == "always") {
    policy.mode = engine::RestartMode::kAlways;
  } else if (text == "unless-stopped") {
    policy.mode = engine::RestartMode::kUnlessStopped;
  } else if (text == "on-failure") {
    policy.mode = engine::RestartMode::kOnFailure;
  } else if (text.starts_with("on-failure:")) {
    const auto retries = ParseNumber<int>(text.substr(11));
    if (!retries)
      return Fail(Error(Code::kInvalidArgument, fmt::format("invalid restart policy '{}'", text))
                      .At(service.span));
    policy.mode = engine::RestartMode::kOnFailure;
    policy.maximum_retries = *retries;
  } else {
    return Fail(Error(Code::kInvalidArgument, fmt::format("invalid restart policy '{}'", text))
                    .At(service.span));
  }
  return policy;
}

engine::Healthcheck TranslateHealthcheck(const schema::Healthcheck& check) {
  engine::Healthcheck result;
  if (check.disable) {
    result.test = {"NONE"};
    return result;
  }
  result.test = check.test;
  result.interval = check.interval.value_or(engine::Nanoseconds{});
  result.timeout = check.timeout.value_or(engine::Nanoseconds{});
  result.start_period = check.start_period.value_or(engine::Nanoseconds{});
  result.start_interval = check.start_interval.value_or(engine::Nanoseconds{});
  result.retries = check.retries.value_or(0);
  return result;
}

Result<engine::MountRequest> TranslateMount(const schema::Project& project,
                                            const schema::VolumeMount& mount) {
  engine::MountRequest result;
  result.target = mount.target;
  result.read_only = mount.read_only;
  switch (mount.type) {
    case schema::VolumeMountType::kBind:
      result.kind = engine::MountKind::kBind;
      result.source = mount.source;
      result.create_host_path = mount.bind_create_host_path;
      result.recursive = mount.bind_recursive != "disabled";
      result.propagation = mount.bind_propagation;
      return result;
    case schema::VolumeMountType::kVolume: {
      result.kind = engine::MountKind::kVolume;
      result.no_copy = mount.volume_nocopy;
      result.subpath = mount.volume_subpath;
      result.volume_labels = mount.volume_labels;
      if (mount.source.empty()) {
        result.volume_labels[std::string(kProjectLabel)] = project.name;
        return result;
      }
      const auto volume = project.volumes.find(mount.source);
      result.source = volume == project.volumes.end() ? mount.source : volume->second.name;
      return result;
    }
    case schema::VolumeMountType::kTmpfs:
      result.kind = engine::MountKind::kTmpfs;
      result.tmpfs_size = mount.tmpfs_size;
      result.tmpfs_mode = mount.tmpfs_mode;
      return result;
    case schema::VolumeMountType::kImage:
      result.kind = engine::MountKind::kImage;
      result.source = mount.source;
      result.subpath = mount.image_subpath;
      return result;
    case schema::VolumeMountType::kNpipe:
    case schema::VolumeMountType::kCluster:
      break;
  }
  return Fail(
      Error(Code::kUnsupported,
            fmt::format("cannot mount '{}': volumes of type '{}' are "
                        "not supported",
                        mount.target,
                        mount.type == schema::VolumeMountType::kNpipe ? "npipe" : "cluster"))
          .At(mount.span));
}

// "path[:size=64m,mode=1777,uid=0]", as docker run --tmpfs.
Result<engine::MountRequest> TranslateTmpfs(const schema::Service& service,
                                            std::string_view entry) {
  engine::MountRequest result;
  result.kind = engine::MountKind::kTmpfs;
  const size_t colon = entry.find(':');
  result.target = entry.substr(0, colon);
  if (colon == std::string_view::npos) return result;
  for (std::string_view option : Split(entry.substr(colon + 1), ',')) {
    if (option.empty() || option == "rw") continue;
    if (option == "ro") {
      result.read_only = true;
    } else if (option.starts_with("size=")) {
      auto size = ParseBytes(option.substr(5));
      if (!size) return Fail(std::move(size.error()).At(service.span));
      result.tmpfs_size = *size;
    } else if (option.starts_with("mode=")) {
      const auto mode = ParseNumber<uint32_t>(option.substr(5), 8);
      if (!mode) {
        return Fail(Error(Code::kInvalidArgument, fmt::format("invalid mode '{}' of tmpfs '{}'",
                                                              option.substr(5), result.target))
                        .At(service.span));
      }
      result.tmpfs_mode = *mode;
    } else {
      result.tmpfs_options.emplace_back(option);
    }
  }
  return result;
}

// Target of a grant without one, or with a relative one (compose-spec: configs, secrets).
std::string GrantTarget(const schema::FileGrant& grant, bool secret) {
  if (grant.target.starts_with('/')) return grant.target;
  const std::string& name = grant.target.empty() ? grant.source : grant.target;
  return (secret ? "/run/secrets/" : "/") + name;
}

Result<uint32_t> GrantOwner(const std::string& text, const schema::FileGrant& grant) {
  if (text.empty()) return 0u;
  const auto id = ParseNumber<uint32_t>(text);
  if (!id) {
    return Fail(
        Error(Code::kInvalidArgument, fmt::format("invalid owner '{}': a number is needed", text))
            .At(grant.span));
  }
  return *id;
}

Status TranslateGrant(const schema::FileGrant& grant, bool secret,
                      const std::map<std::string, schema::FileObject>& objects,
                      const TranslateOptions& options, TranslatedService& out) {
  const std::string_view kind = secret ? "secret" : "config";
  const auto found = objects.find(grant.source);
  if (found == objects.end()) {
    return Fail(Error(Code::kInvalidArgument, fmt::format("undefined {} '{}'", kind, grant.source))
                    .At(grant.span));
  }
  const schema::FileObject& object = found->second;
  if (object.external) {
    return Fail(
        Error(Code::kUnsupported, fmt::format("unsupported external {} {}", kind,
                                              object.name.empty() ? object.key : object.name))
            .At(grant.span));
  }
  engine::MountRequest mount;
  mount.kind = engine::MountKind::kBind;
  mount.target = GrantTarget(grant, secret);
  mount.read_only = true;
  if (!object.file.empty()) {
    mount.source = object.file;
    out.config.mounts.push_back(std::move(mount));
    return {};
  }
  if (!object.content) {
    return Fail(Error(Code::kInvalidArgument,
                      fmt::format("environment variable \"{}\" required by {} \"{}\" is not set",
                                  object.environment, kind, object.key))
                    .At(object.span));
  }
  WrittenFile file;
  file.content = *object.content;
  file.mode = grant.mode.value_or(0444);
  SKIFF_ASSIGN(file.uid, GrantOwner(grant.uid, grant));
  SKIFF_ASSIGN(file.gid, GrantOwner(grant.gid, grant));
  const std::string digest =
      Sha256Hex(fmt::format("{:o} {} {}\n{}", file.mode, file.uid, file.gid, file.content));
  file.path = fmt::format("{}/{}-{}", options.file_dir, kind, digest.substr(0, 32));
  mount.source = file.path;
  std::string& annotation = out.config.annotations[std::string(kGrantsAnnotation)];
  annotation +=
      fmt::format("{}{}={}", annotation.empty() ? "" : ",", mount.target, digest.substr(0, 32));
  out.config.mounts.push_back(std::move(mount));
  out.files.push_back(std::move(file));
  return {};
}

Status TranslateMounts(const schema::Project& project, const schema::Service& service,
                       const TranslateOptions& options, TranslatedService& out) {
  for (const schema::VolumeMount& mount : service.volumes) {
    SKIFF_ASSIGN(engine::MountRequest request, TranslateMount(project, mount));
    out.config.mounts.push_back(std::move(request));
  }
  for (const std::string& entry : service.tmpfs) {
    SKIFF_ASSIGN(engine::MountRequest request, TranslateTmpfs(service, entry));
    out.config.mounts.push_back(std::move(request));
  }
  for (const schema::FileGrant& grant : service.configs) {
    SKIFF_TRY(TranslateGrant(grant, false, project.configs, options, out));
  }
  for (const schema::FileGrant& grant : service.secrets) {
    SKIFF_TRY(TranslateGrant(grant, true, project.secrets, options, out));
  }
  for (const std::string& from : service.volumes_from) {
    if (from.starts_with("container:")) {
      out.config.volumes_from.push_back(from.substr(10));
      continue;
    }
    const size_t colon = from.find(':');
    out.references.push_back({Field::kVolumesFrom, from.substr(0, colon),
                              colon == std::string::npos ? "" : from.substr(colon)});
  }
  return {};
}

// "service:x" is left to the planner, everything else goes to the engine as it is.
void TranslateNamespace(const std::string& mode, Field field, std::string& out,
                        std::vector<ServiceReference>& references) {
  if (mode.starts_with("service:")) {
    references.push_back({field, mode.substr(8), ""});
  } else {
    out = mode;
  }
}

// Names other services of the network have for this one by `links: ["service:alias"]`. docker shows
// such a name to the linking container alone; here the whole network knows it.
std::vector<std::string> LinkAliases(const schema::Project& project, const std::string& service,
                                     const std::string& network) {
  std::vector<std::string> aliases;
  for (const auto& [name, other] : project.services) {
    const bool shares = std::any_of(
        other.networks.begin(), other.networks.end(),
        [&](const schema::ServiceNetwork& joined) { return joined.network == network; });
    if (!shares) continue;
    for (const std::string& link : other.links) {
      const size_t colon = link.find(':');
      if (colon == std::string::npos || link.substr(0, colon) != service) continue;
      aliases.push_back(link.substr(colon + 1));
    }
  }
  return aliases;
}

void TranslateNetworks(const schema::Project& project, const schema::Service& service,
                       const TranslateOptions& options, TranslatedService& out) {
  TranslateNamespace(service.network_mode, Field::kNetwork, out.config.network_mode,
                     out.references);
  if (!service.network_mode.empty()) return;
  if (service.networks.empty()) {
    out.config.network_mode = "none";
    return;
  }
  std::vector<schema::ServiceNetwork> networks = service.networks;
  std::stable_sort(networks.begin(), networks.end(),
                   [](const schema::ServiceNetwork& a, const schema::ServiceNetwork& b) {
                     if (a.priority != b.priority) return a.priority > b.priority;
                     return a.network < b.network;
                   });
  for (const schema::ServiceNetwork& network : networks) {
    engine::EndpointRequest endpoint;
    const auto found = project.networks.find(network.network);
    endpoint.network = found == project.networks.end() ? network.network : found->second.name;
    if (!options.oneoff) endpoint.aliases.push_back(service.name);
    for (const std::string& alias : network.aliases) {
      if (options.oneoff || alias == service.name) continue;
      endpoint.aliases.push_back(alias);
    }
    if (!options.oneoff) {
      for (std::string& alias : LinkAliases(project, service.name, network.network)) {
        if (std::find(endpoint.aliases.begin(), endpoint.aliases.end(), alias) ==
            endpoint.aliases.end()) {
          endpoint.aliases.push_back(std::move(alias));
        }
      }
    }
    endpoint.ipv4_address = network.ipv4_address;
    endpoint.ipv6_address = network.ipv6_address;
    endpoint.mac_address = network.mac_address;
    endpoint.interface_name = network.interface_name;
    endpoint.priority = network.priority;
    endpoint.gateway_priority = network.gw_priority;
    out.config.endpoints.push_back(std::move(endpoint));
  }
  // The key of the service is about its first network (compose: mac_address).
  if (!service.mac_address.empty() && out.config.endpoints[0].mac_address.empty()) {
    out.config.endpoints[0].mac_address = service.mac_address;
  }
}

Status TranslatePorts(const schema::Service& service, engine::ContainerConfig& config) {
  for (const schema::Port& port : service.ports) {
    SKIFF_ASSIGN(engine::PortRequest request, TranslatePort(port));
    config.ports.push_back(std::move(request));
  }
  for (const std::string& entry : service.expose) {
    const std::vector<std::string_view> parts = Split(entry, '/');
    const std::vector<std::string_view> range = Split(parts[0], '-');
    const auto first = ParseNumber<uint16_t>(range.front());
    const auto last = ParseNumber<uint16_t>(range.back());
    if (!first || !last || *first > *last) {
      return Fail(Error(Code::kInvalidArgument, fmt::format("invalid port '{}' of expose", entry))
                      .At(service.span));
    }
    for (uint32_t number = *first; number <= *last; ++number) {
      engine::PortRequest request;
      request.container_port = static_cast<uint16_t>(number);
      request.publish = false;
      if (parts.size() > 1 && parts[1] == "udp") request.protocol = engine::Protocol::kUdp;
      if (parts.size() > 1 && parts[1] == "sctp") request.protocol = engine::Protocol::kSctp;
      config.ports.push_back(request);
    }
  }
  return {};
}

engine::Resources TranslateResources(const schema::Service& service) {
  engine::Resources result;
  result.memory = service.mem_limit;
  result.memory_swap = service.memswap_limit;
  result.memory_reservation = service.mem_reservation;
  result.memory_swappiness = service.mem_swappiness;
  result.nano_cpus = static_cast<int64_t>(std::llround(service.cpus * 1e9));
  result.cpu_shares = service.cpu_shares;
  result.cpu_period = service.cpu_period;
  result.cpu_quota = service.cpu_quota;
  result.cpuset_cpus = service.cpuset;
  result.pids = service.pids_limit;
  result.oom_kill_disable = service.oom_kill_disable;
  return result;
}

void TranslateIsolation(const schema::Service& service, TranslatedService& out) {
  engine::ContainerConfig& config = out.config;
  config.privileged = service.privileged;
  config.read_only = service.read_only;
  config.cap_add = service.cap_add;
  config.cap_drop = service.cap_drop;
  config.security_opt = service.security_opt;
  config.group_add = service.group_add;
  for (const schema::Device& device : service.devices) {
    config.devices.push_back({device.source, device.target.empty() ? device.source : device.target,
                              device.permissions.empty() ? "rwm" : device.permissions});
  }
  config.device_cgroup_rules = service.device_cgroup_rules;
  for (const schema::UlimitRule& rule : service.ulimits) {
    config.ulimits.push_back({rule.name, rule.soft, rule.hard});
  }
  config.sysctls = service.sysctls;
  config.resources = TranslateResources(service);
  config.shm_size = service.shm_size;
  config.oom_score_adj = service.oom_score_adj;
  TranslateNamespace(service.pid, Field::kPid, config.pid_mode, out.references);
  TranslateNamespace(service.ipc, Field::kIpc, config.ipc_mode, out.references);
  config.uts_mode = service.uts;
  config.userns_mode = service.userns_mode;
  config.cgroupns_mode = service.cgroup;
  config.cgroup_parent = service.cgroup_parent;
  config.runtime = service.runtime;
}

void AddLabels(const schema::Project& project, const schema::Service& service,
               const TranslateOptions& options, engine::ContainerConfig& config) {
  engine::Labels& labels = config.labels;
  labels = service.labels;
  const auto set = [&](std::string_view key, std::string value) {
    labels[std::string(key)] = std::move(value);
  };
  set(kProjectLabel, project.name);
  set(kServiceLabel, service.name);
  set(kVersionLabel, std::string(kComposeVersion));
  set(kConfigHashLabel, Sha256Hex(service.hashed_json));
  set(kOneoffLabel, options.oneoff ? "True" : "False");
  set(kDependsOnLabel, FormatDependsOn(service.depends_on));
  set(kWorkingDirLabel, project.working_dir);
  set(kConfigFilesLabel, Join(project.files, ","));
  if (!project.env_files.empty()) set(kEnvironmentFileLabel, Join(project.env_files, ","));
  if (!options.image_id.empty()) set(kImageLabel, options.image_id);
  set(kNumberLabel, std::to_string(options.number));
  if (options.oneoff) set(kSlugLabel, options.slug);
  for (const auto& [key, value] : service.annotations) config.annotations[key] = value;
  config.annotations[std::string(kServiceAnnotation)] = service.hashed_json;
}

}  // namespace

Result<std::pair<uint16_t, uint16_t>> HostPortRange(const schema::Port& port) {
  if (port.published.empty()) return std::pair<uint16_t, uint16_t>{0, 0};
  const std::vector<std::string_view> range = Split(port.published, '-');
  const auto first = ParseNumber<uint16_t>(range.front());
  const auto last = ParseNumber<uint16_t>(range.back());
  if (range.size() > 2 || !first || !last || *first > *last) {
    return Fail(Error(Code::kInvalidArgument, fmt::format("invalid host port '{}'", port.published))
                    .At(port.span)
                    .With("ports are 1 to 65535"));
  }
  return std::pair<uint16_t, uint16_t>{*first, *last};
}

Result<engine::PortRequest> TranslatePort(const schema::Port& port) {
  engine::PortRequest request;
  request.container_port = port.target;
  request.host_ip = port.host_ip;
  if (port.protocol == "udp") {
    request.protocol = engine::Protocol::kUdp;
  } else if (port.protocol == "sctp") {
    request.protocol = engine::Protocol::kSctp;
  } else if (!port.protocol.empty() && port.protocol != "tcp") {
    return Fail(
        Error(Code::kInvalidArgument, fmt::format("invalid protocol '{}' of a port", port.protocol))
            .At(port.span)
            .With("protocols are tcp, udp and sctp"));
  }
  SKIFF_ASSIGN(const auto range, HostPortRange(port));
  request.host_port = range.first;
  request.host_port_last = range.second == range.first ? 0 : range.second;
  return request;
}

Result<TranslatedService> TranslateService(const schema::Project& project,
                                           const schema::Service& service,
                                           const TranslateOptions& options) {
  TranslatedService out;
  engine::ContainerConfig& config = out.config;
  config.name = ContainerName(project.name, service, options.number);
  config.image = ImageOf(project.name, service);
  config.platform = service.platform;
  config.entrypoint = service.entrypoint;
  config.command = service.command;
  for (const auto& [key, value] : service.environment) {
    config.environment.push_back(value ? key + "=" + *value : key);
  }
  config.user = service.user;
  config.working_dir = service.working_dir;
  config.hostname = service.hostname;
  config.domainname = service.domainname;
  config.tty = service.tty;
  config.open_stdin = service.stdin_open;
  config.init = service.init;
  config.stop_signal = service.stop_signal;
  config.stop_timeout = service.stop_grace_period;
  if (service.healthcheck) config.healthcheck = TranslateHealthcheck(*service.healthcheck);
  SKIFF_ASSIGN(config.restart, TranslateRestart(service));
  SKIFF_TRY(TranslateMounts(project, service, options, out));
  TranslateNetworks(project, service, options, out);
  SKIFF_TRY(TranslatePorts(service, config));
  config.dns = service.dns;
  config.dns_search = service.dns_search;
  config.dns_options = service.dns_opt;
  for (const auto& [host, ip] : service.extra_hosts) {
    config.extra_hosts.push_back(host + ":" + ip);
  }
  TranslateIsolation(service, out);
  config.log.driver = service.logging_driver;
  config.log.options = service.logging_options;
  AddLabels(project, service, options, config);
  return out;
}

engine::NetworkConfig TranslateNetwork(const schema::Project& project,
                                       const schema::Network& network) {
  engine::NetworkConfig config;
  config.name = network.name;
  config.driver = network.driver;
  config.options = network.driver_opts;
  config.internal = network.internal;
  config.attachable = network.attachable;
  config.enable_ipv6 = network.enable_ipv6.value_or(false);
  for (const schema::NetworkIpam& ipam : network.ipam) {
    config.subnets.push_back({ipam.subnet, ipam.gateway, ipam.ip_range, ipam.aux_addresses});
  }
  config.labels = network.labels;
  config.labels[std::string(kProjectLabel)] = project.name;
  config.labels[std::string(kNetworkLabel)] = network.key;
  config.labels[std::string(kVersionLabel)] = kComposeVersion;
  config.labels[std::string(kConfigHashLabel)] = Sha256Hex(network.hashed_json);
  config.annotations[std::string(kNetworkAnnotation)] = network.hashed_json;
  return config;
}

engine::VolumeConfig TranslateVolume(const schema::Project& project, const schema::Volume& volume) {
  engine::VolumeConfig config;
  config.name = volume.name;
  config.driver = volume.driver;
  config.options = volume.driver_opts;
  config.labels = volume.labels;
  config.labels[std::string(kProjectLabel)] = project.name;
  config.labels[std::string(kVolumeLabel)] = volume.key;
  config.labels[std::string(kVersionLabel)] = kComposeVersion;
  config.labels[std::string(kConfigHashLabel)] = Sha256Hex(volume.hashed_json);
  config.annotations[std::string(kVolumeAnnotation)] = volume.hashed_json;
  return config;
}

}  // namespace skiff::compose
