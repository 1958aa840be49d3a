#include "engine-core/image/merged_root.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/root_path.h"

namespace skiff::engine::image {
namespace {

// The mark of a volatile mount, which keeps the next mount from using the folders: they are not of
// the kind that outlives a power cut.
void ForgetVolatile(const Fd& work) {
  ::unlinkat(work.get(), "work/incompat/volatile/dirty", 0);
  ::unlinkat(work.get(), "work/incompat/volatile", AT_REMOVEDIR);
  ::unlinkat(work.get(), "work/incompat", AT_REMOVEDIR);
}

// Runs in a thread of its own: unshare() would otherwise take the command's other threads' working
// directory along.
Result<Fd> MountAndOpen(const std::vector<std::string>& diffs, const WritableFolders& folders,
                        const std::string& tmp) {
  if (::unshare(CLONE_NEWNS) != 0) return FailErrno("cannot make a mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return FailErrno("cannot make mounts private");
  }
  // Opened in the new namespace: overlayfs takes no layer of a mount of another one.
  std::vector<Fd> layers;
  for (const std::string& diff : diffs) {
    SKIFF_ASSIGN(Fd layer, OpenFile(diff, O_RDONLY | O_DIRECTORY));
    layers.push_back(std::move(layer));
  }
  // Short names: the options of mount(2) must fit one page.
  std::string options = "lowerdir=";
  for (const Fd& layer : layers) {
    if (!options.ends_with('=')) options += ':';
    options += "/proc/self/fd/" + std::to_string(layer.get());
  }
  unsigned long flags = MS_NODEV | MS_NOSUID;
  Fd upper;
  Fd work;
  if (folders.upper.empty()) {
    flags |= MS_RDONLY;
  } else {
    SKIFF_ASSIGN(upper, OpenFile(folders.upper, O_RDONLY | O_DIRECTORY));
    SKIFF_ASSIGN(work, OpenFile(folders.work, O_RDONLY | O_DIRECTORY));
    options += ",upperdir=/proc/self/fd/" + std::to_string(upper.get());
    options += ",workdir=/proc/self/fd/" + std::to_string(work.get());
    // Only what an archive can say: no folder that points elsewhere, no file without its data.
    options += ",redirect_dir=nofollow,metacopy=off";
  }
  // Without it the end of the mount writes back all of the host's file system; the engine's commit
  // does what is needed. Kernels before 5.10 do not know it.
  bool mounted = false;
  if (!folders.upper.empty()) {
    const std::string light = options + ",volatile";
    mounted = ::mount("overlay", tmp.c_str(), "overlay", flags, light.c_str()) == 0;
    if (mounted) ForgetVolatile(work);
  }
  if (!mounted && ::mount("overlay", tmp.c_str(), "overlay", flags, options.c_str()) != 0) {
    return FailErrno("cannot join the layers of an image");
  }
  return OpenFile(tmp, O_RDONLY | O_DIRECTORY);
}

Status Bind(const Fd& root, const BoundPlace& place) {
  SKIFF_ASSIGN(const Fd source, OpenFile(place.source, O_PATH));
  std::error_code error;
  const std::string self = "/proc/self/fd/" + std::to_string(source.get());
  if (place.plain_source && std::filesystem::read_symlink(self, error) != place.source) {
    return Fail(Code::kFailedPrecondition,
                "cannot bind '" + place.source + "': a link has been put in its place");
  }
  struct stat info {};
  if (::fstat(source.get(), &info) != 0) return FailErrno("cannot read '" + place.source + "'");
  const Fd tree(::open_tree(source.get(), "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE |
                                                  AT_EMPTY_PATH));
  if (!tree.valid()) return FailErrno("cannot bind '" + place.source + "'");
  if (place.read_only) {
    mount_attr attributes = {};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                        sizeof attributes) != 0) {
      return FailErrno("cannot bind '" + place.source + "' read-only");
    }
  }
  SKIFF_ASSIGN(const Fd target, S_ISDIR(info.st_mode)
                                    ? MakeDirectoriesInRoot(root.get(), place.target, 0755)
                                    : MakeFileInRoot(root.get(), place.target, 0644));
  if (::move_mount(tree.get(), "", target.get(), "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return FailErrno("cannot bind '" + place.source + "' to '" + place.target + "'");
  }
  return {};
}

Result<MountedRoot> MountAndBind(const std::vector<std::string>& diffs,
                                 const WritableFolders& folders,
                                 const std::vector<BoundPlace>& places, bool read_only,
                                 const std::string& tmp) {
  MountedRoot out;
  SKIFF_ASSIGN(out.root, MountAndOpen(diffs, folders, tmp));
  for (const BoundPlace& place : places) SKIFF_TRY(Bind(out.root, place));
  if (read_only) {
    mount_attr attributes = {};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (::mount_setattr(out.root.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
      return FailErrno("cannot make the root read-only");
    }
  }
  SKIFF_ASSIGN(out.mounts, OpenFile("/proc/thread-self/ns/mnt", O_RDONLY));
  return out;
}

}  // namespace

Result<MountedRoot> OpenMountedRoot(const std::vector<std::string>& diffs,
                                    const WritableFolders& folders,
                                    const std::vector<BoundPlace>& places, bool read_only,
                                    const std::string& tmp) {
  Result<MountedRoot> root = MountedRoot();
  std::thread([&] { root = MountAndBind(diffs, folders, places, read_only, tmp); }).join();
  return root;
}

Result<Fd> OpenMergedRoot(const std::vector<std::string>& diffs, const std::string& tmp) {
  if (diffs.empty()) return Fail(Code::kInvalidArgument, "the image has no layers");
  if (diffs.size() == 1) return OpenFile(diffs[0], O_RDONLY | O_DIRECTORY);
  Result<Fd> root = Fd();
  std::thread([&] { root = MountAndOpen(diffs, {}, tmp); }).join();
  return root;
}

Result<Fd> OpenWritableRoot(const std::vector<std::string>& diffs, const WritableFolders& folders,
                            const std::string& tmp) {
  Result<Fd> root = Fd();
  std::thread([&] { root = MountAndOpen(diffs, folders, tmp); }).join();
  return root;
}

}  // namespace skiff::engine::image
