#include "engine-core/child/inside/mounts.h"

#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/stat.h>

#include "engine-core/child/inside/path.h"
#include "engine-core/child/inside/report.h"
#include "engine-core/child/inside/stat.h"

namespace skiff::engine::child::inside {
namespace {

struct MountAttributes {
  uint64_t set;
  uint64_t clear;
  uint64_t propagation;
  uint64_t user_namespace;
};

// Files of /proc that may be covered by a bind mount (lxcfs); anything else could fool security
// policies that are set through procfs (CVE-2019-16884).
constexpr const char* kBindableProcFiles[] = {"/proc/cpuinfo",
                                              "/proc/diskstats",
                                              "/proc/meminfo",
                                              "/proc/stat",
                                              "/proc/swaps",
                                              "/proc/uptime",
                                              "/proc/loadavg",
                                              "/proc/slabinfo",
                                              "/proc/sys/kernel/ns_last_pid",
                                              "/proc/sys/crypto/fips_enabled"};

bool IsBindableInProc(const char* target) {
  for (const char* file : kBindableProcFiles) {
    if (Same(file, target)) return true;
  }
  return false;
}

[[noreturn]] void RefuseLink(const char* target) {
  Text<512> text;
  text.Add("cannot mount on '");
  text.Add(target);
  text.Add("': it must be an ordinary directory, the image has a link there");
  DieWith(text.data, ELOOP, 128);
}

int OpenTarget(int root, const MountPlan& mount, bool is_file) {
  const Missing missing = is_file ? Missing::kMakeFile : Missing::kMakeDirectory;
  const int target = ResolveInRoot(root, mount.target, missing, mount.plain_target);
  if (target == -ELOOP && mount.plain_target) RefuseLink(mount.target);
  if (target < 0) Die(target, "cannot make the mount point", mount.target);
  return target;
}

void Attach(int tree, int target, const MountPlan& mount) {
  if (IsDirectory(tree) != IsDirectory(target)) {
    Text<1024> text;
    text.Add("cannot mount on '");
    text.Add(mount.target);
    text.Add("': not a directory (a directory on a file, or a file on a directory)");
    DieWith(text.data, ENOTDIR, 127);
  }
  const Word moved = MoveMount(tree, target);
  if (moved < 0) Die(moved, "cannot mount on", mount.target);
}

void MountBind(int root, const MountPlan& mount) {
  const bool is_file = !IsDirectory(mount.tree);
  const int target = OpenTarget(root, mount, is_file);
  if (FileSystemMagic(target) == PROC_SUPER_MAGIC && !IsBindableInProc(mount.target)) {
    Text<512> text;
    text.Add("cannot mount on '");
    text.Add(mount.target);
    text.Add("': it is inside /proc");
    DieWith(text.data, EINVAL, 128);
  }
  Attach(mount.tree, target, mount);
  Word set = SetMountAttributes(mount.tree, 0, mount.propagation, mount.recursive_propagation);
  if (set < 0) Die(set, "cannot set the propagation of", mount.target);
  if (mount.attributes != 0) {
    set = SetMountAttributes(mount.tree, mount.attributes, 0, mount.recursive);
    if (set < 0) Die(set, "cannot set the mount options of", mount.target);
  }
  Close(target);
  Close(mount.tree);
}

// docker: a tmpfs without a mode takes that of the folder it covers.
int NewTmpfsLike(const MountPlan& mount, int existing, const char** failed) {
  FsOption options[33];
  List<FsOption> list = {options, 0};
  for (const FsOption& option : mount.options) {
    if (list.size < 32) options[list.size++] = option;
  }
  char mode[8] = "1777";
  if (existing >= 0) {
    const uint32_t bits = ModeOf(existing) & 07777;
    for (int i = 0; i < 4; ++i) mode[i] = static_cast<char>('0' + (bits >> (9 - 3 * i)) % 8);
  }
  options[list.size++] = {"mode", mode};
  return NewMount("tmpfs", list, mount.attributes, failed);
}

void MountFileSystem(const InitPlan& plan, const MountPlan& mount, MountedRoot& mounted) {
  const char* failed = nullptr;
  int existing = -1;
  if (mount.takes_mode) existing = ResolveInRoot(mounted.root, mount.target, Missing::kFail);
  const int tree = mount.takes_mode
                       ? NewTmpfsLike(mount, existing, &failed)
                       : NewMount(mount.fs_type, mount.options, mount.attributes, &failed);
  if (existing >= 0) Close(existing);
  if (tree < 0 && failed != nullptr) {
    Text<512> what;
    what.Add("cannot mount on '");
    what.Add(mount.target);
    what.Add("': option");
    Die(tree, what.data, failed);
  }
  if (tree < 0) Die(tree, "cannot mount on", mount.target);
  const int target = OpenTarget(mounted.root, mount, false);
  Attach(tree, target, mount);
  Close(target);
  if (mount.is_dev) {
    mounted.dev = tree;
    PopulateDev(plan, tree);
  } else if (mount.is_devpts) {
    mounted.devpts = tree;
  } else {
    Close(tree);
  }
}

// cgroup v1: a tmpfs with the container's own folder of each hierarchy.
void MountCgroupV1(const InitPlan& plan, const MountPlan& mount, const MountedRoot& mounted) {
  FsOption mode = {"mode", "755"};
  const int tmpfs = NewMount("tmpfs", {&mode, 1}, mount.attributes & ~uint64_t{MOUNT_ATTR_RDONLY});
  if (tmpfs < 0) Die(tmpfs, "cannot mount on", mount.target);
  const int target = OpenTarget(mounted.root, mount, false);
  Attach(tmpfs, target, mount);
  Close(target);
  for (const CgroupMount& cgroup : plan.cgroup_mounts) {
    Word result = Syscall(__NR_mkdirat, tmpfs, W(cgroup.name), 0755);
    if (result < 0 && result != -EEXIST) Die(result, "cannot make the folder of", cgroup.name);
    const int folder = OpenAt(tmpfs, cgroup.name, kOpenPath | kOpenDirectory | kOpenNofollow);
    const int tree = OpenTree(kAtCwd, cgroup.source, false);
    if (tree < 0) Die(tree, "cannot open the cgroup", cgroup.source);
    result = SetMountAttributes(tree, mount.attributes, MS_PRIVATE, false);
    if (result == 0) result = MoveMount(tree, folder);
    if (result < 0) Die(result, "cannot mount the cgroup", cgroup.source);
    Close(tree);
    Close(folder);
    for (const char* link : cgroup.links) Syscall(__NR_symlinkat, W(cgroup.name), tmpfs, W(link));
  }
  if ((mount.attributes & MOUNT_ATTR_RDONLY) != 0) {
    const Word set = SetMountAttributes(tmpfs, MOUNT_ATTR_RDONLY, 0, false);
    if (set < 0) Die(set, "cannot make read-only", mount.target);
  }
  Close(tmpfs);
}

}  // namespace

int OpenTree(int dir, const char* path, bool recursive) {
  return static_cast<int>(
      Syscall(__NR_open_tree, dir, W(path),
              OPEN_TREE_CLONE | kOpenCloexec | kAtEmptyPath | (recursive ? kAtRecursive : 0)));
}

Word MoveMount(int from, int to) {
  return Syscall(__NR_move_mount, from, W(""), to, W(""),
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

Word SetMountAttributes(int mount, uint64_t set, uint64_t propagation, bool recursive) {
  MountAttributes attributes = {set, 0, propagation, 0};
  return Syscall(__NR_mount_setattr, mount, W(""), kAtEmptyPath | (recursive ? kAtRecursive : 0),
                 W(&attributes), sizeof attributes);
}

int NewMount(const char* type, const List<FsOption>& options, uint64_t attributes,
             const char** failed) {
  const int fs = static_cast<int>(Syscall(__NR_fsopen, W(type), FSOPEN_CLOEXEC));
  if (fs < 0) return fs;
  // What /proc/mounts shows in its first column.
  Word result = Syscall(__NR_fsconfig, fs, FSCONFIG_SET_STRING, W("source"), W(type), 0);
  for (const FsOption& option : options) {
    const auto command = option.value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
    result = Syscall(__NR_fsconfig, fs, command, W(option.key), W(option.value), 0);
    if (result < 0) {
      if (failed != nullptr) *failed = option.key;
      Close(fs);
      return static_cast<int>(result);
    }
  }
  result = Syscall(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
  if (result >= 0)
    result = Syscall(__NR_fsmount, fs, FSMOUNT_CLOEXEC, static_cast<Word>(attributes));
  Close(fs);
  return static_cast<int>(result);
}

namespace {

// -ELOOP when a link is on the way.
int OpenPlainTree(const char* path, bool recursive) {
  const int root = OpenAt(kAtCwd, "/", kOpenPath | kOpenDirectory);
  if (root < 0) return root;
  const int place = OpenInRoot(root, path, kOpenPath, kResolveNoSymlinks);
  Close(root);
  if (place < 0) return place;
  const int tree = OpenTree(place, "", recursive);
  Close(place);
  return tree;
}

}  // namespace

void CopyBindSources(InitPlan& plan) {
  for (MountPlan& mount : plan.mounts) {
    if (mount.action != MountAction::kBind) continue;
    mount.tree = mount.plain_source ? OpenPlainTree(mount.source, mount.recursive)
                                    : OpenTree(kAtCwd, mount.source, mount.recursive);
    if (mount.tree == -ENOENT) {
      Text<1024> text;
      text.Add("bind source path does not exist: ");
      text.Add(mount.source);
      DieWith(text.data, ENOENT, 128);
    }
    if (mount.tree < 0) Die(mount.tree, "cannot open the bind source", mount.source);
  }
}

void MountAll(const InitPlan& plan, MountedRoot& mounted) {
  for (const MountPlan& mount : plan.mounts) {
    switch (mount.action) {
      case MountAction::kBind:
        MountBind(mounted.root, mount);
        break;
      case MountAction::kFileSystem:
        MountFileSystem(plan, mount, mounted);
        break;
      case MountAction::kCgroupV1:
        MountCgroupV1(plan, mount, mounted);
        break;
    }
  }
}

void HidePaths(const InitPlan& plan, const MountedRoot& mounted) {
  for (const char* path : plan.read_only_paths) {
    const int target = ResolveInRoot(mounted.root, path, Missing::kFail);
    if (target == -ENOENT || target == -ENOTDIR) continue;
    if (target < 0) Die(target, "cannot make read-only", path);
    const int tree = OpenTree(target, "", true);
    Word result = tree;
    if (tree >= 0) result = SetMountAttributes(tree, MOUNT_ATTR_RDONLY, 0, true);
    if (result >= 0) result = MoveMount(tree, target);
    if (result < 0) Die(result, "cannot make read-only", path);
    Close(tree);
    Close(target);
  }
  int empty = -1;  // One read-only tmpfs serves all folders.
  for (const char* path : plan.masked) {
    const int target = ResolveInRoot(mounted.root, path, Missing::kFail);
    if (target == -ENOENT || target == -ENOTDIR) continue;
    if (target < 0) Die(target, "cannot mask", path);
    int tree;
    if (!IsDirectory(target)) {
      tree = OpenTree(mounted.host_null, "", false);
    } else if (empty < 0) {
      tree = empty =
          NewMount("tmpfs", {},
                   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    } else {
      tree = OpenTree(empty, "", false);
    }
    const Word result = tree < 0 ? tree : MoveMount(tree, target);
    if (result < 0) Die(result, "cannot mask", path);
    if (tree != empty) Close(tree);
    Close(target);
  }
  if (empty >= 0) Close(empty);
}

void EnterRoot(const InitPlan& plan, const MountedRoot& mounted) {
  if (plan.read_only) {
    const Word set = SetMountAttributes(mounted.root, MOUNT_ATTR_RDONLY, 0, false);
    if (set < 0) Die(set, "cannot make the container's root read-only");
  }
  Word result = Syscall(__NR_fchdir, mounted.root);
  if (result >= 0) result = Syscall(__NR_pivot_root, W("."), W("."));
  // The old root lies on top of the new one now; the working directory is in it.
  if (result >= 0) result = Syscall(__NR_umount2, W("."), 2 /* MNT_DETACH */);
  if (result >= 0) result = Syscall(__NR_chdir, W("/"));
  if (result < 0) Die(result, "cannot enter the container's root");
  // What still lies on top of it would be the host: there "/.." and setns(2) lead.
  if (MountIdOf("/") != MountIdOf("/.."))
    Die(-EBUSY, "cannot leave the host's root: there is a mount on top of it");
}

}  // namespace skiff::engine::child::inside
