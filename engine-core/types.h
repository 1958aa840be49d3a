#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace skiff::engine {

using Labels = std::map<std::string, std::string>;
using Nanoseconds = std::chrono::nanoseconds;

// ---- What a caller asks for --------------------------------------------------------------------

struct Healthcheck {
  // Empty: inherit the image's. {"NONE"}: none. {"CMD", ...} or {"CMD-SHELL", text}.
  std::vector<std::string> test;
  // Zero: inherit the image's, else docker's default (30 s, 30 s, 0 s, 5 s, 3).
  Nanoseconds interval{};
  Nanoseconds timeout{};
  Nanoseconds start_period{};
  Nanoseconds start_interval{};
  int retries = 0;
  bool operator==(const Healthcheck&) const = default;
};

enum class RestartMode { kNo, kAlways, kUnlessStopped, kOnFailure };
struct RestartPolicy {
  RestartMode mode = RestartMode::kNo;
  int maximum_retries = 0;  // Of kOnFailure; 0 is unlimited.
  bool operator==(const RestartPolicy&) const = default;
};

enum class MountKind { kBind, kVolume, kTmpfs, kImage };
struct MountRequest {
  MountKind kind = MountKind::kBind;
  std::string source;  // Host path, volume name ("" = anonymous) or image reference.
  std::string target;  // Absolute path in the container.
  bool read_only = false;
  // Bind.
  bool create_host_path = false;
  bool recursive = true;
  std::string propagation;  // "", private, rprivate, shared, rshared, slave, rslave.
  // Volume.
  bool no_copy = false;
  std::string subpath;
  Labels volume_labels;
  // Tmpfs. 0: the kernel's default.
  int64_t tmpfs_size = 0;
  uint32_t tmpfs_mode = 0;
  std::vector<std::string> tmpfs_options;  // "uid=1000", "exec", ...
  bool operator==(const MountRequest&) const = default;
};

enum class Protocol { kTcp, kUdp, kSctp };
struct PortRequest {
  uint16_t container_port = 0;
  Protocol protocol = Protocol::kTcp;
  bool publish = true;        // False: only exposed (EXPOSE).
  std::string host_ip;        // "": 0.0.0.0 and [::].
  uint16_t host_port = 0;     // First of the range; 0: any free one.
  uint16_t host_port_last = 0;  // 0 or host_port: exactly that one; else any free one of the range.
  bool operator==(const PortRequest&) const = default;
};

struct EndpointRequest {
  std::string network;  // Name or id.
  std::vector<std::string> aliases;
  std::string ipv4_address;
  std::string ipv6_address;
  std::string mac_address;
  std::string interface_name;
  int priority = 0;
  int gateway_priority = 0;
  bool operator==(const EndpointRequest&) const = default;
};

struct Ulimit {
  std::string name;  // "nofile"
  int64_t soft = 0;  // -1: unlimited.
  int64_t hard = 0;
  bool operator==(const Ulimit&) const = default;
};

struct DeviceRequest {
  std::string host_path;
  std::string container_path;
  std::string permissions = "rwm";
  bool operator==(const DeviceRequest&) const = default;
};

// Zero (or empty): not limited.
struct Resources {
  int64_t memory = 0;
  int64_t memory_swap = 0;  // Memory plus swap; -1 unlimited; 0: twice `memory`.
  int64_t memory_reservation = 0;
  std::optional<int64_t> memory_swappiness;
  int64_t nano_cpus = 0;
  int64_t cpu_shares = 0;
  int64_t cpu_period = 0;  // Microseconds.
  int64_t cpu_quota = 0;
  std::string cpuset_cpus;
  std::string cpuset_mems;
  int64_t pids = 0;  // -1: unlimited.
  uint16_t blkio_weight = 0;
  bool oom_kill_disable = false;
  bool operator==(const Resources&) const = default;
};

struct LogConfig {
  std::string driver;  // "": json-file. Also "none", "local".
  std::map<std::string, std::string> options;  // max-size, max-file
  bool operator==(const LogConfig&) const = default;
};

