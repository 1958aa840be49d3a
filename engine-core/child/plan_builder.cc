#include "engine-core/child/plan_builder.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "base/text.h"
#include "engine-core/cgroup_control.h"
#include "engine-core/child/default_filter.h"

namespace skiff::engine::child {
namespace {

using inside::FsOption;
using inside::MountAction;
using inside::MountPlan;
using inside::ProcessPlan;

constexpr char kCgroupRoot[] = "/sys/fs/cgroup/";

uint64_t AttributesOfFlags(uint64_t flags) {
  static constexpr uint64_t kMap[][2] = {{MS_RDONLY, MOUNT_ATTR_RDONLY},
                                         {MS_NOSUID, MOUNT_ATTR_NOSUID},
                                         {MS_NODEV, MOUNT_ATTR_NODEV},
                                         {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
                                         {MS_NOATIME, MOUNT_ATTR_NOATIME},
                                         {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
                                         {MS_STRICTATIME, MOUNT_ATTR_STRICTATIME}};
  uint64_t attributes = 0;
  for (const auto& [flag, attribute] : kMap) {
    if ((flags & flag) != 0) attributes |= attribute;
  }
  return attributes;
}

// Words of mount options that are attributes of the mount, not of the file system.
struct AttributeWord {
  std::string_view word;
  uint64_t set;
  uint64_t clear;
};
constexpr AttributeWord kAttributeWords[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"noatime", MOUNT_ATTR_NOATIME, 0},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"relatime", 0, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, 0},
    {"defaults", 0, 0},
};

const AttributeWord* FindAttributeWord(std::string_view word) {
  for (const AttributeWord& row : kAttributeWords) {
    if (row.word == word) return &row;
  }
  return nullptr;
}

struct PropagationWord {
  std::string_view word;
  uint64_t propagation;
  bool recursive;
};
constexpr PropagationWord kPropagationWords[] = {
    {"", MS_PRIVATE, true},       {"private", MS_PRIVATE, false}, {"rprivate", MS_PRIVATE, true},
    {"shared", MS_SHARED, false}, {"rshared", MS_SHARED, true},   {"slave", MS_SLAVE, false},
    {"rslave", MS_SLAVE, true},
};

inside::List<FsOption> ParseOptions(const std::string& data, uint64_t* attributes,
                                    PlanMemory& memory, bool* has_mode) {
  std::vector<FsOption> options;
  for (const std::string_view word : Split(data, ',')) {
    if (word.empty()) continue;
    if (const AttributeWord* row = FindAttributeWord(word)) {
      *attributes = (*attributes & ~row->clear) | row->set;
      continue;
    }
    const size_t equal = word.find('=');
    const char* key = memory.Keep(std::string(word.substr(0, equal)));
    const char* value =
        equal == word.npos ? nullptr : memory.Keep(std::string(word.substr(equal + 1)));
    if (word.substr(0, equal) == "mode") *has_mode = true;
    options.push_back({key, value});
  }
  return memory.KeepList(std::move(options));
}

std::string CleanTarget(const std::string& target) {
  std::string clean;
  for (const std::string_view part : Split(target, '/')) {
    if (part.empty() || part == ".") continue;
    clean += '/';
    clean += part;
  }
  return clean.empty() ? "/" : clean;
}

bool IsAtOrBelow(std::string_view path, std::string_view folder) {
  return path.substr(0, folder.size()) == folder &&
         (path.size() == folder.size() || path[folder.size()] == '/');
}

// Mount points of the engine's own file systems: a link there is an attack (CVE-2023-27561).
bool MustBePlain(std::string_view target) {
  return IsAtOrBelow(target, "/proc") || IsAtOrBelow(target, "/sys") || IsAtOrBelow(target, "/dev");
}

const char* FileSystemName(RuntimeMountKind kind) {
  switch (kind) {
    case RuntimeMountKind::kTmpfs:
      return "tmpfs";
    case RuntimeMountKind::kProc:
      return "proc";
    case RuntimeMountKind::kSysfs:
      return "sysfs";
    case RuntimeMountKind::kDevpts:
      return "devpts";
    case RuntimeMountKind::kMqueue:
      return "mqueue";
    case RuntimeMountKind::kCgroup:
      return "cgroup2";
    case RuntimeMountKind::kBind:
      break;
  }
  return "";
}

class InitBuilder {
 public:
  InitBuilder(const InitInput& input, PlanMemory& memory)
      : input_(input), spec_(input.spec), memory_(memory) {}

  Result<inside::InitPlan> Build();

 private:
  Status AddMounts();
  Status AddMount(const RuntimeMount& mount);
  void AddCgroupMounts();
  void AddDevices();
  void AddSysctls();
  Status AddNamespaces();
  Result<int> OpenNamespace(const NamespaceSpec& space);

