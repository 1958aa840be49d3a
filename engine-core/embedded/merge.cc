#include "engine-core/embedded/merge.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "engine-core/embedded/spec.h"

namespace skiff::engine::embedded {
namespace {

constexpr std::string_view kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::string_view kReservedLabels[] = {"com.docker.compose.", "dev.skiff."};

std::string_view KeyOf(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

// The image's variables first, each replaced in place; a bare key takes one away.
std::vector<std::string> MergeEnvironment(const std::vector<std::string>& image,
                                          const std::vector<std::string>& request) {
  std::vector<std::string> merged = image;
  for (const std::string& variable : request) {
    const std::string_view key = KeyOf(variable);
    const auto same = [&](const std::string& other) { return KeyOf(other) == key; };
    const auto found = std::ranges::find_if(merged, same);
    if (variable.find('=') == std::string::npos) {
      std::erase_if(merged, same);
    } else if (found != merged.end()) {
      *found = variable;
    } else {
      merged.push_back(variable);
    }
  }
  const bool has_path = std::ranges::any_of(
      merged, [](const std::string& variable) { return KeyOf(variable) == "PATH"; });
  if (!has_path) merged.insert(merged.begin(), std::string(kDefaultPath));
  return merged;
}

Result<PortRequest> ParseExposed(const std::string& text) {
  const size_t slash = text.find('/');
  const auto number = ParseNumber<uint16_t>(text.substr(0, slash));
  const std::string protocol = slash == std::string::npos ? "tcp" : text.substr(slash + 1);
  PortRequest port;
  port.publish = false;
  if (protocol == "udp") {
    port.protocol = Protocol::kUdp;
  } else if (protocol == "sctp") {
    port.protocol = Protocol::kSctp;
  } else if (protocol != "tcp") {
    return Fail(Code::kInvalidArgument, "the image exposes '" + text + "', which is no port");
  }
  if (!number || *number == 0) {
    return Fail(Code::kInvalidArgument, "the image exposes '" + text + "', which is no port");
  }
  port.container_port = *number;
  return port;
}

Status MergePorts(ContainerConfig& config, const ImageConfig& image) {
  for (const std::string& text : image.exposed_ports) {
    SKIFF_ASSIGN(PortRequest port, ParseExposed(text));
    const bool known = std::ranges::any_of(config.ports, [&](const PortRequest& other) {
      return other.container_port == port.container_port && other.protocol == port.protocol;
    });
    if (!known) config.ports.push_back(port);
  }
  if (!config.publish_all) return {};
  for (PortRequest& port : config.ports) port.publish = true;
  return {};
}

std::string WithoutTrailingSlash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

void MergeVolumes(ContainerConfig& config, const ImageConfig& image) {
  for (const std::string& target : image.volumes) {
    const std::string clean = WithoutTrailingSlash(target);
    const bool mounted = std::ranges::any_of(config.mounts, [&](const MountRequest& mount) {
      return WithoutTrailingSlash(mount.target) == clean;
    });
    if (mounted) continue;
    MountRequest mount;
    mount.kind = MountKind::kVolume;
    mount.target = clean;
    config.mounts.push_back(mount);
  }
}

Healthcheck MergeHealthcheck(const Healthcheck& request, const Healthcheck& image) {
  Healthcheck merged = request;
  if (merged.test.empty()) merged.test = image.test;
  const auto inherit = [](Nanoseconds& value, Nanoseconds from, Nanoseconds otherwise) {
    if (value.count() == 0) value = from.count() != 0 ? from : otherwise;
  };
  using std::chrono::seconds;
  inherit(merged.interval, image.interval, seconds(30));
  inherit(merged.timeout, image.timeout, seconds(30));
  inherit(merged.start_period, image.start_period, seconds(0));
  inherit(merged.start_interval, image.start_interval, seconds(5));
  if (merged.retries == 0) merged.retries = image.retries != 0 ? image.retries : 3;
  return merged;
}

}  // namespace

Result<MergedConfig> MergeImageConfig(const ContainerConfig& request, const ImageConfig& image) {
  MergedConfig merged;
  ContainerConfig& config = merged.config;
  config = request;
  config.environment = MergeEnvironment(image.environment, request.environment);
  if (config.user.empty()) config.user = image.user;
  if (config.working_dir.empty()) config.working_dir = image.working_dir;
  if (config.stop_signal.empty()) config.stop_signal = image.stop_signal;
  for (const auto& [key, value] : image.labels) {
    const bool reserved = std::ranges::any_of(
        kReservedLabels, [&](std::string_view prefix) { return key.starts_with(prefix); });
    if (!reserved) config.labels.emplace(key, value);
  }
  SKIFF_TRY(MergePorts(config, image));
  MergeVolumes(config, image);
  if (request.healthcheck || image.healthcheck) {
    config.healthcheck = MergeHealthcheck(request.healthcheck.value_or(Healthcheck{}),
                                          image.healthcheck.value_or(Healthcheck{}));
  }

  std::vector<std::string> entrypoint = request.entrypoint.value_or(image.entrypoint);
  // [""] is how an entrypoint is taken away on a command line.
  if (entrypoint == std::vector<std::string>{""}) entrypoint.clear();
  std::vector<std::string> command;
  if (request.command && !request.command->empty()) {
    command = *request.command;
  } else if (!request.entrypoint) {
    command = image.command;
  }
  config.entrypoint = entrypoint;
  config.command = command;
  merged.command = entrypoint;
  merged.command.insert(merged.command.end(), command.begin(), command.end());
  if (merged.command.empty()) {
    return Fail(Code::kInvalidArgument, "no command specified");
  }
  return merged;
}

Status ValidateConfig(const ContainerConfig& config) {
  const auto conflict = [](const std::string& what) {
    return Fail(Code::kInvalidArgument, "conflicting options: " + what);
  };
  std::set<std::string> targets;
  for (const MountRequest& mount : config.mounts) {
    const std::string target = WithoutTrailingSlash(mount.target);
    if (target.empty() || target[0] != '/' || target == "/") {
      return Fail(Code::kInvalidArgument, "invalid mount target '" + mount.target +
                                              "': it must be an absolute path that is not /");
    }
    for (const std::string_view part : Split(target, '/')) {
      if (part == "..") {
        return Fail(Code::kInvalidArgument, "invalid mount target '" + mount.target + "'");
      }
    }
    if (!targets.insert(target).second) {
      return Fail(Code::kInvalidArgument, "Duplicate mount point: " + target);
    }
    if (mount.kind == MountKind::kBind && (mount.source.empty() || mount.source[0] != '/')) {
      return Fail(Code::kInvalidArgument, "invalid mount config for type \"bind\": the source '" +
                                              mount.source + "' must be an absolute path");
    }
  }
  if (!config.stop_signal.empty()) SKIFF_TRY(ParseSignal(config.stop_signal));
  for (const Ulimit& limit : config.ulimits) {
    if (UlimitResource(limit.name) < 0) {
      return Fail(Code::kInvalidArgument, "invalid ulimit type: " + limit.name);
    }
    if (limit.hard != -1 && (limit.soft > limit.hard || limit.soft == -1)) {
      return Fail(Code::kInvalidArgument,
                  "ulimit " + limit.name + ": the soft limit is above the hard limit");
    }
  }
  if (config.hostname.size() > 64) {
    return Fail(Code::kInvalidArgument,
                "invalid hostname '" + config.hostname + "': it is longer than 64 bytes");
  }
  if (config.auto_remove && config.restart.mode != RestartMode::kNo) {
    return Fail(Code::kInvalidArgument, "can't create 'AutoRemove' container with restart policy");
  }
  if (config.uts_mode == "host" && !config.hostname.empty()) {
    return conflict("hostname and the UTS mode");
  }
  const bool shares_network = config.network_mode.starts_with("container:");
  if (shares_network) {
    if (!config.hostname.empty()) return conflict("hostname and the network mode");
    if (!config.dns.empty()) return conflict("dns and the network mode");
    if (!config.extra_hosts.empty()) {
      return conflict("custom host-to-IP mapping and the network mode");
    }
    const bool publishes = std::ranges::any_of(config.ports, &PortRequest::publish);
    if (publishes) return conflict("port publishing and the container type network mode");
  }
  if (!config.endpoints.empty() &&
      (shares_network || config.network_mode == "host" || config.network_mode == "none")) {
    return Fail(
        Code::kInvalidArgument,
        "container cannot be connected to networks and use network mode " + config.network_mode);
  }
  if (!config.pid_mode.empty() && config.init.value_or(false)) {
    return conflict("init and the PID mode");
  }
  return {};
}

}  // namespace skiff::engine::embedded
