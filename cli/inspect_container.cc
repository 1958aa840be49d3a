#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/units.h"
#include "cli/inspect_json.h"
#include "cli/json_values.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;
using engine::Container;

constexpr std::string_view kZeroTime = "0001-01-01T00:00:00Z";
constexpr int64_t kDefaultShmSize = 64 << 20;

std::string Time(int64_t moment) {
  return moment == 0 ? std::string(kZeroTime) : FormatTimestamp(moment);
}

Json State(const engine::ContainerState& state) {
  using engine::ContainerStatus;
  const bool restarting = state.status == ContainerStatus::kRestarting;
  Json out;
  out["Status"] = engine::ContainerStatusName(state.status);
  out["Running"] = state.running() || restarting;
  out["Paused"] = state.status == ContainerStatus::kPaused;
  out["Restarting"] = restarting;
  out["OOMKilled"] = state.oom_killed;
  out["Dead"] = state.status == ContainerStatus::kDead;
  out["Pid"] = state.pid;
  out["ExitCode"] = state.exit_code;
  out["Error"] = state.error;
  out["StartedAt"] = Time(state.started_at);
  out["FinishedAt"] = Time(state.finished_at);
  if (state.health == engine::HealthStatus::kNone) return out;
  Json log = Json::array();
  for (const engine::ProbeResult& probe : state.health_log) {
    log.push_back({{"Start", Time(probe.started_at)},
                   {"End", Time(probe.finished_at)},
                   {"ExitCode", probe.exit_code},
                   {"Output", probe.output}});
  }
  out["Health"] = {{"Status", engine::HealthStatusName(state.health)},
                   {"FailingStreak", state.failing_streak},
                   {"Log", std::move(log)}};
  return out;
}

std::string PortKey(uint16_t port, engine::Protocol protocol) {
  return fmt::format("{}/{}", port, engine::ProtocolName(protocol));
}

Json PortBindings(const engine::ContainerConfig& config) {
  Json out = Json::object();
  for (const engine::PortRequest& port : config.ports) {
    if (!port.publish) continue;
    std::string host = port.host_port == 0 ? "" : std::to_string(port.host_port);
    if (port.host_port_last > port.host_port) host += fmt::format("-{}", port.host_port_last);
    out[PortKey(port.container_port, port.protocol)].push_back(
        {{"HostIp", port.host_ip}, {"HostPort", host}});
  }
  return out;
}

Json ExposedPorts(const engine::ContainerConfig& config) {
  Json out = Json::object();
  for (const engine::PortRequest& port : config.ports) {
    out[PortKey(port.container_port, port.protocol)] = Json::object();
  }
  return out;
}

// "80/tcp": [{HostIp, HostPort}], or null for a port that is only exposed.
Json Ports(const Container& container) {
  Json out = Json::object();
  if (!container.state.running()) return out;
  for (const engine::PublishedPort& port : container.ports) {
    Json& entry = out[PortKey(port.container_port, port.protocol)];
    if (port.host_port == 0) continue;
    entry.push_back({{"HostIp", port.host_ip}, {"HostPort", std::to_string(port.host_port)}});
  }
  return out;
}

std::string_view RestartName(engine::RestartMode mode) {
  switch (mode) {
    case engine::RestartMode::kNo:
      return "no";
    case engine::RestartMode::kAlways:
      return "always";
    case engine::RestartMode::kUnlessStopped:
      return "unless-stopped";
    case engine::RestartMode::kOnFailure:
      return "on-failure";
  }
  return "no";
}

std::string_view MountName(engine::MountKind kind) {
  switch (kind) {
    case engine::MountKind::kBind:
      return "bind";
    case engine::MountKind::kVolume:
      return "volume";
    case engine::MountKind::kTmpfs:
      return "tmpfs";
    case engine::MountKind::kImage:
      return "image";
  }
  return "bind";
}

std::string NetworkMode(const engine::ContainerConfig& config) {
  if (!config.network_mode.empty()) return config.network_mode;
  return config.endpoints.empty() ? "default" : config.endpoints.front().network;
}