  const InitInput& input_;
  const RuntimeSpec& spec_;
  PlanMemory& memory_;
  inside::InitPlan plan_;
  std::vector<MountPlan> mounts_;
  std::vector<int> keep_;
};

inside::List<const char*> Pointers(const std::vector<std::string>& texts, PlanMemory& memory) {
  std::vector<const char*> pointers;
  pointers.reserve(texts.size());
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  return memory.KeepList(std::move(pointers));
}

struct LimitName {
  int resource;
  const char* name;
};
// From asm-generic/resource.h, by number.
constexpr const char* kLimitNames[] = {
    "cpu",     "fsize", "data",  "stack",      "core",     "rss",  "nproc",  "nofile",
    "memlock", "as",    "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};

// The parts common to init and exec.
Status FillProcess(const RuntimeSpec& spec, const Stdio& stdio, int status, PlanMemory& memory,
                   ProcessPlan& plan, std::vector<int>& keep) {
  plan.status = status;
  plan.input = stdio.input;
  plan.output = stdio.output;
  plan.error = stdio.error;
  plan.die_with_parent = spec.pid.mode != NamespaceMode::kNew;
  plan.oom_score_adj = memory.Keep(std::to_string(spec.oom_score_adj));
  plan.groups = Pointers(spec.additional_groups, memory);
  plan.no_new_privileges = spec.no_new_privileges;
  std::vector<inside::LimitPlan> limits;
  for (const RuntimeUlimit& limit : spec.ulimits) {
    const bool known = limit.resource >= 0 && limit.resource < int{std::size(kLimitNames)};
    limits.push_back({limit.resource, limit.soft, limit.hard,
                      known ? kLimitNames[limit.resource] : "of an unknown kind"});
  }
  plan.limits = memory.KeepList(std::move(limits));
  if (spec.seccomp) {
    const std::string_view filter =
        spec.seccomp_filter.empty() ? DefaultFilter() : std::string_view(spec.seccomp_filter);
    if (filter.size() % sizeof(sock_filter) != 0 || filter.empty())
      return Fail(Code::kInvalidArgument, "the container's seccomp filter is malformed");
    plan.filter = filter.data();
    plan.filter_size = filter.size() / sizeof(sock_filter);
  }
  std::vector<int> entries;
  for (const std::string& cgroup : spec.cgroups) {
    // On v2 the process is born in its cgroup (CLONE_INTO_CGROUP).
    if (spec.unified || IsUnifiedCgroup(cgroup)) continue;
    SKIFF_ASSIGN(Fd fd, OpenCgroupEntry(cgroup));
    entries.push_back(memory.KeepFd(std::move(fd)));
  }
  keep.insert(keep.end(), entries.begin(), entries.end());
  plan.cgroup_entries = memory.KeepList(std::move(entries));
  for (const int fd : {status, stdio.input, stdio.output, stdio.error}) keep.push_back(fd);
  return {};
}

void FillProgram(const std::vector<std::string>& args, const std::vector<std::string>& environment,
                 PlanMemory& memory, ProcessPlan& plan) {
  std::vector<const char*> argv, env;
  for (const std::string& arg : args) argv.push_back(arg.c_str());
  argv.push_back(nullptr);
  for (const std::string& variable : environment) env.push_back(variable.c_str());
  plan.env_size = env.size();
  env.push_back(nullptr);
  env.push_back(nullptr);
  plan.args = memory.KeepList(std::move(argv)).items;
  plan.env = memory.KeepList(std::move(env)).items;
}

inside::List<int> KeepSorted(std::vector<int> keep, PlanMemory& memory) {
  std::erase_if(keep, [](int fd) { return fd < 3; });
  std::sort(keep.begin(), keep.end());
  return memory.KeepList(std::move(keep));
}

Result<int> InitBuilder::OpenNamespace(const NamespaceSpec& space) {
  if (space.mode != NamespaceMode::kJoin) return -1;
  SKIFF_ASSIGN(Fd fd, OpenFile(space.path, O_RDONLY));
  keep_.push_back(fd.get());
  return memory_.KeepFd(std::move(fd));
}

Status InitBuilder::AddNamespaces() {
  plan_.network_namespace = input_.network_namespace;
  // Never the host's network for want of a descriptor.
  if (spec_.network.mode == NamespaceMode::kNew && input_.network_namespace < 0)
    return Fail(Code::kInvalidArgument, "the container's network namespace is missing");
  if (input_.network_namespace >= 0) {
    keep_.push_back(input_.network_namespace);
  } else {
    SKIFF_ASSIGN(plan_.network_namespace, OpenNamespace(spec_.network));
  }
  SKIFF_ASSIGN(plan_.ipc_namespace, OpenNamespace(spec_.ipc));
  SKIFF_ASSIGN(plan_.uts_namespace, OpenNamespace(spec_.uts));
  SKIFF_ASSIGN(plan_.cgroup_namespace, OpenNamespace(spec_.cgroup));
  plan_.new_cgroup_namespace = spec_.cgroup.mode == NamespaceMode::kNew;
  return {};
}

// "/sys/fs/cgroup/cpu,cpuacct/skiff-x/id" appears as cpu,cpuacct with the links cpu and cpuacct.
void InitBuilder::AddCgroupMounts() {
  std::vector<inside::CgroupMount> mounts;
  for (const std::string& cgroup : spec_.cgroups) {
    if (cgroup.rfind(kCgroupRoot, 0) != 0) continue;
    const size_t start = sizeof kCgroupRoot - 1;
    const std::string name = cgroup.substr(start, cgroup.find('/', start) - start);
    inside::CgroupMount mount = {memory_.Keep(name), cgroup.c_str(), {}};
    std::vector<const char*> links;
    if (name.find(',') != name.npos) {
      for (const std::string_view part : Split(name, ','))
        links.push_back(memory_.Keep(std::string(part)));
    }
    mount.links = memory_.KeepList(std::move(links));
    mounts.push_back(mount);
  }
  plan_.cgroup_mounts = memory_.KeepList(std::move(mounts));
}

Status InitBuilder::AddMount(const RuntimeMount& mount) {
  if (mount.target.empty() || mount.target[0] != '/')
    return Fail(Code::kInvalidArgument,
                "cannot mount on '" + mount.target + "': it is not an absolute path");
  const std::string target = CleanTarget(mount.target);
  if (target == "/")
    return Fail(Code::kInvalidArgument, "cannot mount on '/': it is the container's root");
  MountPlan plan;
  plan.target = memory_.Keep(target);
  plan.attributes = AttributesOfFlags(mount.flags);
  plan.recursive = mount.recursive;
  plan.plain_target = mount.kind != RuntimeMountKind::kBind && MustBePlain(target);
  if (mount.kind == RuntimeMountKind::kBind) {
    const auto* row = std::find_if(
        std::begin(kPropagationWords), std::end(kPropagationWords),
        [&](const PropagationWord& candidate) { return candidate.word == mount.propagation; });
    if (row == std::end(kPropagationWords))
      return Fail(Code::kInvalidArgument, "invalid mount propagation '" + mount.propagation + "'");
    plan.propagation = row->propagation;
    plan.recursive_propagation = row->recursive;
    plan.source = mount.source.c_str();
    plan.plain_source = mount.plain_source;
    mounts_.push_back(plan);
    return {};
  }
  if (mount.kind == RuntimeMountKind::kCgroup && spec_.cgroups.empty()) return {};
  bool has_mode = false;
  plan.action = MountAction::kFileSystem;
  plan.fs_type = FileSystemName(mount.kind);
  plan.options = ParseOptions(mount.data, &plan.attributes, memory_, &has_mode);
  plan.is_dev = mount.kind == RuntimeMountKind::kTmpfs && target == "/dev";
  plan.is_devpts = mount.kind == RuntimeMountKind::kDevpts;
  plan.takes_mode = mount.kind == RuntimeMountKind::kTmpfs && !has_mode;
  if (plan.takes_mode && plan.options.size > 30)
    return Fail(Code::kInvalidArgument, "too many options for the tmpfs on '" + target + "'");
  if (mount.kind == RuntimeMountKind::kCgroup && !spec_.unified) {
    plan.action = MountAction::kCgroupV1;
  } else if (mount.kind == RuntimeMountKind::kCgroup && spec_.cgroup.mode == NamespaceMode::kHost) {
    // Without a namespace of its own a new cgroup2 mount is the host's anyway.
    plan.action = MountAction::kBind;
    plan.source = "/sys/fs/cgroup";
    plan.propagation = MS_PRIVATE;
  }
  mounts_.push_back(plan);
  return {};
}

Status InitBuilder::AddMounts() {
  for (const RuntimeMount& mount : spec_.mounts) SKIFF_TRY(AddMount(mount));
  plan_.mounts = memory_.KeepList(std::move(mounts_));
  AddCgroupMounts();
  return {};
}

void InitBuilder::AddDevices() {
  struct Standard {
    const char* path;
    uint32_t minor;
    uint32_t major = 1;
  };
  static constexpr Standard kStandard[] = {{"/dev/null", 3},    {"/dev/zero", 5},
                                           {"/dev/full", 7},    {"/dev/random", 8},
                                           {"/dev/urandom", 9}, {"/dev/tty", 0, 5}};
  std::vector<inside::DevicePlan> standard, wanted;
  const auto is_standard = [](std::string_view path) {
    return std::any_of(std::begin(kStandard), std::end(kStandard),
                       [&](const Standard& row) { return path == row.path; });
  };
  for (const Standard& row : kStandard)
    standard.push_back({row.path, S_IFCHR | 0666, makedev(row.major, row.minor), 0, 0});
  for (const DeviceNode& device : spec_.devices) {
    // ptmx is a link into the container's own devpts, the console its terminal.
    if (is_standard(device.path) || device.path == "/dev/ptmx" || device.path == "/dev/console")
      continue;
    const uint32_t type = device.block ? S_IFBLK : S_IFCHR;
    wanted.push_back({memory_.Keep(CleanTarget(device.path)), type | (device.mode & 07777),
                      makedev(device.major, device.minor), device.uid, device.gid});
  }
  plan_.default_devices = memory_.KeepList(std::move(standard));
  plan_.devices = memory_.KeepList(std::move(wanted));
}

void InitBuilder::AddSysctls() {
  std::vector<inside::SysctlPlan> sysctls;
  for (const std::string& entry : spec_.sysctls) {
    const size_t equal = std::min(entry.find('='), entry.size());
    const std::string name = entry.substr(0, equal);
    std::string path = name;
    // "net.ipv4.conf.eth0/1.x" and "net/ipv4/conf/eth0.1/x": the first separator decides
    // (sysctl.d).
    if (path.find('.') < path.find('/')) {
      for (char& byte : path) byte = byte == '.' ? '/' : byte == '/' ? '.' : byte;
    }
    const std::string value = equal < entry.size() ? entry.substr(equal + 1) : "";
    sysctls.push_back({memory_.Keep(name), memory_.Keep(path), memory_.Keep(value)});
  }
  plan_.sysctls = memory_.KeepList(std::move(sysctls));
}

Result<inside::InitPlan> InitBuilder::Build() {
  SKIFF_TRY(FillProcess(spec_, input_.stdio, input_.status, memory_, plan_.process, keep_));
  FillProgram(spec_.args, spec_.environment, memory_, plan_.process);
  plan_.process.tty = spec_.tty;
  plan_.process.user = spec_.user.c_str();
  plan_.process.cwd = spec_.cwd.c_str();
  plan_.process.capabilities = spec_.capabilities;
  SKIFF_TRY(AddNamespaces());
  if (spec_.root.lower.empty())
    return Fail(Code::kInvalidArgument, "the container's root has no layer");
  plan_.lower = Pointers(spec_.root.lower, memory_);
  if (!spec_.root.upper.empty()) {
    plan_.upper = spec_.root.upper.c_str();
    plan_.work = spec_.root.work.c_str();
  }
  plan_.read_only = spec_.root.read_only;
  plan_.overlay = static_cast<inside::OverlayChoice>(input_.overlay);
  if (spec_.uts.mode == NamespaceMode::kNew) {
    if (!spec_.hostname.empty()) plan_.hostname = spec_.hostname.c_str();
    if (!spec_.domainname.empty()) plan_.domainname = spec_.domainname.c_str();
  }
  SKIFF_TRY(AddMounts());
  AddDevices();
  AddSysctls();
  plan_.masked = Pointers(spec_.masked_paths, memory_);
  plan_.read_only_paths = Pointers(spec_.read_only_paths, memory_);
  plan_.use_init = spec_.use_init;
  plan_.title = input_.title;
  plan_.title_size = input_.title_size;
  plan_.process.keep = KeepSorted(std::move(keep_), memory_);
  return plan_;
}

}  // namespace

Result<inside::InitPlan> BuildInitPlan(const InitInput& input, PlanMemory& memory) {
  return InitBuilder(input, memory).Build();
}

Result<inside::ExecPlan> BuildExecPlan(const ExecInput& input, PlanMemory& memory) {
  inside::ExecPlan plan;
  std::vector<int> keep;
  SKIFF_TRY(FillProcess(input.spec, input.stdio, input.status, memory, plan.process, keep));
  FillProgram(input.exec.args, input.exec.environment, memory, plan.process);
  plan.process.tty = input.exec.tty;
  plan.process.rows = input.exec.rows;
  plan.process.columns = input.exec.columns;
  plan.process.user = input.exec.user.c_str();
  plan.process.cwd = input.exec.cwd.empty() ? "/" : input.exec.cwd.c_str();
  plan.process.capabilities = input.exec.privileged ? ~uint64_t{0} : input.spec.capabilities;
  plan.init_pidfd = input.init_pidfd;
  plan.namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP;
  keep.push_back(input.init_pidfd);
  plan.process.keep = KeepSorted(std::move(keep), memory);
  return plan;
}

}  // namespace skiff::engine::child
