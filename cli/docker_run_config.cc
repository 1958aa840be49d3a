#include <fmt/format.h>

#include <cmath>

#include "base/fd.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/docker_run.h"

namespace skiff::cli {
namespace {

using engine::ContainerConfig;

template <typename Value, typename Parser>
Status ParseEach(const Arguments& arguments, std::string_view flag, std::vector<Value>& out,
                 Parser parse) {
  for (const std::string& word : arguments.List(flag)) {
    SKIFF_ASSIGN(Value value, parse(word));
    out.push_back(std::move(value));
  }
  return {};
}

Status ParsePairs(const std::vector<std::string>& words, std::string_view what,
                  std::map<std::string, std::string>& out) {
  for (const std::string& word : words) {
    SKIFF_ASSIGN(auto pair, ParseKeyValue(word, what));
    out.insert_or_assign(std::move(pair.first), std::move(pair.second));
  }
  return {};
}

Status ParseSize(const Arguments& arguments, std::string_view flag, int64_t& out) {
  if (!arguments.Has(flag)) return {};
  auto size = ParseBytes(arguments.Text(flag));
  if (!size) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid argument \"{}\" for \"--{}\" flag",
                                                    arguments.Text(flag), flag));
  }
  out = *size;
  return {};
}

Status FillEnvironment(const Arguments& arguments, const Environment& environment,
                       ContainerConfig& config) {
  for (const std::string& path : arguments.List("env-file")) {
    SKIFF_ASSIGN(const auto lines, ReadEnvironmentFile(path, environment));
    config.environment.insert(config.environment.end(), lines.begin(), lines.end());
  }
  SKIFF_ASSIGN(const auto variables, ResolveEnvironment(arguments.List("env"), environment));
  config.environment.insert(config.environment.end(), variables.begin(), variables.end());
  for (const std::string& path : arguments.List("label-file")) {
    SKIFF_ASSIGN(const std::string text, ReadFile(path));
    std::vector<std::string> words;
    for (std::string_view line : Split(text, '\n')) {
      line = Trim(line);
      if (!line.empty() && line[0] != '#') words.emplace_back(line);
    }
    SKIFF_TRY(ParsePairs(words, "label", config.labels));
  }
  return ParsePairs(arguments.List("label"), "label", config.labels);
}

Status FillHealthcheck(const Arguments& arguments, ContainerConfig& config) {
  engine::Healthcheck check;
  bool given = false;
  const auto span = [&](std::string_view flag, engine::Nanoseconds& out) -> Status {
    if (!arguments.Has(flag)) return {};
    given = true;
    SKIFF_ASSIGN(out, ParseDuration(arguments.Text(flag)));
    if (out.count() < 0) {
      return Fail(Code::kInvalidArgument, fmt::format("--{} cannot be negative", flag));
    }
    return {};
  };
  SKIFF_TRY(span("health-interval", check.interval));
  SKIFF_TRY(span("health-timeout", check.timeout));
  SKIFF_TRY(span("health-start-period", check.start_period));
  SKIFF_TRY(span("health-start-interval", check.start_interval));
  if (const auto retries = arguments.Number("health-retries")) {
    given = true;
    check.retries = static_cast<int>(*retries);
  }
  if (arguments.Has("health-cmd") && !arguments.Text("health-cmd").empty()) {
    given = true;
    check.test = {"CMD-SHELL", arguments.Text("health-cmd")};
  }
  if (arguments.Bool("no-healthcheck")) {
    if (given) {
      return Fail(Code::kInvalidArgument, "--no-healthcheck conflicts with --health-* options");
    }
    check.test = {"NONE"};
    given = true;
  }
  if (given) config.healthcheck = std::move(check);
  return {};
}

Status FillMounts(const Arguments& arguments, const std::string& working_dir,
                  ContainerConfig& config) {
  for (const std::string& word : arguments.List("volume")) {
    SKIFF_ASSIGN(auto mount, ParseVolume(word, working_dir));
    config.mounts.push_back(std::move(mount));
  }
  for (const std::string& word : arguments.List("mount")) {
    SKIFF_ASSIGN(auto mount, ParseMount(word, working_dir));
    config.mounts.push_back(std::move(mount));
  }
  for (const std::string& word : arguments.List("tmpfs")) {
    SKIFF_ASSIGN(auto mount, ParseTmpfs(word));
    config.mounts.push_back(std::move(mount));
  }
  for (size_t i = 0; i < config.mounts.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (config.mounts[i].target != config.mounts[j].target) continue;
      return Fail(Code::kInvalidArgument,
                  fmt::format("duplicate mount point: {}", config.mounts[i].target));
    }
  }
  config.volumes_from = arguments.List("volumes-from");
  return {};
}

