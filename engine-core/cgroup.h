#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/cgroup_control.h"
#include "engine-core/runtime_spec.h"
#include "engine-core/types.h"

namespace skiff::engine {

// One mounted hierarchy.
struct CgroupHierarchy {
  std::string mount_point;               // "/sys/fs/cgroup/memory"
  std::vector<std::string> controllers;  // {"memory"}, {"name=systemd"}; of v2: those available.
  bool unified = false;
  std::string own_path;  // Where this process is in it: "/user.slice/...".
  bool Has(std::string_view controller) const;
};

enum class CgroupMode { kNone, kV1, kHybrid, kV2 };

struct CgroupLayout {
  CgroupMode mode = CgroupMode::kNone;
  std::vector<CgroupHierarchy> hierarchies;
  // The hierarchy that accounts a controller, or null.
  const CgroupHierarchy* Find(std::string_view controller) const;
  const CgroupHierarchy* Unified() const;
};
// From /proc/self/mountinfo and /proc/self/cgroup texts (arguments, so that tests can give them).
CgroupLayout ParseCgroupLayout(std::string_view mountinfo, std::string_view self_cgroup);
Result<CgroupLayout> DetectCgroupLayout();

// One row of a device policy, later rows win. `major`, `minor` -1: any.
struct DeviceRule {
  bool allow = true;
  char type = 'a';  // a, b, c
  int64_t major = -1;
  int64_t minor = -1;
  std::string access = "rwm";
  bool operator==(const DeviceRule&) const = default;
};
// Docker's rules: everything denied, then the default nodes, ptys and mknod (engine.md 7.4).
const std::vector<DeviceRule>& DefaultDeviceRules();
// "c 1:3 mr", "a *:* rwm" (device_cgroup_rules).
Result<DeviceRule> ParseDeviceRule(std::string_view text);
// The BPF_PROG_TYPE_CGROUP_DEVICE program for rules: 8 bytes an instruction.
std::vector<uint64_t> CompileDeviceProgram(const std::vector<DeviceRule>& rules);

// One write to a cgroup file. `key` is the compose or docker name for warnings.
struct CgroupSetting {
  std::string controller;  // "memory"
  std::string file;        // "memory.max"
  std::string value;
  std::string key;  // "memory"
  // Tried when this kernel has no `file` (the weight of one I/O scheduler or another).
  std::string alternative_file = {};
  std::string alternative_value = {};
  bool operator==(const CgroupSetting&) const = default;
};
// Pure: the writes for `resources` in their order; `warnings` gets what the version has not got.
std::vector<CgroupSetting> ResourceSettings(const Resources& resources, bool unified,
                                            std::vector<std::string>* warnings);

struct ContainerCgroups {
  // As in RuntimeSpec.
  std::vector<std::string> cgroups;
  std::string memory_cgroup;
  std::string freezer_cgroup;
  bool unified = false;
  // What this kernel does not honour, each naming the field. Never an error (engine.md 3.3).
  std::vector<std::string> warnings;
  void ApplyTo(RuntimeSpec& spec) const;
};

struct CgroupUsage {
  int64_t memory = 0;         // Bytes, with the cache of files.
  int64_t inactive_file = 0;  // Of them those of files nobody has used lately.
  int64_t memory_limit = 0;   // 0: none.
  int64_t cpu_ns = 0;
  int64_t read_bytes = 0;  // Of block devices.
  int64_t written_bytes = 0;
  int64_t processes = 0;
  int64_t oom_kills = 0;
};

// Folders of containers of one root, all below one parent per hierarchy:
//   <mount>/<parent>/skiff-<root hash>/<container id>     containers
//   <mount>/<parent>/skiff-<root hash>/monitors           their monitors
// On v2 with limits a folder without processes is needed above: "monitors" and containers are
// leaves (cgroup-v2: no internal processes). Thread safe.
class CgroupManager {
 public:
  struct Options {
    std::string root_hash;  // 8 to 16 hexadecimal digits (DESIGN 5).
    // A folder below which everything is made: "/system.slice/skiff.service" of a delegated unit;
    // "": the root of each hierarchy. With systemd as PID 1 the caller makes the unit first.
    std::string parent;
  };
  static Result<std::unique_ptr<CgroupManager>> Create(Options options);
  // For tests with a made-up layout.
  CgroupManager(Options options, CgroupLayout layout)
      : options_(std::move(options)), layout_(std::move(layout)) {}

  const CgroupLayout& layout() const { return layout_; }

  // Makes the folders (idempotent) and applies the limits. `cgroup_parent` ("": ours) replaces the
  // parent of this container only. Privileged: no device policy.
  Result<ContainerCgroups> CreateContainer(const std::string& id, const Resources& resources,
                                           const std::vector<DeviceRule>& devices, bool privileged,
                                           const std::string& cgroup_parent = "");
  // The same paths without making or writing anything.
  ContainerCgroups Describe(const std::string& id, const std::string& cgroup_parent = "") const;
  // New limits for a container that exists (docker update); returns warnings.
  Result<std::vector<std::string>> Update(const std::string& id, const Resources& resources,
                                          const std::string& cgroup_parent = "");
  // Removes a container's folders; processes that are dying are awaited by event, at most 2 s.
  Status RemoveContainer(const std::string& id, const std::string& cgroup_parent = "");
  // Ids of containers that have a folder: what `system check` compares with the store.
  Result<std::vector<std::string>> ListContainers() const;
  Result<CgroupUsage> Usage(const std::string& id, const std::string& cgroup_parent = "") const;

  // Folders monitors should move to, made when missing: only of hierarchies in which this process
  // is not in the root, since there nobody else's limit or end is shared. Empty without privilege.
  std::vector<std::string> MonitorCgroups();
  // Removes the folders of this root when no container and no monitor is left in them.
  Status RemoveRoot();

 private:
  std::string Base(const CgroupHierarchy& hierarchy) const;
  std::string Folder(const CgroupHierarchy& hierarchy, const std::string& id,
                     const std::string& cgroup_parent) const;
  Status MakeFolder(const CgroupHierarchy& hierarchy, const std::string& folder) const;
  Status Apply(const std::string& id, const std::string& cgroup_parent,
               const std::vector<CgroupSetting>& settings,
               std::vector<std::string>* warnings) const;
  Status ApplyDevices(const std::string& id, const std::string& cgroup_parent,
                      const std::vector<DeviceRule>& rules,
                      std::vector<std::string>* warnings) const;

  Options options_;
  CgroupLayout layout_;
};

}  // namespace skiff::engine