void AddResources(const engine::Resources& resources, Json& out) {
  out["CpuShares"] = resources.cpu_shares;
  out["Memory"] = resources.memory;
  out["NanoCpus"] = resources.nano_cpus;
  out["BlkioWeight"] = resources.blkio_weight;
  out["CpuPeriod"] = resources.cpu_period;
  out["CpuQuota"] = resources.cpu_quota;
  out["CpusetCpus"] = resources.cpuset_cpus;
  out["CpusetMems"] = resources.cpuset_mems;
  out["MemoryReservation"] = resources.memory_reservation;
  out["MemorySwap"] = resources.memory_swap;
  out["MemorySwappiness"] =
      resources.memory_swappiness ? Json(*resources.memory_swappiness) : Json();
  out["OomKillDisable"] = resources.oom_kill_disable;
  out["PidsLimit"] = resources.pids == 0 ? Json() : Json(resources.pids);
}

Json Binds(const engine::ContainerConfig& config) {
  Json out = Json::array();
  for (const engine::MountRequest& mount : config.mounts) {
    if (mount.source.empty() || mount.kind == engine::MountKind::kTmpfs) continue;
    out.push_back(mount.source + ':' + mount.target + (mount.read_only ? ":ro" : ""));
  }
  return out.empty() ? Json() : out;
}

Json Tmpfs(const engine::ContainerConfig& config) {
  Json out = Json::object();
  for (const engine::MountRequest& mount : config.mounts) {
    if (mount.kind != engine::MountKind::kTmpfs) continue;
    std::vector<std::string> options = mount.tmpfs_options;
    if (mount.tmpfs_size != 0) options.push_back(fmt::format("size={}", mount.tmpfs_size));
    if (mount.tmpfs_mode != 0) options.push_back(fmt::format("mode={:o}", mount.tmpfs_mode));
    out[mount.target] = Join(options, ",");
  }
  return out;
}

void AddDevices(const engine::ContainerConfig& config, Json& out) {
  Json devices = Json::array();
  for (const engine::DeviceRequest& device : config.devices) {
    devices.push_back({{"PathOnHost", device.host_path},
                       {"PathInContainer", device.container_path},
                       {"CgroupPermissions", device.permissions}});
  }
  out["Devices"] = std::move(devices);
  out["DeviceCgroupRules"] = JsonOrNull(config.device_cgroup_rules);
  out["DeviceRequests"] = nullptr;
  Json limits = Json::array();
  for (const engine::Ulimit& limit : config.ulimits) {
    limits.push_back({{"Name", limit.name}, {"Hard", limit.hard}, {"Soft", limit.soft}});
  }
  out["Ulimits"] = std::move(limits);
}