Status FillPorts(const Arguments& arguments, ContainerConfig& config) {
  for (const std::string& word : arguments.List("publish")) {
    SKIFF_ASSIGN(auto ports, ParsePublish(word));
    config.ports.insert(config.ports.end(), ports.begin(), ports.end());
  }
  for (const std::string& word : arguments.List("expose")) {
    SKIFF_ASSIGN(auto ports, ParseExpose(word));
    config.ports.insert(config.ports.end(), ports.begin(), ports.end());
  }
  config.publish_all = arguments.Bool("publish-all");
  return {};
}

Status FillNetwork(const Arguments& arguments, ContainerConfig& config) {
  std::vector<std::string> networks = arguments.List("network");
  for (const std::string& word : arguments.List("net")) networks.push_back(word);
  std::vector<std::string> aliases = arguments.List("network-alias");
  for (const std::string& word : arguments.List("net-alias")) aliases.push_back(word);
  for (const std::string& word : networks) {
    SKIFF_ASSIGN(NetworkChoice choice, ParseNetwork(word));
    if (choice.mode.empty()) {
      config.endpoints.push_back(std::move(choice.endpoint));
    } else if (networks.size() > 1) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("conflicting options: cannot attach both user-defined and "
                              "non-user-defined network-modes ({})",
                              choice.mode));
    } else {
      config.network_mode = choice.mode;
    }
  }
  if (networks.empty()) config.network_mode = "bridge";
  if (config.endpoints.empty()) {
    if (aliases.empty() && !arguments.Has("ip") && !arguments.Has("ip6")) return {};
    return Fail(
        Code::kInvalidArgument,
        "network-scoped aliases and addresses are only supported for user-defined networks");
  }
  engine::EndpointRequest& first = config.endpoints.front();
  first.aliases.insert(first.aliases.end(), aliases.begin(), aliases.end());
  if (arguments.Has("ip")) first.ipv4_address = arguments.Text("ip");
  if (arguments.Has("ip6")) first.ipv6_address = arguments.Text("ip6");
  if (arguments.Has("mac-address")) first.mac_address = arguments.Text("mac-address");
  return {};
}

Status FillResources(const Arguments& arguments, engine::Resources& resources) {
  SKIFF_TRY(ParseSize(arguments, "memory", resources.memory));
  SKIFF_TRY(ParseSize(arguments, "memory-swap", resources.memory_swap));
  SKIFF_TRY(ParseSize(arguments, "memory-reservation", resources.memory_reservation));
  if (arguments.Has("cpus")) {
    SKIFF_ASSIGN(resources.nano_cpus, ParseCpus(arguments.Text("cpus")));
  }
  const auto number = [&](std::string_view flag, int64_t& out) {
    if (const auto value = arguments.Number(flag)) out = *value;
  };
  number("cpu-shares", resources.cpu_shares);
  number("cpu-period", resources.cpu_period);
  number("cpu-quota", resources.cpu_quota);
  number("pids-limit", resources.pids);
  if (resources.nano_cpus != 0 && (resources.cpu_period != 0 || resources.cpu_quota != 0)) {
    return Fail(Code::kInvalidArgument,
                "conflicting options: --cpus and --cpu-period or --cpu-quota");
  }
  const auto swappiness = arguments.Number("memory-swappiness");
  if (swappiness && *swappiness != -1) {
    if (*swappiness < 0 || *swappiness > 100) {
      return Fail(
          Code::kInvalidArgument,
          fmt::format("invalid value: {}. Valid memory swappiness range is 0-100", *swappiness));
    }
    resources.memory_swappiness = *swappiness;
  }
  if (const auto weight = arguments.Number("blkio-weight")) {
    if (*weight != 0 && (*weight < 10 || *weight > 1000)) {
      return Fail(Code::kInvalidArgument, "--blkio-weight must be between 10 and 1000, or 0");
    }
    resources.blkio_weight = static_cast<uint16_t>(*weight);
  }
  resources.cpuset_cpus = arguments.Text("cpuset-cpus");
  resources.cpuset_mems = arguments.Text("cpuset-mems");
  resources.oom_kill_disable = arguments.Bool("oom-kill-disable");
  return {};
}

Status FillIsolation(const Arguments& arguments, ContainerConfig& config) {
  config.cap_add = arguments.List("cap-add");
  config.cap_drop = arguments.List("cap-drop");
  config.security_opt = arguments.List("security-opt");
  config.group_add = arguments.List("group-add");
  config.privileged = arguments.Bool("privileged");
  config.read_only = arguments.Bool("read-only");
  SKIFF_TRY(ParseEach(arguments, "device", config.devices, ParseDevice));
  config.device_cgroup_rules = arguments.List("device-cgroup-rule");
  SKIFF_TRY(ParseEach(arguments, "ulimit", config.ulimits, ParseUlimit));
  SKIFF_TRY(ParsePairs(arguments.List("sysctl"), "sysctl", config.sysctls));
  SKIFF_TRY(ParseSize(arguments, "shm-size", config.shm_size));
  config.oom_score_adj = static_cast<int>(arguments.Number("oom-score-adj").value_or(0));
  config.pid_mode = arguments.Text("pid");
  config.ipc_mode = arguments.Text("ipc");
  config.uts_mode = arguments.Text("uts");
  config.userns_mode = arguments.Text("userns");
  config.cgroupns_mode = arguments.Text("cgroupns");
  config.cgroup_parent = arguments.Text("cgroup-parent");
  config.runtime = arguments.Text("runtime");
  return FillResources(arguments, config.resources);
}

