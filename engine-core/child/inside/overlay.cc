#include <linux/mount.h>

#include "engine-core/child/inside/mounts.h"
#include "engine-core/child/inside/report.h"

namespace skiff::engine::child::inside {
namespace {

// fsconfig(2) copies at most this much of a string, with its NUL.
constexpr size_t kOptionLimit = 256;
// mount(2) takes one page of options.
constexpr size_t kMountOptionLimit = 4096;

Word SetOption(int fs, const char* key, const char* value) {
  return Syscall(__NR_fsconfig, fs, FSCONFIG_SET_STRING, W(key), W(value), 0);
}

int OpenLayer(const char* path) {
  const int fd = Open(path, kOpenPath | kOpenDirectory);
  if (fd < 0) Die(fd, "cannot open the layer", path);
  return fd;
}

// Adds a folder; a long path goes by descriptor.
Word SetFolder(int fs, const char* key, const char* path) {
  if (Length(path) < kOptionLimit) return SetOption(fs, key, path);
  Text<64> name;
  name.Add("/proc/self/fd/");
  name.AddNumber(static_cast<uint64_t>(OpenLayer(path)));
  return SetOption(fs, key, name.data);
}

// Layer by layer (Linux 6.7 and later). Negative: it cannot be done this way. Where lowerdir+ is
// unknown, that comes at the first layer (6.5 and 6.6) or only at the end (before).
int MountByFsconfig(const InitPlan& plan) {
  const int fs = static_cast<int>(Syscall(__NR_fsopen, W("overlay"), FSOPEN_CLOEXEC));
  if (fs < 0) return fs;
  Word result = SetOption(fs, "source", "overlay");
  for (size_t i = 0; i < plan.lower.size && result == 0; ++i)
    result = SetFolder(fs, "lowerdir+", plan.lower.items[i]);
  if (result == 0 && plan.upper != nullptr) result = SetFolder(fs, "upperdir", plan.upper);
  if (result == 0 && plan.upper != nullptr) result = SetFolder(fs, "workdir", plan.work);
  // Neither made nor followed, whatever the kernel's defaults are: a layer says only what an archive
  // can say (reliability 1d, overlay attributes).
  if (result == 0) result = SetOption(fs, "redirect_dir", "nofollow");
  if (result == 0) result = SetOption(fs, "metacopy", "off");
  if (result == 0) result = Syscall(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
  if (result == 0) result = Syscall(__NR_fsmount, fs, FSMOUNT_CLOEXEC, 0);
  Close(fs);
  return static_cast<int>(result);
}

void AddEscaped(Text<kMountOptionLimit>& options, const char* path) {
  for (; *path != 0; ++path) {
    if (*path == ':' || *path == ',' || *path == '\\') options.AddByte('\\');
    options.AddByte(*path);
  }
}

// A folder of ours to mount below: a tmpfs on top of "/", gone with the old root.
int MakeStage() {
  const int stage = NewMount("tmpfs", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (stage < 0) Die(stage, "cannot mount a folder for the container's root");
  const int old_root = Open("/", kOpenPath | kOpenDirectory);
  if (old_root < 0) Die(old_root, "cannot open", "/");
  const Word moved = MoveMount(stage, old_root);
  if (moved < 0) Die(moved, "cannot mount a folder for the container's root");
  Close(old_root);
  const Word made = Syscall(__NR_mkdirat, stage, W("root"), 0700);
  if (made < 0) Die(made, "cannot make a folder for the container's root");
  return stage;
}

// mount(2) from inside /proc/self/fd, where the name of a layer is its number: 500 layers fit. The
// result is detached, as that of fsconfig.
int MountByMount(const InitPlan& plan) {
  const int stage = MakeStage();
  Text<kMountOptionLimit> options;
  options.Add("lowerdir=");
  const char* separator = "";
  for (const char* layer : plan.lower) {
    options.Add(separator);
    options.AddNumber(static_cast<uint64_t>(OpenLayer(layer)));
    separator = ":";
  }
  if (plan.upper != nullptr) {
    options.Add(",upperdir=");
    AddEscaped(options, plan.upper);
    options.Add(",workdir=");
    AddEscaped(options, plan.work);
  }
  options.Add(",redirect_dir=nofollow,metacopy=off");
  if (options.truncated) Die(-E2BIG, "cannot mount the container's layers: there are too many");
  Text<64> target;
  target.Add("/proc/self/fd/");
  target.AddNumber(static_cast<uint64_t>(stage));
  target.Add("/root");
  Word result = Syscall(__NR_chdir, W("/proc/self/fd"));
  if (result < 0) Die(result, "cannot enter", "/proc/self/fd");
  result = Syscall(__NR_mount, W("overlay"), W(target.data), W("overlay"), 0, W(options.data));
  if (result < 0) Die(result, "cannot mount the container's layers");
  Syscall(__NR_chdir, W("/"));
  // The stage may not stay on top of the old root: the unmount after pivot_root(2) takes what lies
  // on top, and with the stage in its way the host's root would stay there for "/.." and setns(2).
  const int root = OpenTree(stage, "root", false);
  if (root < 0) Die(root, "cannot open the container's root");
  target.size = 0;
  target.Add("/proc/self/fd/");
  target.AddNumber(static_cast<uint64_t>(stage));
  result = Syscall(__NR_umount2, W(target.data), 2 /* MNT_DETACH */);
  if (result < 0) Die(result, "cannot unmount the folder for the container's root");
  Close(stage);
  return root;
}

}  // namespace

int MountRoot(const InitPlan& plan) {
  const int old_root = Open("/", kOpenPath | kOpenDirectory);
  if (old_root < 0) Die(old_root, "cannot open", "/");
  int root = -EINVAL;
  if (plan.upper == nullptr && plan.lower.size == 1) {
    // overlayfs wants two folders at least; a single one is itself.
    root = OpenTree(kAtCwd, plan.lower.items[0], false);
    if (root < 0) Die(root, "cannot open the layer", plan.lower.items[0]);
    const Word set = SetMountAttributes(root, MOUNT_ATTR_RDONLY, MS_PRIVATE, false);
    if (set < 0) Die(set, "cannot make the container's root read-only");
  } else if (plan.overlay != OverlayChoice::kMount) {
    root = MountByFsconfig(plan);
    if (root < 0 && plan.overlay == OverlayChoice::kFsconfig)
      Die(root, "cannot mount the container's layers by fsconfig");
  }
  if (root < 0) root = MountByMount(plan);
  const Word moved = MoveMount(root, old_root);
  if (moved < 0) Die(moved, "cannot attach the container's root");
  Close(old_root);
  return root;
}

}  // namespace skiff::engine::child::inside
