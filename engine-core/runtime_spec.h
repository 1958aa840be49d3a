#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine-core/types.h"

namespace skiff::engine {

// Everything a monitor and the container's init need, already decided by the engine: no image, no
// names, no database. Encoded with base/wire.h; every field has a tag, unknown ones are skipped.
inline constexpr int kRuntimeSpecVersion = 1;

struct RootFilesystem {
  std::vector<std::string> lower;  // Host paths, top layer first.
  std::string upper;
  std::string work;
  bool read_only = false;
};

enum class RuntimeMountKind : uint8_t { kBind, kTmpfs, kProc, kSysfs, kDevpts, kMqueue, kCgroup };
struct RuntimeMount {
  RuntimeMountKind kind = RuntimeMountKind::kBind;
  std::string source;  // Host path of kBind.
  std::string target;
  std::string data;      // Options for the file system: "size=65536k,mode=755".
  uint64_t flags = 0;    // MS_NOSUID | ...
  bool recursive = true;
  bool source_is_file = false;
  // The source is a place inside a volume, whose writers may put a link there: it must have none.
  bool plain_source = false;
  std::string propagation;  // "", "private", "rslave", ...
};

struct DeviceNode {
  std::string path;
  bool block = false;
  uint32_t major = 0;
  uint32_t minor = 0;
  uint32_t mode = 0666;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct RuntimeUlimit {
  int resource = 0;  // RLIMIT_*
  uint64_t soft = 0;
  uint64_t hard = 0;
};

enum class NamespaceMode : uint8_t { kNew, kHost, kJoin };
struct NamespaceSpec {
  NamespaceMode mode = NamespaceMode::kNew;
  // Of kJoin: /proc/<host pid>/ns/<name> of a container whose identity the engine has checked.
  std::string path;
};

struct DnsSpec {
  bool enabled = false;
  std::vector<std::string> tables;     // One names file per network the container is in.
  std::vector<std::string> upstreams;  // Host's name servers, or the container's `dns`.
  bool forward = true;                 // False when all networks are internal.
  std::vector<std::string> endpoints;  // Endpoint id of this container in each of `tables`.
};

// One socket that reserves a published port (netmgr/ports.h). The monitor keeps it until it ends;
// with `relay` it also carries what arrives there to the container, since the kernel cannot.
struct PortSocketSpec {
  bool relay = false;
  std::string address;  // Of the container.
  uint16_t port = 0;    // In the container.
  int protocol = 6;     // IPPROTO_*
};

struct RuntimeSpec {
  int version = kRuntimeSpecVersion;
  std::string id;
  std::string name;
  std::string run_dir;  // /run/skiff/containers/<id>: state.json, control.sock, lock
  std::string hostname;
  std::string domainname;

  std::vector<std::string> args;
  std::vector<std::string> environment;
  std::string cwd = "/";
  std::string user;  // As configured: "", "1000", "name:group"; resolved inside the container.
  std::vector<std::string> additional_groups;
  bool tty = false;
  bool open_stdin = false;
  bool use_init = false;  // PID 1 is our own reaper that forwards signals.
  bool no_new_privileges = false;
  bool privileged = false;
  uint64_t capabilities = 0;  // Bounding, permitted and effective: 1 << CAP_*
  bool seccomp = true;
  std::string seccomp_filter;  // struct sock_filter array; "" with seccomp: the compiled-in default.

  RootFilesystem root;
  std::vector<RuntimeMount> mounts;  // In order.
  std::vector<DeviceNode> devices;
  std::vector<std::string> masked_paths;
  std::vector<std::string> read_only_paths;
  std::vector<std::string> sysctls;  // "net.ipv4.ip_forward=1"
  std::vector<RuntimeUlimit> ulimits;
  int oom_score_adj = 0;

  NamespaceSpec pid, ipc, uts, cgroup, network;  // network kNew: its descriptor is passed.
  // Folders made by the engine (one per v1 hierarchy, one of v2); processes enter all of them.
  std::vector<std::string> cgroups;
  std::string memory_cgroup;  // The one with memory events (OOM), or "".
  std::string freezer_cgroup;
  bool unified = false;  // cgroup v2: CLONE_INTO_CGROUP, cgroup.kill, memory.events.

  int stop_signal = 15;
  int64_t stop_timeout_ns = 10'000'000'000;  // Negative: never kill.
  RestartPolicy restart;
  Healthcheck healthcheck;  // Complete; test empty or NONE: none.
  LogConfig log;
  std::string log_path;
  std::string end_path;  // A file that gets the state when the container has ended; "": none.
  DnsSpec dns;
  std::vector<PortSocketSpec> ports;  // The n-th belongs to the n-th port socket of the launch.
};

std::string EncodeRuntimeSpec(const RuntimeSpec& spec);
Result<RuntimeSpec> DecodeRuntimeSpec(std::string_view data);

}  // namespace skiff::engine
