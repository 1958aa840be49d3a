#include "engine-core/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>

#include "base/failpoint.h"
#include "base/text.h"

namespace skiff::engine {
namespace {

constexpr int kRemoveWaitMs = 2000;
constexpr std::string_view kMonitors = "monitors";
// What containers may be limited by, on v2.
constexpr const char* kV2Controllers[] = {"cpu", "memory", "pids", "io", "cpuset"};

Status WriteFileValue(const std::string& path, std::string_view value) {
  SKIFF_ASSIGN(const Fd file, OpenFile(path, O_WRONLY));
  return WriteAll(file.get(), value, path);
}

bool IsLacking(const Error& error) {
  return error.code == Code::kNotFound || error.sys_errno == EOPNOTSUPP;
}

// "/a/../b" would leave the parent.
std::string Clean(const std::string& path) {
  std::string clean;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == "." || part == "..") continue;
    clean += '/';
    clean += part;
  }
  return clean;
}

// cgroup v1: a new cpuset is empty, and no process may enter an empty one.
Status SeedCpuset(const std::string& parent, const std::string& folder) {
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
    SKIFF_ASSIGN(const std::string own, ReadFile(folder + file));
    if (!Trim(own).empty()) continue;
    SKIFF_ASSIGN(std::string inherited, ReadFile(parent + file));
    if (Trim(inherited).empty()) {
      // Somebody else has just made the parent and not come to this yet. The root is never empty.
      SKIFF_TRY(SeedCpuset(parent.substr(0, parent.rfind('/')), parent));
      SKIFF_ASSIGN(inherited, ReadFile(parent + file));
    }
    SKIFF_TRY(WriteFileValue(folder + file, Trim(inherited)));
  }
  return {};
}

// cgroup v2: a new folder can be limited by what every folder above it hands down. Controllers that
// this kernel has not got, or that an ancestor keeps, stay away; writing a limit tells so later.
void EnableControllers(const CgroupHierarchy& hierarchy, const std::string& folder) {
  const auto lacking = [&](const std::string& below) {
    std::vector<const char*> names;
    const auto text = ReadFile(below + "/cgroup.controllers");
    const std::vector<std::string_view> has =
        text ? SplitWords(*text) : std::vector<std::string_view>();
    for (const char* controller : kV2Controllers) {
      if (hierarchy.Has(controller) && std::find(has.begin(), has.end(), controller) == has.end())
        names.push_back(controller);
    }
    return names;
  };
  if (lacking(folder).empty()) return;
  for (size_t end = hierarchy.mount_point.size(); end < folder.size();) {
    const size_t next = std::min(folder.find('/', end + 1), folder.size());
    const std::string control = folder.substr(0, end) + "/cgroup.subtree_control";
    // A folder above that hands down enough is its owner's (systemd's): nothing is written there.
    for (const char* controller : lacking(folder.substr(0, next)))
      (void)WriteFileValue(control, std::string("+") + controller);
    end = next;
  }
}

std::vector<std::string> Names(const std::string& folder) {
  struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
  };
  std::vector<std::string> names;
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(folder.c_str()));
  if (!directory) return names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") names.push_back(name);
  }
  return names;
}

std::string DeviceLine(const DeviceRule& rule) {
  const auto number = [](int64_t value) { return value < 0 ? "*" : std::to_string(value); };
  return std::string(1, rule.type) + " " + number(rule.major) + ":" + number(rule.minor) + " " +
         rule.access;
}

Status AttachDeviceProgram(const std::string& folder, const std::vector<DeviceRule>& rules) {
  const std::vector<uint64_t> program = CompileDeviceProgram(rules);
  static constexpr char kLicense[] = "GPL";
  bpf_attr load = {};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insn_cnt = static_cast<uint32_t>(program.size());
  load.insns = reinterpret_cast<uint64_t>(program.data());
  load.license = reinterpret_cast<uint64_t>(kLicense);
  const Fd loaded(static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load)));
  if (!loaded) return FailErrno("cannot load the device policy of a container");
  SKIFF_ASSIGN(const Fd cgroup, OpenFile(folder, O_RDONLY | O_DIRECTORY));
  bpf_attr attach = {};
  attach.target_fd = static_cast<uint32_t>(cgroup.get());
  attach.attach_bpf_fd = static_cast<uint32_t>(loaded.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach) != 0)
    return FailErrno("cannot attach the device policy of a container");
  return {};
}

