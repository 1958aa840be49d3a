#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace skiff::schema {

using Labels = std::map<std::string, std::string>;
using Nanoseconds = std::chrono::nanoseconds;

// The typed model: what the planner needs of the canonical tree (schema/tree.h), after merge,
// interpolation, normalisation and validation. Every struct carries the place it came from.

enum class DependencyCondition { kStarted, kHealthy, kCompletedSuccessfully };
struct Dependency {
  std::string service;
  DependencyCondition condition = DependencyCondition::kStarted;
  bool restart = false;
  bool required = true;
  SourceSpan span;
};

struct Healthcheck {
  std::vector<std::string> test;  // Canonical: CMD, CMD-SHELL or NONE first; empty: not set.
  std::optional<Nanoseconds> interval, timeout, start_period, start_interval;
  std::optional<int> retries;
  bool disable = false;
};

struct Port {
  std::string name;
  uint16_t target = 0;
  std::string published;  // "", "8080" or "8080-8090".
  std::string host_ip;
  std::string protocol = "tcp";
  std::string mode;
  SourceSpan span;
};

enum class VolumeMountType { kBind, kVolume, kTmpfs, kImage, kNpipe, kCluster };
struct VolumeMount {
  VolumeMountType type = VolumeMountType::kVolume;
  std::string source;  // Of kVolume: the key under `volumes:`, "" when anonymous.
  std::string target;
  bool read_only = false;
  std::string bind_propagation, bind_recursive, bind_selinux;
  bool bind_create_host_path = true;
  bool volume_nocopy = false;
  std::string volume_subpath, image_subpath;
  Labels volume_labels;
  int64_t tmpfs_size = 0;
  uint32_t tmpfs_mode = 0;
  SourceSpan span;
};

struct ServiceNetwork {
  std::string network;  // The key under `networks:`.
  std::vector<std::string> aliases, link_local_ips;
  std::string ipv4_address, ipv6_address, mac_address, interface_name;
  int priority = 0, gw_priority = 0;
  SourceSpan span;
};

struct FileGrant {  // configs and secrets of a service
  std::string source, target, uid, gid;
  std::optional<uint32_t> mode;
  SourceSpan span;
};

struct UlimitRule {
  std::string name;
  int64_t soft = 0, hard = 0;
};

struct Device {
  std::string source, target, permissions;
};

struct Build {
  std::string context, dockerfile, dockerfile_inline, target, network;
  std::map<std::string, std::optional<std::string>> args;
  std::vector<std::string> tags, cache_from, cache_to, platforms;
  std::map<std::string, std::string> additional_contexts;
  Labels labels;
  std::vector<FileGrant> secrets;
  std::vector<std::string> ssh, extra_hosts;
  bool no_cache = false, pull = false, privileged = false;
  int64_t shm_size = 0;
  SourceSpan span;
};

struct LifecycleHook {
  std::vector<std::string> command;
  std::string user, working_dir, image;
  bool privileged = false;
  std::map<std::string, std::optional<std::string>> environment;
};

struct WatchTrigger {  // Of develop.watch.
  std::string path;     // Absolute.
  std::string action;   // sync, sync+restart, sync+exec, restart, rebuild
  std::string target;   // In the container.
  std::vector<std::string> include, ignore;
  bool initial_sync = false;
  LifecycleHook exec;
  SourceSpan span;
};

struct Service {
  std::string name;  // The key under `services:`.
  SourceSpan span;   // Of that key.

  std::string image, container_name, hostname, domainname, user, working_dir, platform, runtime;
  std::optional<Build> build;
  std::optional<std::vector<std::string>> command, entrypoint;  // Absent: the image's.
  // Resolved, env_file included. Absent value: pass-through that is unset, removes the image's.
  std::map<std::string, std::optional<std::string>> environment;
  Labels labels, annotations;
  std::vector<Dependency> depends_on;  // Sorted by service, implicit ones included.
  std::optional<Healthcheck> healthcheck;
  std::vector<Port> ports;
  std::vector<std::string> expose, links, external_links, volumes_from, profiles;
  std::vector<VolumeMount> volumes;
  std::vector<std::string> tmpfs;  // "path[:options]"
  std::string network_mode;        // "" with `networks`.
  std::vector<ServiceNetwork> networks;
  std::string restart;       // no, always, on-failure[:N], unless-stopped, "".
  std::optional<int> scale;  // From scale or deploy.replicas; absent: 1.
  SourceSpan scale_span;
  std::optional<bool> init;
  bool privileged = false, read_only = false, tty = false, stdin_open = false, attach = true;
  std::vector<std::string> cap_add, cap_drop, security_opt, group_add, device_cgroup_rules;
  std::vector<Device> devices;
  std::vector<UlimitRule> ulimits;
  std::map<std::string, std::string> sysctls;
  std::string stop_signal;
  std::optional<Nanoseconds> stop_grace_period;
  std::string pid, ipc, uts, userns_mode, cgroup, cgroup_parent, cpuset, mac_address, pull_policy;
  int64_t mem_limit = 0, mem_reservation = 0, memswap_limit = 0, shm_size = 0, cpu_shares = 0,
          cpu_period = 0, cpu_quota = 0, pids_limit = 0;
  double cpus = 0;  // From cpus or deploy.resources.limits.cpus.
  std::optional<int64_t> mem_swappiness;
  int oom_score_adj = 0;
  bool oom_kill_disable = false;
  std::string logging_driver;
  std::map<std::string, std::string> logging_options;
  std::vector<std::string> dns, dns_search, dns_opt;
  std::vector<std::pair<std::string, std::string>> extra_hosts;  // host, ip
  std::vector<FileGrant> configs, secrets;
  std::vector<LifecycleHook> pre_start, post_start, pre_stop;
  std::string provider_type;
  std::vector<WatchTrigger> watch;

  // This service of the canonical tree as compact JSON, keys sorted: for the hash, and for saying
  // which key changed. Without build, pull_policy, scale, deploy.replicas, depends_on and profiles
  // (docker compose: ServiceHash).
  std::string hashed_json;
};

struct NetworkIpam {
  std::string subnet, gateway, ip_range;
  std::map<std::string, std::string> aux_addresses;
};
struct Network {
  std::string key, name;  // `name` as created: project_key unless the file says otherwise.
  std::string driver;
  std::map<std::string, std::string> driver_opts;
  bool external = false, internal = false, attachable = false;
  std::optional<bool> enable_ipv4, enable_ipv6;
  std::vector<NetworkIpam> ipam;
  Labels labels;
  SourceSpan span;
  std::string hashed_json;
};

struct Volume {
  std::string key, name, driver;
  std::map<std::string, std::string> driver_opts;
  bool external = false;
  Labels labels;
  SourceSpan span;
  std::string hashed_json;
};

struct FileObject {  // Entries of the top-level configs and secrets.
  std::string key, name, file, environment;
  std::optional<std::string> content;  // Inline, or the value of `environment`.
  bool external = false;
  Labels labels;
  SourceSpan span;
};

struct Project {
  std::string name;
  std::string working_dir;         // Absolute.
  std::vector<std::string> files;  // Absolute, in merge order.
  std::vector<std::string> env_files;
  std::map<std::string, Service> services;           // Enabled ones.
  std::map<std::string, Service> disabled_services;  // By profiles.
  std::map<std::string, Network> networks;           // By key; used ones unless all_resources.
  std::map<std::string, Volume> volumes;
  std::map<std::string, FileObject> configs, secrets;
};

}  // namespace skiff::schema