Status FillProcess(const Arguments& arguments, ContainerConfig& config) {
  const std::vector<std::string>& words = arguments.operands();
  config.name = arguments.Text("name");
  config.image = words[0];
  if (words.size() > 1) config.command = std::vector(words.begin() + 1, words.end());
  if (arguments.Has("entrypoint")) {
    const std::string entrypoint = arguments.Text("entrypoint");
    config.entrypoint.emplace();
    if (!entrypoint.empty()) config.entrypoint->push_back(entrypoint);
  }
  config.user = arguments.Text("user");
  config.working_dir = arguments.Text("workdir");
  config.hostname = arguments.Text("hostname");
  config.domainname = arguments.Text("domainname");
  config.tty = arguments.Bool("tty");
  config.open_stdin = arguments.Bool("interactive");
  if (arguments.Has("init")) config.init = arguments.Bool("init");
  config.auto_remove = arguments.Bool("rm");
  config.stop_signal = arguments.Text("stop-signal");
  if (!config.stop_signal.empty()) SKIFF_TRY(ParseSignal(config.stop_signal));
  if (const auto seconds = arguments.Number("stop-timeout")) {
    config.stop_timeout = std::chrono::seconds(*seconds);
  }
  SKIFF_ASSIGN(config.restart, ParseRestart(arguments.Text("restart")));
  if (config.auto_remove && config.restart.mode != engine::RestartMode::kNo) {
    return Fail(Code::kInvalidArgument,
                "conflicting options: cannot specify both --restart and --rm");
  }
  config.dns = arguments.List("dns");
  config.dns_search = arguments.List("dns-search");
  config.dns_options = arguments.List("dns-option");
  for (const std::string& host : arguments.List("add-host")) {
    // host=ip is the newer spelling of host:ip.
    const size_t mark = host.find_first_of(":=");
    if (mark == 0 || mark == std::string::npos) {
      return Fail(Code::kInvalidArgument, fmt::format("bad format for add-host: \"{}\"", host));
    }
    config.extra_hosts.push_back(host.substr(0, mark) + ':' + host.substr(mark + 1));
  }
  config.log.driver = arguments.Text("log-driver");
  return ParsePairs(arguments.List("log-opt"), "log option", config.log.options);
}

// What docker has and Skiff has not. --kernel-memory has no effect there either.
Status RefuseUnsupported(const Arguments& arguments) {
  struct Refused {
    std::string_view flag, note;
  };
  static constexpr Refused kRefused[] = {
      {"blkio-weight-device", ""},
      {"cpu-rt-period", ""},
      {"cpu-rt-runtime", ""},
      {"device-read-bps", ""},
      {"device-read-iops", ""},
      {"device-write-bps", ""},
      {"device-write-iops", ""},
      {"gpus", "--device gives a device of this machine"},
      {"link", "containers of one network (--network) reach each other by name"},
      {"link-local-ip", ""},
      {"storage-opt", ""},
      {"use-api-socket", "there is no daemon whose socket could be used"},
  };
  for (const Refused& refused : kRefused) {
    if (!arguments.Has(refused.flag)) continue;
    Error error(Code::kUnsupported, fmt::format("--{} is not supported", refused.flag));
    if (!refused.note.empty()) error.notes.push_back({std::string(refused.note), {}});
    return Fail(std::move(error));
  }
  const std::string isolation = arguments.Text("isolation");
  if (!isolation.empty() && isolation != "default") {
    return Fail(Code::kInvalidArgument,
                fmt::format("invalid isolation \"{}\": Linux has \"default\" only", isolation));
  }
  const std::string driver = arguments.Text("volume-driver");
  if (!driver.empty() && driver != "local") {
    return Fail(Code::kUnsupported,
                fmt::format("volume driver \"{}\" is not supported: use local", driver));
  }
  return {};
}

}  // namespace

Result<ContainerConfig> ContainerConfigOf(const Arguments& arguments,
                                          const Environment& environment,
                                          const std::string& working_dir) {
  ContainerConfig config;
  SKIFF_TRY(RefuseUnsupported(arguments));
  SKIFF_TRY(FillProcess(arguments, config));
  SKIFF_TRY(FillEnvironment(arguments, environment, config));
  SKIFF_TRY(FillHealthcheck(arguments, config));
  SKIFF_TRY(FillMounts(arguments, working_dir, config));
  SKIFF_TRY(FillPorts(arguments, config));
  SKIFF_TRY(FillNetwork(arguments, config));
  SKIFF_TRY(FillIsolation(arguments, config));
  SKIFF_TRY(ParsePairs(arguments.List("annotation"), "annotation", config.annotations));
  return config;
}

}  // namespace skiff::cli
