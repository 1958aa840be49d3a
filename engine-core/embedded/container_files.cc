// Files of containers: stat, read and write them from outside, as `docker cp` does.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <thread>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/owner.h"
#include "base/root_path.h"
#include "base/tree_size.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/image/merged_root.h"
#include "engine-core/monitor_client.h"
#include "engine-core/pack_path.h"
#include "engine-core/transfer.h"

namespace skiff::engine::embedded {
namespace {

tl::unexpected<Error> FailNoFile(std::string_view ref, const std::string& path) {
  return Fail(Code::kNotFound,
              "Could not find the file " + path + " in container " + std::string(ref));
}

bool IsMissing(const Error& error) {
  return error.code == Code::kNotFound || error.sys_errno == ENOENT ||
         error.sys_errno == ENOTDIR;
}

Result<PathInfo> InfoOf(const Fd& fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return FailErrno("cannot read '" + path + "'");
  PathInfo out;
  out.mode = info.st_mode;
  out.size = info.st_size;
  out.modified_at = Nanoseconds(std::chrono::seconds(info.st_mtim.tv_sec) +
                                Nanoseconds(info.st_mtim.tv_nsec))
                        .count();
  std::string_view name = path;
  while (name.size() > 1 && name.ends_with('/')) name.remove_suffix(1);
  out.name = name.size() == 1 ? name : name.substr(name.rfind('/') + 1);
  if (S_ISLNK(info.st_mode)) {
    out.link_target.resize(PATH_MAX);  // Links of procfs say that their size is 0.
    const ssize_t length =
        ::readlinkat(fd.get(), "", out.link_target.data(), out.link_target.size());
    if (length < 0) return FailErrno("cannot read the link '" + path + "'");
    out.link_target.resize(static_cast<size_t>(length));
  }
  return out;
}

Result<PathInfo> StatIn(const Fd& root, std::string_view ref, const std::string& path) {
  const int follow = NamesFolder(path) ? O_DIRECTORY : O_NOFOLLOW;
  auto fd = OpenInRoot(root.get(), "/" + path, O_PATH | follow);
  if (!fd) {
    if (IsMissing(fd.error())) return FailNoFile(ref, path);
    return Fail(std::move(fd).error());
  }
  return InfoOf(*fd, path);
}

// Removes what cannot be written over: all of it where there is nothing on this machine (false), a
// folder where there is a file, and the other way round. Pipes, sockets and devices stay where they
// are (false).
Result<bool> MakeRoom(const Fd& root, const SyncedPath& path) {
  struct stat here {};
  const bool is_here = ::lstat(path.source.c_str(), &here) == 0;
  if (!is_here && errno != ENOENT && errno != ENOTDIR) {
    return FailErrno("cannot read '" + path.source + "'");
  }
  if (is_here && !S_ISREG(here.st_mode) && !S_ISDIR(here.st_mode) && !S_ISLNK(here.st_mode)) {
    return false;
  }
  const size_t base = path.target.rfind('/') + 1;
  const auto parent = OpenInRoot(root.get(), path.target.substr(0, base), O_PATH | O_DIRECTORY);
  if (!parent) {
    if (IsMissing(parent.error())) return is_here;
    return Fail(parent.error());
  }
  const std::string name = path.target.substr(base);
  struct stat there {};
  if (name.empty() || ::fstatat(parent->get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) {
    return is_here;
  }
  if (is_here && S_ISDIR(here.st_mode) == S_ISDIR(there.st_mode)) return true;
  SKIFF_TRY(RemoveTree("/proc/self/fd/" + std::to_string(parent->get()) + "/" + name));
  return is_here;
}

// Packs on a thread of its own what skiff-transfer unpacks meanwhile.
Status UnpackFrom(const std::string& program, const std::vector<PackedFile>& files, const Fd& root,
                  const UnpackTarget& target) {
  SKIFF_ASSIGN(Pipe pipe, MakePipe());
  Status packed;
  std::thread packer([&] {
    packed = PackFiles(files, [&](std::string_view data) {
      return WriteAll(pipe.write.get(), data, "a pipe");
    });
    pipe.write.Reset();
  });
  const auto unpacked = UnpackInto(program, pipe.read.get(), root.get(), target, {});
  pipe.read.Reset();
  packer.join();
  // When the reader gave up, the writer has failed for that.
  if (!packed && packed.error().sys_errno != EPIPE) return packed;
  if (!unpacked) return Fail(unpacked.error());
  return {};
}

}  // namespace

// A container that runs is seen through its own mounts. One that does not gets them for as long as
// it takes, and stays stopped meanwhile.
Result<EmbeddedEngine::ContainerFiles> EmbeddedEngine::OpenFiles(const ContainerRecord& record) {
  ContainerFiles files;
  const ContainerState before = StateOf(record);
  if (before.running() && before.pid > 0) {
    auto root = OpenFile("/proc/" + std::to_string(before.pid) + "/root", O_PATH | O_DIRECTORY);
    // The number may have been somebody else's by then.
    const ContainerState after = StateOf(record);
    if (root && after.running() && after.pid == before.pid) {
      files.root = std::move(*root);
      return files;
    }
  }
  SKIFF_ASSIGN(files.guard, LockContainer(record.id));
  SKIFF_TRY(Again(record.id));
  const ContainerState state = StateOf(record);
  if (state.running() || state.status == ContainerStatus::kRestarting) {
    // Its monitor starts it whenever its policy says so: the files would be mounted twice.
    return Fail(Error(Code::kFailedPrecondition, "container " + record.name + " is restarting")
                    .With("wait until it runs, or stop it"));
  }
  // It has ended, and its mounts go with the monitor.
  SKIFF_TRY(AwaitMonitorExit(layout_.run_container(record.id), -1));
  std::vector<image::BoundPlace> places;
  for (const Mount& mount : record.mounts) {
    if (mount.kind == MountKind::kTmpfs || mount.source.empty()) continue;
    const bool subpath = std::ranges::any_of(record.config.mounts, [&](const MountRequest& request) {
      return request.target == mount.target && !request.subpath.empty();
    });
    places.push_back({mount.source, mount.target, mount.read_only, subpath});
  }
  std::ranges::sort(places, {}, &image::BoundPlace::target);  // What lies inside another comes later.
  SKIFF_TRY(MakeDirectories(layout_.container_work(record.id), 0700));
  SKIFF_ASSIGN(
      image::MountedRoot mounted,
      image::OpenMountedRoot(layout_.lower_folders(record.layers),
                             {layout_.container_diff(record.id), layout_.container_work(record.id)},
                             places, record.config.read_only, layout_.tmp()));
  files.root = std::move(mounted.root);
  files.mounts = std::move(mounted.mounts);
  return files;
}

Result<PathInfo> EmbeddedEngine::StatPath(std::string_view ref, const std::string& path) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  SKIFF_ASSIGN(const ContainerFiles files, OpenFiles(*record));
  return StatIn(files.root, ref, path);
}

Status EmbeddedEngine::ReadArchive(std::string_view ref, const std::string& path,
                                   const std::string& name, int fd) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  SKIFF_ASSIGN(const ContainerFiles files, OpenFiles(*record));
  SKIFF_ASSIGN(const PathInfo info, StatIn(files.root, ref, path));
  SKIFF_TRY(PackPath(
      files.root.get(), path, name.empty() ? info.name : name,
      [fd](std::string_view data) { return WriteAll(fd, data, "the archive"); }));
  Journal("container", "archive-path", record->id, {{"name", record->name}});
  return {};
}

