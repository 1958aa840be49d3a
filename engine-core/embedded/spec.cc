#include "engine-core/embedded/spec.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/fd.h"
#include "base/text.h"
#include "base/units.h"
#include "engine-core/capabilities.h"
#include "engine-core/image/layer_draft.h"
#include "engine-core/image/merged_root.h"
#include "engine-core/runtime_defaults.h"
#include "engine-core/seccomp.h"

namespace skiff::engine::embedded {
namespace {

constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct SignalName {
  std::string_view name;  // Without "SIG".
  int number;
};
constexpr std::array kSignals = {
    SignalName{"ABRT", SIGABRT},     SignalName{"ALRM", SIGALRM},   SignalName{"BUS", SIGBUS},
    SignalName{"CHLD", SIGCHLD},     SignalName{"CLD", SIGCHLD},    SignalName{"CONT", SIGCONT},
    SignalName{"FPE", SIGFPE},       SignalName{"HUP", SIGHUP},     SignalName{"ILL", SIGILL},
    SignalName{"INT", SIGINT},       SignalName{"IO", SIGIO},       SignalName{"IOT", SIGABRT},
    SignalName{"KILL", SIGKILL},     SignalName{"PIPE", SIGPIPE},   SignalName{"POLL", SIGIO},
    SignalName{"PROF", SIGPROF},     SignalName{"PWR", SIGPWR},     SignalName{"QUIT", SIGQUIT},
    SignalName{"SEGV", SIGSEGV},     SignalName{"STKFLT", 16},      SignalName{"STOP", SIGSTOP},
    SignalName{"SYS", SIGSYS},       SignalName{"TERM", SIGTERM},   SignalName{"TRAP", SIGTRAP},
    SignalName{"TSTP", SIGTSTP},     SignalName{"TTIN", SIGTTIN},   SignalName{"TTOU", SIGTTOU},
    SignalName{"URG", SIGURG},       SignalName{"USR1", SIGUSR1},   SignalName{"USR2", SIGUSR2},
    SignalName{"VTALRM", SIGVTALRM}, SignalName{"WINCH", SIGWINCH}, SignalName{"XCPU", SIGXCPU},
    SignalName{"XFSZ", SIGXFSZ},
};

struct UlimitName {
  std::string_view name;
  int resource;
};
constexpr std::array kUlimits = {
    UlimitName{"core", RLIMIT_CORE},         UlimitName{"cpu", RLIMIT_CPU},
    UlimitName{"data", RLIMIT_DATA},         UlimitName{"fsize", RLIMIT_FSIZE},
    UlimitName{"locks", RLIMIT_LOCKS},       UlimitName{"memlock", RLIMIT_MEMLOCK},
    UlimitName{"msgqueue", RLIMIT_MSGQUEUE}, UlimitName{"nice", RLIMIT_NICE},
    UlimitName{"nofile", RLIMIT_NOFILE},     UlimitName{"nproc", RLIMIT_NPROC},
    UlimitName{"rss", RLIMIT_RSS},           UlimitName{"rtprio", RLIMIT_RTPRIO},
    UlimitName{"rttime", RLIMIT_RTTIME},     UlimitName{"sigpending", RLIMIT_SIGPENDING},
    UlimitName{"stack", RLIMIT_STACK},
};

struct TmpfsOption {
  std::string_view name;
  unsigned long set;
  unsigned long clear;
};
// Options that are mount flags; anything else is data for tmpfs (size=, mode=, uid=, ...).
constexpr std::array kTmpfsFlags = {
    TmpfsOption{"ro", MS_RDONLY, 0},        TmpfsOption{"rw", 0, MS_RDONLY},
    TmpfsOption{"exec", 0, MS_NOEXEC},      TmpfsOption{"noexec", MS_NOEXEC, 0},
    TmpfsOption{"suid", 0, MS_NOSUID},      TmpfsOption{"nosuid", MS_NOSUID, 0},
    TmpfsOption{"dev", 0, MS_NODEV},        TmpfsOption{"nodev", MS_NODEV, 0},
    TmpfsOption{"noatime", MS_NOATIME, 0},  TmpfsOption{"atime", 0, MS_NOATIME},
    TmpfsOption{"sync", MS_SYNCHRONOUS, 0},
};

bool HasVariable(const std::vector<std::string>& environment, std::string_view name) {
  return std::any_of(environment.begin(), environment.end(), [&](const std::string& entry) {
    return entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name);
  });
}

// moby: PATH, HOSTNAME, TERM first, then what the image and the user set, which wins by key.
std::vector<std::string> Environment(const ContainerConfig& config, const std::string& hostname) {
  std::vector<std::string> environment;
  if (!HasVariable(config.environment, "PATH")) {
    environment.push_back("PATH=" + std::string(kDefaultPath));
  }
  if (!HasVariable(config.environment, "HOSTNAME") && !hostname.empty()) {
    environment.push_back("HOSTNAME=" + hostname);
  }
  if (config.tty && !HasVariable(config.environment, "TERM")) environment.push_back("TERM=xterm");
  for (const std::string& entry : config.environment) {
    // A bare key removed the image's value when the container was created.
    if (entry.find('=') != std::string::npos) environment.push_back(entry);
  }
  return environment;
}

RuntimeMount BindOf(std::string source, std::string target, bool read_only) {
  RuntimeMount mount;
  mount.kind = RuntimeMountKind::kBind;
  mount.source = std::move(source);
  mount.target = std::move(target);
  mount.flags = read_only ? MS_RDONLY : 0;
  mount.propagation = "rprivate";
  struct stat info = {};
  mount.source_is_file = ::stat(mount.source.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
  return mount;
}

RuntimeMount TmpfsOf(const MountRequest& request) {
  RuntimeMount mount;
  mount.kind = RuntimeMountKind::kTmpfs;
  mount.target = request.target;
  mount.flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (request.read_only ? MS_RDONLY : 0);
  std::vector<std::string> data;
  if (request.tmpfs_size > 0) data.push_back("size=" + std::to_string(request.tmpfs_size));
  if (request.tmpfs_mode != 0) {
    std::string octal;
    for (uint32_t mode = request.tmpfs_mode; mode != 0; mode /= 8) {
      octal.insert(octal.begin(), static_cast<char>('0' + mode % 8));
    }
    data.push_back("mode=" + octal);
  }
  for (const std::string& option : request.tmpfs_options) {
    const auto row = std::find_if(kTmpfsFlags.begin(), kTmpfsFlags.end(),
                                  [&](const TmpfsOption& flag) { return flag.name == option; });
    if (row == kTmpfsFlags.end()) {
      data.push_back(option);
    } else {
      mount.flags = (mount.flags | row->set) & ~row->clear;
    }
  }
  mount.data = Join(data, ",");
  return mount;
}

// The mounts of the configuration meet those that were resolved at create (host paths of volumes)
// by target.
RuntimeMount MountOf(const MountRequest& request, const std::vector<Mount>& resolved) {
  if (request.kind == MountKind::kTmpfs) return TmpfsOf(request);
  std::string source = request.source;
  for (const Mount& mount : resolved) {
    if (mount.target == request.target && !mount.source.empty()) source = mount.source;
  }
  RuntimeMount mount = BindOf(std::move(source), request.target, request.read_only);
  mount.recursive = request.recursive;
  mount.plain_source = !request.subpath.empty();
  if (!request.propagation.empty()) mount.propagation = request.propagation;
  return mount;
}

size_t Depth(const std::string& path) {
  return static_cast<size_t>(std::count(path.begin(), path.end(), '/')) - (path == "/" ? 1 : 0);
}

std::vector<RuntimeMount> Mounts(const SpecInputs& inputs) {
  const store::ContainerRecord& record = *inputs.record;
  const ContainerConfig& config = record.config;
  std::vector<RuntimeMount> own;
  for (const MountRequest& request : config.mounts) own.push_back(MountOf(request, record.mounts));
  // Volumes that came from elsewhere (the image's VOLUME, volumes_from) have no request.
  for (const Mount& mount : record.mounts) {
    const bool known = std::any_of(own.begin(), own.end(), [&](const RuntimeMount& other) {
      return other.target == mount.target;
    });
    if (!known && !mount.source.empty()) {
      own.push_back(BindOf(mount.source, mount.target, mount.read_only));
    }
  }
  const auto taken = [&](const std::string& target) {
    return std::any_of(own.begin(), own.end(),
                       [&](const RuntimeMount& mount) { return mount.target == target; });
  };
  for (const auto& [path, target] :
       {std::pair(inputs.layout->container_hosts(record.id), "/etc/hosts"),
        std::pair(inputs.layout->container_hostname(record.id), "/etc/hostname"),
        std::pair(inputs.layout->container_resolv(record.id), "/etc/resolv.conf")}) {
    if (!taken(target)) own.push_back(BindOf(path, target, false));
  }
  std::stable_sort(own.begin(), own.end(), [](const RuntimeMount& a, const RuntimeMount& b) {
    return Depth(a.target) < Depth(b.target);
  });

  DefaultMountOptions options;
  options.shm_size = config.ipc_mode == "none" ? -1 : config.shm_size;
  options.privileged = config.privileged;
  options.host_cgroup_namespace = inputs.namespaces.cgroup.mode == NamespaceMode::kHost;
  options.writable_cgroups = std::find(config.security_opt.begin(), config.security_opt.end(),
                                       "writable-cgroups=true") != config.security_opt.end();
  std::vector<RuntimeMount> mounts;
  for (RuntimeMount& mount : DefaultMounts(options)) {
    if (!taken(mount.target)) mounts.push_back(std::move(mount));
  }
  mounts.insert(mounts.end(), std::make_move_iterator(own.begin()),
                std::make_move_iterator(own.end()));
  return mounts;
}

// What nobody asked for by name is not worth a warning where it cannot be had.
RuntimeUlimit DefaultLimit(int resource, uint64_t soft, uint64_t hard) {
  constexpr int kSysResource = 24;  // CAP_SYS_RESOURCE
  const bool may_raise = (AvailableCapabilities() >> kSysResource & 1) != 0;
  rlimit own = {};
  if (!may_raise && ::getrlimit(static_cast<__rlimit_resource_t>(resource), &own) == 0) {
    hard = std::min<uint64_t>(hard, own.rlim_max);
  }
  return {resource, std::min(soft, hard), hard};
}

Result<std::vector<RuntimeUlimit>> Ulimits(const std::vector<Ulimit>& wanted) {
  // Without a rule of its own a container gets docker's limits under systemd, not those of the
  // shell that happened to start it (engine.md 7.7).
  std::map<int, RuntimeUlimit> limits;
  limits[RLIMIT_NOFILE] = DefaultLimit(RLIMIT_NOFILE, 1024, 524288);
  limits[RLIMIT_CORE] = DefaultLimit(RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY);
  for (const Ulimit& ulimit : wanted) {
    const int resource = UlimitResource(ulimit.name);
    if (resource < 0) {
      return Fail(Code::kInvalidArgument, "invalid ulimit type: " + ulimit.name);
    }
    const auto value = [](int64_t n) { return n < 0 ? RLIM_INFINITY : static_cast<uint64_t>(n); };
    if (ulimit.hard >= 0 && (ulimit.soft < 0 || ulimit.soft > ulimit.hard)) {
      return Fail(Code::kInvalidArgument,
                  "ulimit soft limit must be less than or equal to hard limit: " +
                      std::to_string(ulimit.soft) + " > " + std::to_string(ulimit.hard));
    }
    limits[resource] = {resource, value(ulimit.soft), value(ulimit.hard)};
  }
  std::vector<RuntimeUlimit> list;
  for (const auto& [resource, limit] : limits) list.push_back(limit);
  return list;
}

bool SysctlIsNamespaced(std::string_view name) {
  static constexpr std::array<std::string_view, 9> kIpc = {
      "kernel.msgmax", "kernel.msgmnb",          "kernel.msgmni",
      "kernel.sem",    "kernel.shmall",          "kernel.shmmax",
      "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.domainname"};
  return name.starts_with("net.") || name.starts_with("fs.mqueue.") ||
         std::find(kIpc.begin(), kIpc.end(), name) != kIpc.end();
}

Result<std::vector<std::string>> Sysctls(const ContainerConfig& config,
                                         const SharedNamespaces& namespaces) {
  std::vector<std::string> list;
  if (namespaces.network.mode == NamespaceMode::kNew) {
    for (const auto& [name, value] :
         {std::pair<std::string, std::string>("net.ipv4.ip_unprivileged_port_start", "0"),
          std::pair<std::string, std::string>("net.ipv4.ping_group_range", "0 2147483647")}) {
      if (!config.sysctls.contains(name)) list.push_back(name + "=" + value);
    }
  }
  for (const auto& [name, value] : config.sysctls) {
    if (!SysctlIsNamespaced(name)) {
      return Fail(Code::kInvalidArgument,
                  "sysctl '" + name + "' is not in a separate kernel namespace");
    }
    if (name.starts_with("net.") && namespaces.network.mode == NamespaceMode::kHost) {
      return Fail(Code::kInvalidArgument,
                  "sysctl '" + name + "' is not allowed in the host's network namespace");
    }
    list.push_back(name + "=" + value);
  }
  return list;
}

struct SecurityOptions {
  bool no_new_privileges = false;
  std::string seccomp;  // "", "unconfined" or a profile's text.
  bool unconfined_paths = false;
};

Result<SecurityOptions> ParseSecurityOptions(const ContainerConfig& config,
                                             std::vector<std::string>* warnings) {
  SecurityOptions options;
  if (config.privileged) options.seccomp = "unconfined";
  for (const std::string& entry : config.security_opt) {
    const size_t separator = entry.find_first_of("=:");
    const std::string_view key = std::string_view(entry).substr(0, separator);
    const std::string value = separator == std::string::npos ? "" : entry.substr(separator + 1);
    if (key == "no-new-privileges") {
      options.no_new_privileges = value.empty() || value == "true";
    } else if (key == "seccomp") {
      if (value == "unconfined" || value == "builtin" || value.starts_with("{")) {
        options.seccomp = value == "builtin" ? "" : value;
      } else {
        SKIFF_ASSIGN(options.seccomp, ReadFile(value, 1u << 20));
      }
    } else if (key == "systempaths" && value == "unconfined") {
      options.unconfined_paths = true;
    } else if (key == "apparmor" || key == "label") {
      if (value != "unconfined" && value != "disable") {
        warnings->push_back("security_opt " + entry +
                            ": this kernel has no such security module; ignored");
      }
    } else if (key != "writable-cgroups") {
      return Fail(Code::kInvalidArgument, "invalid --security-opt 2: \"" + entry + "\"");
    }
  }
  return options;
}

Result<std::vector<DeviceNode>> Devices(const ContainerConfig& config) {
  std::vector<DeviceNode> nodes;
  if (config.privileged) nodes = HostDevices();
  for (const DeviceRequest& device : config.devices) {
    SKIFF_ASSIGN(DeviceNode node, DescribeDevice(device.host_path, device.container_path.empty()
                                                                       ? device.host_path
                                                                       : device.container_path));
    nodes.push_back(std::move(node));
  }
  return nodes;
}

// Interval and the rest as docker fills them in (engine.md 4.5).
Healthcheck CompleteHealthcheck(Healthcheck check) {
  using std::chrono::seconds;
  if (check.interval == Nanoseconds::zero()) check.interval = seconds(30);
  if (check.timeout == Nanoseconds::zero()) check.timeout = seconds(30);
  if (check.start_interval == Nanoseconds::zero()) check.start_interval = seconds(5);
  if (check.retries == 0) check.retries = 3;
  return check;
}

Status FillSecurity(const ContainerConfig& config, const std::string& cache, RuntimeSpec& spec,
                    std::vector<std::string>* warnings) {
  SKIFF_ASSIGN(const SecurityOptions options, ParseSecurityOptions(config, warnings));
  spec.privileged = config.privileged;
  spec.no_new_privileges = options.no_new_privileges;
  SKIFF_ASSIGN(spec.capabilities,
               ResolveCapabilities(config.cap_add, config.cap_drop, config.privileged, warnings));
  SKIFF_ASSIGN(SeccompChoice seccomp, ResolveSeccomp(options.seccomp, spec.capabilities, cache));
  spec.seccomp = seccomp.enabled;
  spec.seccomp_filter = std::move(seccomp.filter);
  if (!config.privileged && !options.unconfined_paths) {
    spec.masked_paths = DefaultMaskedPaths();
    spec.read_only_paths = DefaultReadOnlyPaths();
  }
  return {};
}

}  // namespace

Result<int> ParseSignal(std::string_view text) {
  if (const auto number = ParseNumber<int>(text)) {
    if (*number >= 1 && *number <= 64) return *number;
    return Fail(Code::kInvalidArgument, "invalid signal: " + std::string(text));
  }
  std::string name(text);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (const SignalName& row : kSignals) {
    if (row.name == name) return row.number;
  }
  // RTMIN+n and RTMAX-n (glibc keeps 32 and 33 for itself).
  for (const auto& [prefix, base, sign] :
       {std::tuple("RTMIN", 34, 1), std::tuple("RTMAX", 64, -1)}) {
    if (!name.starts_with(prefix)) continue;
    const std::string_view rest = std::string_view(name).substr(5);
    if (rest.empty()) return base;
    const auto offset = ParseNumber<int>(rest.substr(1));
    if (offset && rest[0] == (sign > 0 ? '+' : '-') && *offset >= 0 && *offset <= 30) {
      return base + sign * *offset;
    }
  }
  return Fail(Code::kInvalidArgument, "invalid signal: " + std::string(text));
}

int UlimitResource(std::string_view name) {
  for (const UlimitName& row : kUlimits) {
    if (row.name == name) return row.resource;
  }
  return -1;
}

Result<std::vector<DeviceRule>> DevicePolicy(const ContainerConfig& config) {
  std::vector<DeviceRule> rules = DefaultDeviceRules();
  for (const DeviceRequest& device : config.devices) {
    SKIFF_ASSIGN(const DeviceNode node, DescribeDevice(device.host_path, device.host_path));
    DeviceRule rule;
    rule.type = node.block ? 'b' : 'c';
    rule.major = node.major;
    rule.minor = node.minor;
    rule.access = device.permissions.empty() ? "rwm" : device.permissions;
    rules.push_back(rule);
  }
  for (const std::string& text : config.device_cgroup_rules) {
    SKIFF_ASSIGN(DeviceRule rule, ParseDeviceRule(text));
    rules.push_back(std::move(rule));
  }
  return rules;
}

Result<RuntimeSpec> BuildRuntimeSpec(const SpecInputs& inputs, std::vector<std::string>* warnings) {
  const store::ContainerRecord& record = *inputs.record;
  const ContainerConfig& config = record.config;
  const Layout& layout = *inputs.layout;
  RuntimeSpec spec;
  spec.id = record.id;
  spec.name = record.name;
  spec.run_dir = layout.run_container(record.id);
  if (inputs.namespaces.uts.mode == NamespaceMode::kNew) {
    spec.hostname = config.hostname.empty() ? record.id.substr(0, 12) : config.hostname;
    spec.domainname = config.domainname;
  }
  spec.args = record.command;
  spec.environment = Environment(config, spec.hostname);
  if (!config.working_dir.empty()) spec.cwd = config.working_dir;
  spec.user = config.user;
  spec.additional_groups = config.group_add;
  spec.tty = config.tty;
  spec.open_stdin = config.open_stdin;
  spec.use_init = config.init.value_or(false);
  if (spec.use_init && inputs.namespaces.pid.mode != NamespaceMode::kNew) {
    return Fail(Code::kInvalidArgument, "cannot use init with a shared PID namespace");
  }
  SKIFF_TRY(FillSecurity(config, inputs.seccomp_cache, spec, warnings));

  spec.root.lower = layout.lower_folders(record.layers);
  const std::string& layer = record.writable_layer;
  spec.root.upper =
      layer.empty() ? layout.container_diff(record.id) : image::LayerDraft::Upper(layer);
  spec.root.work =
      layer.empty() ? layout.container_work(record.id) : image::LayerDraft::Work(layer);
  if (spec.root.lower.empty()) spec.root.lower.push_back(image::LayerDraft::Nothing(layer));
  spec.root.read_only = config.read_only;
  spec.mounts = Mounts(inputs);
  SKIFF_ASSIGN(spec.devices, Devices(config));
  SKIFF_ASSIGN(spec.sysctls, Sysctls(config, inputs.namespaces));
  SKIFF_ASSIGN(spec.ulimits, Ulimits(config.ulimits));
  spec.oom_score_adj = config.oom_score_adj;

  spec.pid = inputs.namespaces.pid;
  spec.ipc = inputs.namespaces.ipc;
  spec.uts = inputs.namespaces.uts;
  spec.cgroup = inputs.namespaces.cgroup;
  spec.network = inputs.namespaces.network;
  inputs.cgroups.ApplyTo(spec);

  if (!config.stop_signal.empty()) {
    SKIFF_ASSIGN(spec.stop_signal, ParseSignal(config.stop_signal));
  }
  if (config.stop_timeout) spec.stop_timeout_ns = config.stop_timeout->count();
  spec.restart = config.restart;
  if (config.healthcheck && !config.healthcheck->test.empty() &&
      config.healthcheck->test.front() != "NONE") {
    spec.healthcheck = CompleteHealthcheck(*config.healthcheck);
  }
  spec.log = config.log;
  spec.log_path = layout.container_log(record.id);
  if (!config.auto_remove) spec.end_path = layout.container_state(record.id);
  spec.dns = inputs.dns;
  return spec;
}

}  // namespace skiff::engine::embedded