struct ContainerConfig {
  std::string name;  // "": generated.
  std::string image;
  // "os/architecture[/variant]": which of the images that `image` stands for; "": what the name
  // means. Asked of CreateContainer only, as `image` is.
  std::string platform;
  // Runs on this layer in the making (Images::CreateLayer) instead of on a layer of its own above
  // `image`, which may then be empty: nothing is inherited.
  std::string writable_layer;
  // Absent: the image's. An entrypoint that is present discards the image's command.
  std::optional<std::vector<std::string>> entrypoint;
  std::optional<std::vector<std::string>> command;
  // KEY=VALUE; a bare KEY removes the image's value (compose: a null that is unset outside).
  std::vector<std::string> environment;
  std::string user;
  std::string working_dir;
  std::string hostname;
  std::string domainname;
  Labels labels;
  // Kept with the container and returned by ListContainers, but no label: the planner's memory of
  // the model it created the container from.
  std::map<std::string, std::string> annotations;
  bool tty = false;
  bool open_stdin = false;
  std::optional<bool> init;
  bool privileged = false;
  bool read_only = false;
  bool auto_remove = false;  // docker run --rm: removed with anonymous volumes after its exit.
  std::string stop_signal;   // "": the image's, else SIGTERM.
  std::optional<Nanoseconds> stop_timeout;  // Absent: 10 s.
  std::optional<Healthcheck> healthcheck;
  RestartPolicy restart;
  std::vector<MountRequest> mounts;
  std::vector<std::string> volumes_from;  // CONTAINER[:ro]
  // "bridge" (docker's default network), "none", "host", "container:ID", or "" with `endpoints`.
  std::string network_mode;
  std::vector<EndpointRequest> endpoints;
  std::vector<PortRequest> ports;
  bool publish_all = false;
  std::vector<std::string> dns;
  std::vector<std::string> dns_search;
  std::vector<std::string> dns_options;
  std::vector<std::string> extra_hosts;  // host:ip; ip may be host-gateway.
  std::vector<std::string> cap_add;
  std::vector<std::string> cap_drop;
  std::vector<std::string> security_opt;
  std::vector<std::string> group_add;
  std::vector<DeviceRequest> devices;
  std::vector<std::string> device_cgroup_rules;
  std::vector<Ulimit> ulimits;
  std::map<std::string, std::string> sysctls;
  Resources resources;
  int64_t shm_size = 0;  // 0: 64 MiB.
  int oom_score_adj = 0;
  std::string pid_mode;       // "", host, container:ID
  std::string ipc_mode;       // "", none, private, shareable, host, container:ID
  std::string uts_mode;       // "", host
  std::string userns_mode;    // "", host
  std::string cgroupns_mode;  // "", private, host
  std::string cgroup_parent;
  std::string runtime;
  LogConfig log;
  // The container whose name the new one takes over when that one is removed ("": none). Until then
  // the new one is known by its id only.
  std::string replaces;
};

// ---- What an engine reports --------------------------------------------------------------------

enum class ContainerStatus {
  kCreated,
  kRunning,
  kPaused,
  kRestarting,
  kRemoving,
  kExited,
  kDead,
};
std::string_view ContainerStatusName(ContainerStatus status);  // "running"

enum class HealthStatus { kNone, kStarting, kHealthy, kUnhealthy };
std::string_view HealthStatusName(HealthStatus status);  // "healthy"

struct ProbeResult {
  int64_t started_at = 0;  // Nanoseconds since the epoch.
  int64_t finished_at = 0;
  int exit_code = 0;   // -1: timed out.
  std::string output;  // At most 4096 bytes, then "...".
};

struct ContainerState {
  ContainerStatus status = ContainerStatus::kCreated;
  int64_t pid = 0;  // On the host; 0 when not running.
  int exit_code = 0;
  bool oom_killed = false;
  std::string error;  // Why the last start failed.
  int64_t started_at = 0;   // Nanoseconds since the epoch; 0: never.
  int64_t finished_at = 0;
  int restart_count = 0;
  HealthStatus health = HealthStatus::kNone;
  int failing_streak = 0;
  std::vector<ProbeResult> health_log;  // At most 5, oldest first.

