#include "engine-core/transfer/tree_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <ranges>

#include "base/root_path.h"
#include "base/text.h"

namespace skiff::engine::transfer {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kMeta = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr size_t kMaximumPath = 4096;
constexpr size_t kMaximumDepth = 1024;
constexpr size_t kMaximumName = 255;

tl::unexpected<Error> FailEntry(std::string_view path, const char* why) {
  return Fail(Code::kInvalidArgument,
              "cannot unpack '" + std::string(path.substr(0, 200)) + "': " + why);
}

// Removes what `name` is, a whole tree if need be, without following links.
Status RemoveAt(int parent, const std::string& name, size_t depth) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return FailErrno("cannot replace '" + name + "'");
  if (depth > kMaximumDepth) return FailEntry(name, "folders are nested too deeply");
  SKIFF_ASSIGN(Fd fd, OpenFileAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(fd.get()), ::closedir);
  if (!folder) return FailErrno("cannot read '" + name + "'");
  const int inner = fd.Release();
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string child = entry->d_name;
    if (child != "." && child != "..") SKIFF_TRY(RemoveAt(inner, child, depth + 1));
  }
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) {
    return FailErrno("cannot replace '" + name + "'");
  }
  return {};
}

bool KeepsAttribute(const std::string& name) {
  // trusted.* and user.overlay.* would steer overlayfs; other security.* labels are the host's.
  if (name.starts_with("user.")) return !name.starts_with("user.overlay.");
  return name == "security.capability";
}

Status SetAttributes(const Entry& entry, int fd) {
  for (const auto& [name, value] : entry.attributes) {
    if (!KeepsAttribute(name)) continue;
    if (::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0 && errno != ENOTSUP) {
      return FailErrno("cannot set the attribute " + name + " of '" + entry.path + "'");
    }
  }
  return {};
}

Status SetOwnerAt(const Entry& entry, int parent, const std::string& name) {
  if (::fchownat(parent, name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("cannot set the owner of '" + entry.path + "'");
  }
  return {};
}

Status SetTimeAt(const Entry& entry, int parent, const std::string& name) {
  const timespec times[] = {entry.mtime, entry.mtime};
  if (::utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("cannot set the time of '" + entry.path + "'");
  }
  return {};
}

// Owner before attributes and mode: a change of owner clears both.
Status SetMetadata(const Entry& entry, int fd) {
  if (::fchown(fd, entry.uid, entry.gid) != 0) {
    return FailErrno("cannot set the owner of '" + entry.path + "'");
  }
  SKIFF_TRY(SetAttributes(entry, fd));
  if (::fchmod(fd, entry.mode & 07777) != 0) {
    return FailErrno("cannot set the mode of '" + entry.path + "'");
  }
  return {};
}

}  // namespace

Result<std::string> CleanEntryPath(std::string_view path) {
  if (path.size() > kMaximumPath) return FailEntry(path, "the path is too long");
  if (path.find('\0') != std::string_view::npos) return FailEntry(path, "the path holds a NUL");
  std::string clean;
  size_t depth = 0;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return FailEntry(path, "the path leaves the root");
    if (part.size() > kMaximumName) return FailEntry(path, "a name is too long");
    if (++depth > kMaximumDepth) return FailEntry(path, "the path is too deep");
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  return clean;
}

Result<int> TreeWriter::Parent(const std::string& path) {
  if (path.empty() && folder_.empty()) return root_;
  if (cached_.valid() && path == cached_path_) return cached_.get();
  auto made = MakeDirectoriesInRoot(root_, Place(path), 0755);
  if (!made) return Fail(std::move(made).error());
  cached_ = std::move(*made);
  cached_path_ = path;
  return cached_.get();
}