Status EmbeddedEngine::WriteArchive(std::string_view ref, const std::string& folder, int tar_fd,
                                    const WriteArchiveOptions& options) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  SKIFF_ASSIGN(const ContainerFiles files, OpenFiles(*record));
  const auto place = OpenInRoot(files.root.get(), "/" + folder, O_PATH);
  if (!place) {
    if (IsMissing(place.error())) return FailNoFile(ref, folder);
    return Fail(place.error());
  }
  SKIFF_ASSIGN(const PathInfo info, InfoOf(*place, folder));
  if (!S_ISDIR(info.mode)) {
    return Fail(Code::kInvalidArgument, "extraction point is not a directory");
  }
  SKIFF_TRY(Failpoint("engine.write_archive"));
  UnpackTarget target;
  target.folder = folder.starts_with('/') ? folder : "/" + folder;
  if (options.as_user && !record->config.user.empty()) {
    SKIFF_ASSIGN(target.owner, ResolveUser(files.root.get(), record->config.user));
  }
  const auto written =
      UnpackInto(layers_.transfer_program(), tar_fd, files.root.get(), target, {});
  if (!written && written.error().sys_errno == EROFS) {
    const bool volume = std::ranges::any_of(record->mounts, [&](const Mount& mount) {
      return mount.read_only && (target.folder + "/").starts_with(mount.target + "/");
    });
    return Fail(Code::kInvalidArgument, volume ? "mounted volume is marked read-only"
                                               : "container rootfs is marked read-only");
  }
  if (!written) return Fail(written.error());
  Journal("container", "extract-to-dir", record->id, {{"name", record->name}});
  return {};
}

Result<int64_t> EmbeddedEngine::WrittenSize(std::string_view ref) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  return TreeSize(layout_.container_diff(record->id));
}

Status EmbeddedEngine::SyncPaths(std::string_view ref, const std::vector<SyncedPath>& paths) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  SKIFF_ASSIGN(const ContainerFiles files, OpenFiles(*record));
  std::vector<PackedFile> written;
  for (const SyncedPath& path : paths) {
    SKIFF_ASSIGN(const bool is_here, MakeRoom(files.root, path));
    if (is_here) written.push_back({path.source, path.target.substr(1)});
  }
  if (!written.empty()) {
    UnpackTarget target;
    target.folder = "/";
    target.owner = Owner{};
    if (!record->config.user.empty()) {
      SKIFF_ASSIGN(target.owner, ResolveUser(files.root.get(), record->config.user));
    }
    SKIFF_TRY(UnpackFrom(layers_.transfer_program(), written, files.root, target));
  }
  Journal("container", "extract-to-dir", record->id, {{"name", record->name}});
  return {};
}

Result<int64_t> EmbeddedEngine::UnpackFiles(int tar_fd, int folder_fd, Owner owner) {
  UnpackTarget target;
  target.owner = owner;
  SKIFF_ASSIGN(const UnpackedLayer unpacked,
               UnpackInto(layers_.transfer_program(), tar_fd, folder_fd, target, {}));
  return unpacked.blob_size;
}

}  // namespace skiff::engine::embedded