  bool running() const {
    return status == ContainerStatus::kRunning || status == ContainerStatus::kPaused;
  }
};

struct PublishedPort {
  std::string host_ip;
  uint16_t host_port = 0;  // 0: exposed only.
  uint16_t container_port = 0;
  Protocol protocol = Protocol::kTcp;
};
std::string_view ProtocolName(Protocol protocol);  // "tcp"

struct Endpoint {
  std::string network;     // Name.
  std::string network_id;
  std::string endpoint_id;
  std::vector<std::string> aliases;
  std::string ipv4_address;  // Without a prefix length.
  int ipv4_prefix = 0;
  std::string ipv4_gateway;
  std::string ipv6_address;
  int ipv6_prefix = 0;
  std::string ipv6_gateway;
  std::string mac_address;
};

struct Mount {
  MountKind kind = MountKind::kBind;
  std::string name;    // Of a volume.
  std::string source;  // Host path.
  std::string target;
  bool read_only = false;
  bool anonymous = false;
};

struct Container {
  std::string id;
  std::string name;     // "": still waits for the name of the container it replaces.
  std::string image;    // As asked for.
  std::string image_id;
  int64_t created_at = 0;
  std::vector<std::string> command;  // Entrypoint and command as they run.
  Labels labels;
  std::map<std::string, std::string> annotations;
  ContainerState state;
  std::vector<PublishedPort> ports;
  std::vector<Endpoint> endpoints;
  std::vector<Mount> mounts;
  std::string log_path;
  // As it was asked for, with the image's defaults merged in.
  ContainerConfig config;
};

struct ImageConfig {
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> environment;
  std::string user;
  std::string working_dir;
  Labels labels;
  std::vector<std::string> exposed_ports;  // "80/tcp"
  std::vector<std::string> volumes;
  std::string stop_signal;
  std::optional<Healthcheck> healthcheck;
  std::vector<std::string> shell;
  std::vector<std::string> on_build;
};

struct Image {
  std::string id;  // "sha256:" and the digest of its configuration.
  std::vector<std::string> references;  // Familiar form with tag: "busybox:latest".
  std::vector<std::string> digests;     // "busybox@sha256:..."
  // Names that stand for several platforms' images, of which this is one that the name alone does
  // not mean. They keep it.
  std::vector<std::string> platform_of;
  // Of InspectImage by such a name: ids of the others.
  std::vector<std::string> other_platforms;
  int64_t created_at = 0;
  int64_t size = 0;  // Bytes of its layers on disk.
  std::string architecture;
  std::string variant;
  std::string os;
  std::vector<std::string> layers;  // diff ids
  std::vector<int64_t> layer_sizes;  // Bytes of each; of InspectImage only.
  std::string parent;  // Id of the image it was committed from, "" for none.
  std::string author;
  std::string comment;
  ImageConfig config;
};

struct Subnet {
  std::string subnet;  // CIDR
  std::string gateway;
  std::string ip_range;
  std::map<std::string, std::string> auxiliary_addresses;
  bool operator==(const Subnet&) const = default;
};

struct NetworkConfig {
  std::string name;
  std::string driver;  // "": bridge.
  std::map<std::string, std::string> options;
  bool internal = false;
  bool attachable = false;
  bool enable_ipv6 = false;
  std::vector<Subnet> subnets;  // Empty: chosen.
  Labels labels;
  std::map<std::string, std::string> annotations;
};
struct Network {
  std::string id;
  int64_t created_at = 0;
  NetworkConfig config;  // `subnets` as chosen.
  bool predefined = false;  // bridge, host, none.
};

struct VolumeConfig {
  std::string name;    // "": anonymous, 64 hexadecimal digits.
  std::string driver;  // "": local.
  std::map<std::string, std::string> options;
  Labels labels;
  std::map<std::string, std::string> annotations;
};
struct Volume {
  VolumeConfig config;
  int64_t created_at = 0;
  std::string mountpoint;
  bool anonymous = false;
};

}  // namespace skiff::engine