Status TreeWriter::ClearPlace(int parent, const std::string& name, bool folder) {
  struct stat info {};
  if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return FailErrno("cannot read '" + name + "'");
  }
  if (folder && S_ISDIR(info.st_mode)) return {};
  if (!is_layer_ && folder != S_ISDIR(info.st_mode)) {
    return Fail(Code::kInvalidArgument,
                "cannot overwrite " + std::string(folder ? "non-directory" : "directory") + " '" +
                    name + "' with " + (folder ? "directory" : "non-directory"));
  }
  SKIFF_TRY(RemoveAt(parent, name, 0));
  // The folder whose descriptor is kept may be the one that went, or `parent`.
  cached_.Reset();
  return {};
}

Status TreeWriter::Whiteout(const std::string& path, const std::string& parent,
                            const std::string& name) {
  if (name == kOpaque) {
    opaque_.push_back(parent);
    return Parent(parent).transform([](int) {});
  }
  if (name.starts_with(kMeta)) return {};  // Bookkeeping of aufs.
  const std::string hidden = name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == ".." || hidden.starts_with(kWhiteout)) {
    return FailEntry(path, "invalid whiteout name");
  }
  SKIFF_ASSIGN(const int folder, Parent(parent));
  SKIFF_TRY(ClearPlace(folder, hidden, false));
  SKIFF_ASSIGN(const int again, Parent(parent));
  if (::mknodat(again, hidden.c_str(), S_IFCHR, makedev(0, 0)) != 0) {
    return FailErrno("cannot make the whiteout '" + path + "'");
  }
  return {};
}

