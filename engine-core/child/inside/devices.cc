#include <linux/magic.h>
#include <linux/mount.h>

#include "engine-core/child/inside/mounts.h"
#include "engine-core/child/inside/path.h"
#include "engine-core/child/inside/report.h"
#include "engine-core/child/inside/stat.h"

namespace skiff::engine::child::inside {
namespace {

constexpr uint32_t kTypeMask = 0170000;

uint32_t Major(uint64_t device) {
  return static_cast<uint32_t>((device >> 8) & 0xfff);
}
uint32_t Minor(uint64_t device) {
  return static_cast<uint32_t>((device & 0xff) | ((device >> 12) & 0xfff00));
}

// Where mknod is forbidden: the host's node, when it is the same device, on an empty file.
Word BindNode(int folder, const char* name, const DevicePlan& device) {
  const int made = OpenAt(folder, name, kOpenWrite | kOpenCreate | kOpenExclusive, 0);
  if (made < 0) return made;
  Close(made);
  const int tree = OpenTree(kAtCwd, device.path, false);
  if (tree < 0) return tree;
  const FileFacts facts = FactsOf(tree);
  if ((facts.mode & kTypeMask) != (device.mode & kTypeMask) ||
      facts.device_major != Major(device.device) || facts.device_minor != Minor(device.device)) {
    Close(tree);
    return -ENODEV;
  }
  const int target = OpenAt(folder, name, kOpenPath | kOpenNofollow);
  const Word moved = target < 0 ? target : MoveMount(tree, target);
  Close(target);
  Close(tree);
  return moved;
}

// A node in an open folder. One that is there already stays when it is the same device.
void MakeNode(int folder, const char* name, const DevicePlan& device) {
  Word result =
      Syscall(__NR_mknodat, folder, W(name), device.mode, static_cast<Word>(device.device));
  if (result == -EPERM) {
    result = BindNode(folder, name, device);
    if (result < 0) Die(result, "cannot make the device", device.path);
    return;
  }
  if (result == -EEXIST) {
    const int there = OpenAt(folder, name, kOpenPath | kOpenNofollow);
    const FileFacts facts = FactsOf(there);
    Close(there);
    if ((facts.mode & kTypeMask) == (device.mode & kTypeMask) &&
        facts.device_major == Major(device.device) && facts.device_minor == Minor(device.device)) {
      return;
    }
  }
  if (result < 0) Die(result, "cannot make the device", device.path);
  if (device.uid != 0 || device.gid != 0) {
    result = Syscall(__NR_fchownat, folder, W(name), device.uid, device.gid, kAtSymlinkNofollow);
    if (result < 0) Die(result, "cannot set the owner of the device", device.path);
  }
}

const char* BaseName(const char* path) {
  const char* base = path;
  for (const char* at = path; *at != 0; ++at) {
    if (*at == '/') base = at + 1;
  }
  return base;
}

// The folder of a device path, made when missing.
int FolderOf(int root, const char* path, const char* base) {
  PathText folder;
  folder.Add("/");
  folder.AddBytes(path, static_cast<size_t>(base - path));
  const int fd = ResolveInRoot(root, folder.data, Missing::kMakeDirectory);
  if (fd < 0) Die(fd, "cannot make the folder of the device", path);
  return fd;
}

}  // namespace

int OpenNull() {
  const int fd = Open("/dev/null", kOpenReadWrite | kOpenNofollow | kOpenNoctty);
  if (fd >= 0 && !IsCharacterDevice(fd, 1, 3)) return -ENODEV;
  return fd;
}

void PopulateDev(const InitPlan& plan, int dev) {
  for (const DevicePlan& device : plan.default_devices)
    MakeNode(dev, BaseName(device.path), device);
  static constexpr const char* kLinks[][2] = {
      {"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
      {"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"},      {"pts/ptmx", "ptmx"}};
  for (const auto& link : kLinks) {
    // Not every kernel has /proc/kcore; the links of all others have a target.
    Word missing = 0;
    if (Same(link[1], "core")) FactsOfPath(link[0], &missing);
    if (missing < 0) continue;
    const Word made = Syscall(__NR_symlinkat, W(link[0]), dev, W(link[1]));
    if (made < 0) Die(made, "cannot make the link /dev/", link[1]);
  }
}

void MakeDevices(const InitPlan& plan, const MountedRoot& mounted) {
  for (const DevicePlan& device : plan.devices) {
    const bool in_dev = StartsWith(device.path, "/dev/");
    // With the host's /dev mounted at /dev a node would be made on the host.
    const int root = in_dev ? mounted.dev : mounted.root;
    if (root < 0) continue;
    const char* path = in_dev ? device.path + 5 : device.path;
    const char* base = BaseName(path);
    const int folder = FolderOf(root, path, base);
    MakeNode(folder, base, device);
    Close(folder);
  }
}

int OpenTerminal(int ptmx, const ProcessPlan& plan) {
  constexpr unsigned long kUnlock = 0x40045431;  // TIOCSPTLCK
  constexpr unsigned long kPeer = 0x5441;        // TIOCGPTPEER
  if (FileSystemMagic(ptmx) != DEVPTS_SUPER_MAGIC || !IsCharacterDevice(ptmx, 5, 2))
    Die(-ENODEV, "cannot use the container's /dev/pts/ptmx");
  int zero = 0;
  Word result = Syscall(__NR_ioctl, ptmx, kUnlock, W(&zero));
  if (result >= 0)
    result = Syscall(__NR_ioctl, ptmx, kPeer, kOpenReadWrite | kOpenNoctty | kOpenCloexec);
  if (result < 0) Die(result, "cannot open a terminal in the container");
  const unsigned short size[4] = {plan.rows, plan.columns, 0, 0};
  if (plan.rows != 0 || plan.columns != 0)
    Syscall(__NR_ioctl, ptmx, 0x5414 /* TIOCSWINSZ */, W(size));
  ReportTerminal(ptmx);
  return static_cast<int>(result);
}

}  // namespace skiff::engine::child::inside