int64_t NumberIn(const std::string& path) {
  const auto text = ReadFile(path);
  if (!text) return 0;
  return ParseNumber<int64_t>(Trim(*text)).value_or(0);
}

// Of a file of lines "key number".
int64_t NumberOf(const std::string& path, std::string_view key) {
  const auto text = ReadFile(path);
  if (!text) return 0;
  for (const std::string_view line : Split(*text, '\n')) {
    const std::vector<std::string_view> words = SplitWords(line);
    if (words.size() == 2 && words[0] == key) return ParseNumber<int64_t>(words[1]).value_or(0);
  }
  return 0;
}

// "8:0 rbytes=1 wbytes=2 ..." of each device.
void AddIoStat(const std::string& path, CgroupUsage& usage) {
  const auto text = ReadFile(path);
  if (!text) return;
  constexpr std::string_view kRead = "rbytes=";
  constexpr std::string_view kWritten = "wbytes=";
  for (const std::string_view line : Split(*text, '\n')) {
    for (const std::string_view word : SplitWords(line)) {
      if (word.starts_with(kRead)) {
        usage.read_bytes += ParseNumber<int64_t>(word.substr(kRead.size())).value_or(0);
      } else if (word.starts_with(kWritten)) {
        usage.written_bytes += ParseNumber<int64_t>(word.substr(kWritten.size())).value_or(0);
      }
    }
  }
}

// "8:0 Read 1" of each device and kind.
void AddServiceBytes(const std::string& path, CgroupUsage& usage) {
  const auto text = ReadFile(path);
  if (!text) return;
  for (const std::string_view line : Split(*text, '\n')) {
    const std::vector<std::string_view> words = SplitWords(line);
    if (words.size() != 3) continue;
    const int64_t bytes = ParseNumber<int64_t>(words[2]).value_or(0);
    if (words[1] == "Read") usage.read_bytes += bytes;
    if (words[1] == "Write") usage.written_bytes += bytes;
  }
}

}  // namespace

void ContainerCgroups::ApplyTo(RuntimeSpec& spec) const {
  spec.cgroups = cgroups;
  spec.memory_cgroup = memory_cgroup;
  spec.freezer_cgroup = freezer_cgroup;
  spec.unified = unified;
}

Result<std::unique_ptr<CgroupManager>> CgroupManager::Create(Options options) {
  SKIFF_ASSIGN(CgroupLayout layout, DetectCgroupLayout());
  return std::make_unique<CgroupManager>(std::move(options), std::move(layout));
}

std::string CgroupManager::Base(const CgroupHierarchy& hierarchy) const {
  return hierarchy.mount_point + Clean(options_.parent) + "/skiff-" + options_.root_hash;
}

std::string CgroupManager::Folder(const CgroupHierarchy& hierarchy, const std::string& id,
                                  const std::string& cgroup_parent) const {
  if (cgroup_parent.empty()) return Base(hierarchy) + "/" + id;
  return hierarchy.mount_point + Clean(cgroup_parent) + "/skiff-" + options_.root_hash + "-" + id;
}

// Makes the folder and those above it.
Status CgroupManager::MakeFolder(const CgroupHierarchy& hierarchy,
                                 const std::string& folder) const {
  const std::string parent = folder.substr(0, folder.rfind('/'));
  int error = mkdir(folder.c_str(), 0755) == 0 ? 0 : errno;
  if (error == ENOENT) {
    if (parent.size() <= hierarchy.mount_point.size())
      return Fail(Code::kNotFound, "no cgroup hierarchy at '" + hierarchy.mount_point + "'");
    SKIFF_TRY(MakeFolder(hierarchy, parent));
    error = mkdir(folder.c_str(), 0755) == 0 ? 0 : errno;
  }
  if (error != 0 && error != EEXIST)
    return FailErrno(error, "cannot make the cgroup '" + folder + "'");
  if (hierarchy.unified && error == 0) EnableControllers(hierarchy, folder);
  if (hierarchy.Has("cpuset") && !hierarchy.unified) return SeedCpuset(parent, folder);
  return {};
}