Json HostConfig(const engine::ContainerConfig& config) {
  Json out;
  out["Binds"] = Binds(config);
  out["ContainerIDFile"] = "";
  out["LogConfig"] = {{"Type", config.log.driver.empty() ? "json-file" : config.log.driver},
                      {"Config", JsonObject(config.log.options)}};
  out["NetworkMode"] = NetworkMode(config);
  out["PortBindings"] = PortBindings(config);
  out["RestartPolicy"] = {{"Name", RestartName(config.restart.mode)},
                          {"MaximumRetryCount", config.restart.maximum_retries}};
  out["AutoRemove"] = config.auto_remove;
  out["VolumeDriver"] = "";
  out["VolumesFrom"] = JsonOrNull(config.volumes_from);
  out["ConsoleSize"] = {0, 0};
  out["CapAdd"] = JsonOrNull(config.cap_add);
  out["CapDrop"] = JsonOrNull(config.cap_drop);
  out["CgroupnsMode"] = config.cgroupns_mode.empty() ? "private" : config.cgroupns_mode;
  out["Dns"] = config.dns;
  out["DnsOptions"] = config.dns_options;
  out["DnsSearch"] = config.dns_search;
  out["ExtraHosts"] = JsonOrNull(config.extra_hosts);
  out["GroupAdd"] = JsonOrNull(config.group_add);
  out["IpcMode"] = config.ipc_mode.empty() ? "private" : config.ipc_mode;
  out["Cgroup"] = "";
  out["Links"] = nullptr;
  out["OomScoreAdj"] = config.oom_score_adj;
  out["PidMode"] = config.pid_mode;
  out["Privileged"] = config.privileged;
  out["PublishAllPorts"] = config.publish_all;
  out["ReadonlyRootfs"] = config.read_only;
  out["SecurityOpt"] = JsonOrNull(config.security_opt);
  if (const Json tmpfs = Tmpfs(config); !tmpfs.empty()) out["Tmpfs"] = tmpfs;
  out["UTSMode"] = config.uts_mode;
  out["UsernsMode"] = config.userns_mode;
  out["ShmSize"] = config.shm_size == 0 ? kDefaultShmSize : config.shm_size;
  if (!config.sysctls.empty()) out["Sysctls"] = JsonObject(config.sysctls);
  out["Runtime"] = config.runtime.empty() ? "runc" : config.runtime;
  out["Isolation"] = "";
  AddResources(config.resources, out);
  AddDevices(config, out);
  out["CgroupParent"] = config.cgroup_parent;
  out["Init"] = config.init ? Json(*config.init) : Json();
  return out;
}

Json Mounts(const Container& container) {
  Json out = Json::array();
  for (const engine::Mount& mount : container.mounts) {
    Json entry;
    entry["Type"] = MountName(mount.kind);
    if (!mount.name.empty()) entry["Name"] = mount.name;
    entry["Source"] = mount.source;
    entry["Destination"] = mount.target;
    if (mount.kind == engine::MountKind::kVolume) entry["Driver"] = "local";
    entry["Mode"] = mount.read_only ? "ro" : "";
    entry["RW"] = !mount.read_only;
    entry["Propagation"] = mount.kind == engine::MountKind::kBind ? "rprivate" : "";
    out.push_back(std::move(entry));
  }
  return out;
}

Json HealthcheckJson(const engine::Healthcheck& check) {
  Json out;
  if (!check.test.empty()) out["Test"] = check.test;
  const auto span = [&](const char* name, engine::Nanoseconds value) {
    if (value.count() != 0) out[name] = value.count();
  };
  span("Interval", check.interval);
  span("Timeout", check.timeout);
  span("StartPeriod", check.start_period);
  span("StartInterval", check.start_interval);
  if (check.retries != 0) out["Retries"] = check.retries;
  return out;
}

Json Config(const Container& container) {
  const engine::ContainerConfig& config = container.config;
  Json out;
  out["Hostname"] = config.hostname.empty() ? container.id.substr(0, 12) : config.hostname;
  out["Domainname"] = config.domainname;
  out["User"] = config.user;
  out["AttachStdin"] = false;
  out["AttachStdout"] = true;
  out["AttachStderr"] = true;
  if (const Json ports = ExposedPorts(config); !ports.empty()) out["ExposedPorts"] = ports;
  out["Tty"] = config.tty;
  out["OpenStdin"] = config.open_stdin;
  out["StdinOnce"] = config.open_stdin;
  out["Env"] = JsonOrNull(config.environment);
  out["Cmd"] = config.command ? JsonOrNull(*config.command) : Json();
  if (config.healthcheck) out["Healthcheck"] = HealthcheckJson(*config.healthcheck);
  out["Image"] = container.image;
  out["Volumes"] = nullptr;
  out["WorkingDir"] = config.working_dir;
  out["Entrypoint"] = config.entrypoint ? JsonOrNull(*config.entrypoint) : Json();
  out["OnBuild"] = nullptr;
  out["Labels"] = JsonObject(container.labels);
  if (!config.stop_signal.empty()) out["StopSignal"] = config.stop_signal;
  if (config.stop_timeout) {
    out["StopTimeout"] =
        std::chrono::duration_cast<std::chrono::seconds>(*config.stop_timeout).count();
  }
  return out;
}

