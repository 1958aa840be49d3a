#include "engine-core/runtime_defaults.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace skiff::engine {
namespace {

constexpr int64_t kDefaultShm = 64 << 20;
constexpr uint64_t kQuiet = MS_NOSUID | MS_NOEXEC | MS_NODEV;

RuntimeMount FileSystem(RuntimeMountKind kind, const char* target, uint64_t flags,
                        std::string data = "") {
  RuntimeMount mount;
  mount.kind = kind;
  mount.target = target;
  mount.flags = flags;
  mount.data = std::move(data);
  return mount;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

void CollectDevices(const std::string& folder, std::vector<DeviceNode>* devices) {
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(folder.c_str()));
  if (!directory) return;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    // Terminals and shared memory are the container's own.
    if (name == "." || name == ".." || name == "pts" || name == "shm" || name == "mqueue" ||
        name == "console") {
      continue;
    }
    const std::string path = folder + "/" + name;
    struct stat facts;
    if (lstat(path.c_str(), &facts) != 0) continue;
    if (S_ISDIR(facts.st_mode)) {
      CollectDevices(path, devices);
    } else if (S_ISCHR(facts.st_mode) || S_ISBLK(facts.st_mode)) {
      devices->push_back({path, S_ISBLK(facts.st_mode) != 0, major(facts.st_rdev),
                          minor(facts.st_rdev), facts.st_mode & 07777, facts.st_uid, facts.st_gid});
    }
  }
}

std::vector<std::string> MaskedPaths() {
  std::vector<std::string> paths = {
      "/proc/acpi",        "/proc/asound",  "/proc/interrupts",
      "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
      "/proc/sched_debug", "/proc/scsi",    "/proc/timer_list",
      "/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap"};
  // One per processor: they betray the load of neighbours.
  const long processors = sysconf(_SC_NPROCESSORS_CONF);
  for (long i = 0; i < processors; ++i) {
    std::string path = "/sys/devices/system/cpu/cpu" + std::to_string(i) + "/thermal_throttle";
    if (access(path.c_str(), F_OK) == 0) paths.push_back(std::move(path));
  }
  return paths;
}

}  // namespace

std::vector<RuntimeMount> DefaultMounts(const DefaultMountOptions& options) {
  const uint64_t read_only = options.privileged ? 0 : MS_RDONLY;
  const uint64_t cgroup_read_only = options.writable_cgroups ? 0 : read_only;
  std::vector<RuntimeMount> mounts;
  mounts.push_back(FileSystem(RuntimeMountKind::kProc, "/proc", kQuiet));
  mounts.push_back(FileSystem(RuntimeMountKind::kTmpfs, "/dev", MS_NOSUID | MS_STRICTATIME,
                              "mode=755,size=65536k"));
  mounts.push_back(FileSystem(RuntimeMountKind::kDevpts, "/dev/pts", MS_NOSUID | MS_NOEXEC,
                              "newinstance,ptmxmode=0666,mode=0620,gid=5"));
  mounts.push_back(FileSystem(RuntimeMountKind::kSysfs, "/sys", kQuiet | read_only));
  mounts.push_back(
      FileSystem(RuntimeMountKind::kCgroup, "/sys/fs/cgroup", kQuiet | cgroup_read_only));
  mounts.push_back(FileSystem(RuntimeMountKind::kMqueue, "/dev/mqueue", kQuiet));
  if (options.shm_size >= 0) {
    const int64_t size = options.shm_size == 0 ? kDefaultShm : options.shm_size;
    mounts.push_back(FileSystem(RuntimeMountKind::kTmpfs, "/dev/shm", kQuiet,
                                "mode=1777,size=" + std::to_string(size)));
  }
  return mounts;
}

const std::vector<std::string>& DefaultMaskedPaths() {
  static const std::vector<std::string> paths = MaskedPaths();
  return paths;
}

const std::vector<std::string>& DefaultReadOnlyPaths() {
  static const std::vector<std::string> paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                                 "/proc/sysrq-trigger"};
  return paths;
}

std::vector<DeviceNode> HostDevices() {
  std::vector<DeviceNode> devices;
  CollectDevices("/dev", &devices);
  std::sort(devices.begin(), devices.end(),
            [](const DeviceNode& a, const DeviceNode& b) { return a.path < b.path; });
  return devices;
}

Result<DeviceNode> DescribeDevice(const std::string& host_path, const std::string& container_path) {
  struct stat facts;
  if (stat(host_path.c_str(), &facts) != 0)
    return FailErrno("cannot use the device '" + host_path + "'");
  if (!S_ISCHR(facts.st_mode) && !S_ISBLK(facts.st_mode))
    return Fail(Code::kInvalidArgument, "'" + host_path + "' is not a device");
  return DeviceNode{container_path.empty() ? host_path : container_path,
                    S_ISBLK(facts.st_mode) != 0,
                    major(facts.st_rdev),
                    minor(facts.st_rdev),
                    facts.st_mode & 07777,
                    facts.st_uid,
                    facts.st_gid};
}

}  // namespace skiff::engine