ContainerCgroups CgroupManager::Describe(const std::string& id,
                                         const std::string& cgroup_parent) const {
  ContainerCgroups result;
  result.unified = layout_.mode == CgroupMode::kV2;
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies) {
    std::string folder = Folder(hierarchy, id, cgroup_parent);
    if (hierarchy.Has("memory")) result.memory_cgroup = folder;
    if (hierarchy.Has("freezer") || result.unified) result.freezer_cgroup = folder;
    result.cgroups.push_back(std::move(folder));
  }
  return result;
}

Status CgroupManager::Apply(const std::string& id, const std::string& cgroup_parent,
                            const std::vector<CgroupSetting>& settings,
                            std::vector<std::string>* warnings) const {
  std::vector<const CgroupSetting*> again;
  const auto write = [&](const CgroupSetting& setting, bool last_try) -> Status {
    const CgroupHierarchy* hierarchy = layout_.Find(setting.controller);
    Status written = Fail(Code::kNotFound, "");
    if (hierarchy != nullptr) {
      const std::string folder = Folder(*hierarchy, id, cgroup_parent) + "/";
      written = WriteFileValue(folder + setting.file, setting.value);
      if (!written && IsLacking(written.error()) && !setting.alternative_file.empty())
        written = WriteFileValue(folder + setting.alternative_file, setting.alternative_value);
    }
    if (written) return {};
    if (IsLacking(written.error())) {
      warnings->push_back(setting.key + ": this kernel does not support the limit (" +
                          setting.file + "); it is discarded");
      return {};
    }
    if (!last_try) {
      again.push_back(&setting);
      return {};
    }
    Error error = written.error();
    error.message = "cannot set " + setting.key + " to '" + setting.value + "'";
    return Fail(std::move(error));
  };
  for (const CgroupSetting& setting : settings) SKIFF_TRY(write(setting, false));
  // Limits that depend on each other (memory and memory plus swap) fit in one order only.
  for (size_t i = 0, count = again.size(); i < count; ++i) SKIFF_TRY(write(*again[i], true));
  return {};
}

Status CgroupManager::ApplyDevices(const std::string& id, const std::string& cgroup_parent,
                                   const std::vector<DeviceRule>& rules,
                                   std::vector<std::string>* warnings) const {
  if (const CgroupHierarchy* devices = layout_.Find("devices")) {
    const std::string folder = Folder(*devices, id, cgroup_parent);
    for (const DeviceRule& rule : rules) {
      const std::string file = folder + (rule.allow ? "/devices.allow" : "/devices.deny");
      const bool everything = rule.type == 'a' && rule.major < 0 && rule.minor < 0;
      SKIFF_TRY(WriteFileValue(file, everything ? "a" : DeviceLine(rule)));
    }
    return {};
  }
  if (const CgroupHierarchy* unified = layout_.Unified())
    return AttachDeviceProgram(Folder(*unified, id, cgroup_parent), rules);
  warnings->push_back("devices: there is no cgroup hierarchy to restrict devices with");
  return {};
}

Result<ContainerCgroups> CgroupManager::CreateContainer(const std::string& id,
                                                        const Resources& resources,
                                                        const std::vector<DeviceRule>& devices,
                                                        bool privileged,
                                                        const std::string& cgroup_parent) {
  SKIFF_TRY(Failpoint("cgroup.create"));
  ContainerCgroups result = Describe(id, cgroup_parent);
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies)
    SKIFF_TRY(MakeFolder(hierarchy, Folder(hierarchy, id, cgroup_parent)));
  SKIFF_TRY(Failpoint("cgroup.limit"));
  const std::vector<CgroupSetting> settings =
      ResourceSettings(resources, result.unified, &result.warnings);
  SKIFF_TRY(Apply(id, cgroup_parent, settings, &result.warnings));
  if (!privileged) SKIFF_TRY(ApplyDevices(id, cgroup_parent, devices, &result.warnings));
  return result;
}