Json EndpointJson(const engine::Endpoint& endpoint) {
  Json out;
  out["IPAMConfig"] = nullptr;
  out["Links"] = nullptr;
  out["Aliases"] = JsonOrNull(endpoint.aliases);
  out["MacAddress"] = endpoint.mac_address;
  out["DriverOpts"] = nullptr;
  out["GwPriority"] = 0;
  out["NetworkID"] = endpoint.network_id;
  out["EndpointID"] = endpoint.endpoint_id;
  out["Gateway"] = endpoint.ipv4_gateway;
  out["IPAddress"] = endpoint.ipv4_address;
  out["IPPrefixLen"] = endpoint.ipv4_prefix;
  out["IPv6Gateway"] = endpoint.ipv6_gateway;
  out["GlobalIPv6Address"] = endpoint.ipv6_address;
  out["GlobalIPv6PrefixLen"] = endpoint.ipv6_prefix;
  out["DNSNames"] = JsonOrNull(endpoint.aliases);
  return out;
}

Json NetworkSettings(const Container& container) {
  // The members outside of Networks describe the default bridge.
  engine::Endpoint legacy;
  Json networks = Json::object();
  for (const engine::Endpoint& endpoint : container.endpoints) {
    if (endpoint.network == "bridge") legacy = endpoint;
    networks[endpoint.network] = EndpointJson(endpoint);
  }
  const std::string& mode = container.config.network_mode;
  if (networks.empty() && (mode == "host" || mode == "none")) networks[mode] = EndpointJson({});
  Json out;
  out["Bridge"] = "";
  out["SandboxID"] = "";
  out["SandboxKey"] = container.state.pid == 0
                          ? std::string()
                          : fmt::format("/proc/{}/ns/net", container.state.pid);
  out["Ports"] = Ports(container);
  out["HairpinMode"] = false;
  out["LinkLocalIPv6Address"] = "";
  out["LinkLocalIPv6PrefixLen"] = 0;
  out["SecondaryIPAddresses"] = nullptr;
  out["SecondaryIPv6Addresses"] = nullptr;
  out["EndpointID"] = legacy.endpoint_id;
  out["Gateway"] = legacy.ipv4_gateway;
  out["GlobalIPv6Address"] = legacy.ipv6_address;
  out["GlobalIPv6PrefixLen"] = legacy.ipv6_prefix;
  out["IPAddress"] = legacy.ipv4_address;
  out["IPPrefixLen"] = legacy.ipv4_prefix;
  out["IPv6Gateway"] = legacy.ipv6_gateway;
  out["MacAddress"] = legacy.mac_address;
  out["Networks"] = std::move(networks);
  return out;
}

}  // namespace

Json InspectContainer(const Container& container) {
  Json out;
  out["Id"] = container.id;
  out["Created"] = Time(container.created_at);
  out["Path"] = container.command.empty() ? "" : container.command.front();
  out["Args"] = container.command.empty()
                    ? Json::array()
                    : Json(std::vector(container.command.begin() + 1, container.command.end()));
  out["State"] = State(container.state);
  out["Image"] = container.image_id;
  out["ResolvConfPath"] = "";
  out["HostnamePath"] = "";
  out["HostsPath"] = "";
  out["LogPath"] = container.log_path;
  out["Name"] = '/' + container.name;
  out["RestartCount"] = container.state.restart_count;
  out["Driver"] = "overlay2";
  out["Platform"] = "linux";
  out["MountLabel"] = "";
  out["ProcessLabel"] = "";
  out["AppArmorProfile"] = "";
  out["ExecIDs"] = nullptr;
  out["HostConfig"] = HostConfig(container.config);
  out["GraphDriver"] = {{"Data", nullptr}, {"Name", "overlay2"}};
  out["Mounts"] = Mounts(container);
  out["Config"] = Config(container);
  out["NetworkSettings"] = NetworkSettings(container);
  return out;
}

}  // namespace skiff::cli