Result<Fd> TreeWriter::Begin(const Entry& entry) {
  SKIFF_ASSIGN(const std::string path, CleanEntryPath(entry.path));
  const size_t slash = path.rfind('/');
  const std::string parent_path = slash == std::string::npos ? "" : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (path.empty()) {
    // Nobody records the root's owner and mode on purpose, and many an archive has those of a
    // temporary folder: "/" stays as it was made, as in the field's other engines.
    if (entry.kind != EntryKind::kFolder) return FailEntry(entry.path, "the root is a folder");
    return Fd();
  }
  // A whiteout's parents count too: ".wh.x/y" would make a folder that hides nothing.
  if (is_layer_ && name.starts_with(kWhiteout)) {
    SKIFF_TRY(Whiteout(path, parent_path, name));
    return Fd();
  }
  for (const std::string_view part : Split(parent_path, '/')) {
    if (is_layer_ && part.starts_with(kWhiteout)) return FailEntry(entry.path, "a whiteout is no folder");
  }
  SKIFF_ASSIGN(int parent, Parent(parent_path));
  SKIFF_TRY(ClearPlace(parent, name, entry.kind == EntryKind::kFolder));
  SKIFF_ASSIGN(parent, Parent(parent_path));
  switch (entry.kind) {
    case EntryKind::kFile:
      break;
    case EntryKind::kFolder:
      SKIFF_TRY(MakeFolder(entry, path, parent, name));
      return Fd();
    case EntryKind::kSymlink:
    case EntryKind::kHardlink:
      SKIFF_TRY(MakeLink(entry, parent, name));
      return Fd();
    default:
      SKIFF_TRY(MakeNode(entry, parent, name));
      return Fd();
  }
  return OpenFileAt(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
}

Status TreeWriter::FinishFile(const Entry& entry, const Fd& file) {
  SKIFF_TRY(SetMetadata(entry, file.get()));
  const timespec times[] = {entry.mtime, entry.mtime};
  if (::futimens(file.get(), times) != 0) {
    return FailErrno("cannot set the time of '" + entry.path + "'");
  }
  return {};
}

Status TreeWriter::MakeFolder(const Entry& entry, const std::string& path, int parent,
                              const std::string& name) {
  if (::mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) {
    return FailErrno("cannot make '" + entry.path + "'");
  }
  SKIFF_ASSIGN(const Fd folder, OpenFileAt(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  SKIFF_TRY(SetMetadata(entry, folder.get()));
  folders_.push_back({path, entry.mtime});
  return {};
}

Status TreeWriter::MakeLink(const Entry& entry, int parent, const std::string& name) {
  if (entry.kind == EntryKind::kSymlink) {
    if (entry.link.empty() || entry.link.size() >= kMaximumPath) {
      return FailEntry(entry.path, "the link's target is empty or too long");
    }
    if (::symlinkat(entry.link.c_str(), parent, name.c_str()) != 0) {
      return FailErrno("cannot make the link '" + entry.path + "'");
    }
    SKIFF_TRY(SetOwnerAt(entry, parent, name));
    return SetTimeAt(entry, parent, name);
  }
  SKIFF_ASSIGN(const std::string target, CleanEntryPath(entry.link));
  if (target.empty()) return FailEntry(entry.path, "a hard link to the root");
  const size_t slash = target.rfind('/');
  const std::string folder_path = slash == std::string::npos ? "." : target.substr(0, slash);
  const std::string target_name = slash == std::string::npos ? target : target.substr(slash + 1);
  SKIFF_ASSIGN(const Fd folder, OpenInRoot(root_, Place(folder_path), O_PATH | O_DIRECTORY));
  // Without AT_SYMLINK_FOLLOW a link to a symbolic link links the link.
  if (::linkat(folder.get(), target_name.c_str(), parent, name.c_str(), 0) != 0) {
    return FailErrno("cannot link '" + entry.path + "' to '" + entry.link + "'");
  }
  return UpdateLinked(entry, parent, name);
}

// What the entry of a hard link says holds for the file, as the last word. Only differences are
// written: a change of owner would take the capabilities that the first entry gave.
Status TreeWriter::UpdateLinked(const Entry& entry, int parent, const std::string& name) {
  struct stat info {};
  if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("cannot read '" + entry.path + "'");
  }
  bool owner_set = false;
  if (info.st_uid != entry.uid || info.st_gid != entry.gid) {
    SKIFF_TRY(SetOwnerAt(entry, parent, name));
    owner_set = true;
  }
  if (S_ISREG(info.st_mode) && !entry.attributes.empty()) {
    SKIFF_ASSIGN(const Fd file, OpenFileAt(parent, name, O_RDONLY | O_NOFOLLOW));
    SKIFF_TRY(SetAttributes(entry, file.get()));
  }
  const mode_t mode = entry.mode & 07777;
  const bool mode_differs = owner_set || (info.st_mode & 07777) != mode;
  if (!S_ISLNK(info.st_mode) && mode_differs && ::fchmodat(parent, name.c_str(), mode, 0) != 0) {
    return FailErrno("cannot set the mode of '" + entry.path + "'");
  }
  return SetTimeAt(entry, parent, name);
}

Status TreeWriter::MakeNode(const Entry& entry, int parent, const std::string& name) {
  mode_t type = S_IFIFO;
  if (entry.kind == EntryKind::kCharacter) type = S_IFCHR;
  if (entry.kind == EntryKind::kBlock) type = S_IFBLK;
  // A character device 0:0 is a whiteout to overlayfs: only ".wh." makes those.
  if (type == S_IFCHR && entry.device == makedev(0, 0)) {
    return FailEntry(entry.path, "a device 0:0 is no device");
  }
  if (::mknodat(parent, name.c_str(), type | 0600, entry.device) != 0) {
    return FailErrno("cannot make the node '" + entry.path + "'");
  }
  SKIFF_TRY(SetOwnerAt(entry, parent, name));
  if (::fchmodat(parent, name.c_str(), entry.mode & 07777, 0) != 0) {
    return FailErrno("cannot set the mode of '" + entry.path + "'");
  }
  return SetTimeAt(entry, parent, name);
}

Status TreeWriter::Finish() {
  for (const FolderTime& folder : folders_ | std::views::reverse) {
    // A later entry may have put something else there.
    const auto fd = OpenInRoot(root_, folder.path.empty() ? "." : Place(folder.path),
                               O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd) continue;
    const timespec times[] = {folder.mtime, folder.mtime};
    if (::futimens(fd->get(), times) != 0) {
      return FailErrno("cannot set the time of '" + folder.path + "'");
    }
  }
  return {};
}

}  // namespace skiff::engine::transfer