Result<std::vector<std::string>> CgroupManager::Update(const std::string& id,
                                                       const Resources& resources,
                                                       const std::string& cgroup_parent) {
  SKIFF_TRY(Failpoint("cgroup.update"));
  std::vector<std::string> warnings;
  const bool unified = layout_.mode == CgroupMode::kV2;
  const std::vector<CgroupSetting> settings = ResourceSettings(resources, unified, &warnings);
  SKIFF_TRY(Apply(id, cgroup_parent, settings, &warnings));
  return warnings;
}

Status CgroupManager::RemoveContainer(const std::string& id, const std::string& cgroup_parent) {
  return RemoveCgroups(Describe(id, cgroup_parent).cgroups, kRemoveWaitMs);
}

Result<std::vector<std::string>> CgroupManager::ListContainers() const {
  std::set<std::string> ids;
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies) {
    for (std::string& name : Names(Base(hierarchy))) {
      if (name != kMonitors) ids.insert(std::move(name));
    }
  }
  return std::vector<std::string>(ids.begin(), ids.end());
}

Result<CgroupUsage> CgroupManager::Usage(const std::string& id,
                                         const std::string& cgroup_parent) const {
  const bool unified = layout_.mode == CgroupMode::kV2;
  CgroupUsage usage;
  const auto folder = [&](std::string_view controller) {
    const CgroupHierarchy* hierarchy = unified ? layout_.Unified() : layout_.Find(controller);
    return hierarchy == nullptr ? std::string() : Folder(*hierarchy, id, cgroup_parent);
  };
  const std::string memory = folder("memory");
  if (!memory.empty()) {
    usage.memory = NumberIn(memory + (unified ? "/memory.current" : "/memory.usage_in_bytes"));
    usage.memory_limit = NumberIn(memory + (unified ? "/memory.max" : "/memory.limit_in_bytes"));
    // v1 says "no limit" with the largest multiple of a page.
    if (usage.memory_limit > (int64_t{1} << 60)) usage.memory_limit = 0;
    usage.inactive_file = NumberOf(memory + "/memory.stat",
                                   unified ? "inactive_file" : "total_inactive_file");
    SKIFF_ASSIGN(usage.oom_kills, CountOomKills(memory, unified));
  }
  usage.cpu_ns = unified ? NumberOf(folder("cpu") + "/cpu.stat", "usage_usec") * 1000
                         : NumberIn(folder("cpuacct") + "/cpuacct.usage");
  if (unified) {
    AddIoStat(folder("io") + "/io.stat", usage);
  } else {
    AddServiceBytes(folder("blkio") + "/blkio.throttle.io_service_bytes_recursive", usage);
  }
  usage.processes = NumberIn(folder("pids") + "/pids.current");
  return usage;
}

std::vector<std::string> CgroupManager::MonitorCgroups() {
  std::vector<std::string> folders;
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies) {
    if (hierarchy.own_path == "/") continue;
    std::string folder = Base(hierarchy) + "/" + std::string(kMonitors);
    if (hierarchy.own_path == folder.substr(hierarchy.mount_point.size())) continue;
    if (MakeFolder(hierarchy, folder)) folders.push_back(std::move(folder));
  }
  return folders;
}

Status CgroupManager::RemoveRoot() {
  SKIFF_TRY(Failpoint("cgroup.remove_root"));
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies) {
    const std::string base = Base(hierarchy);
    std::vector<std::string> names = Names(base);
    std::erase(names, kMonitors);
    if (!names.empty())
      return Fail(Code::kFailedPrecondition,
                  "cannot remove the cgroup '" + base + "': it has containers");
    SKIFF_TRY(RemoveCgroups({base}, kRemoveWaitMs));
  }
  return {};
}

}  // namespace skiff::engine
