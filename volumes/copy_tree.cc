#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <map>
#include <memory>

#include "base/fd.h"
#include "volumes/volumes.h"

namespace skiff::volumes {
namespace {

// Where the first name of a file with several lies: its folder's descriptor cannot be kept for a
// whole tree, so the path from the top is.
struct Copier {
  int top = -1;
  std::map<std::pair<dev_t, ino_t>, std::string> linked;
  int depth = 0;
};

constexpr int kMaximumDepth = 1024;

Status CopyAttributes(int from, int to, const std::string& shown) {
  std::string names(65536, '\0');
  const ssize_t size = ::flistxattr(from, names.data(), names.size());
  if (size < 0) {
    if (errno == ENOTSUP) return {};
    return FailErrno("cannot list the attributes of '" + shown + "'");
  }
  names.resize(static_cast<size_t>(size));
  std::string value(65536, '\0');
  for (size_t at = 0; at < names.size();) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    // What overlayfs keeps for itself says something about a layer, not about the file.
    if (name.starts_with("trusted.") || name.starts_with("user.overlay.")) continue;
    const ssize_t length = ::fgetxattr(from, name.c_str(), value.data(), value.size());
    if (length < 0) return FailErrno("cannot read the attribute " + name + " of '" + shown + "'");
    if (::fsetxattr(to, name.c_str(), value.data(), static_cast<size_t>(length), 0) != 0 &&
        errno != ENOTSUP) {
      return FailErrno("cannot set the attribute " + name + " of '" + shown + "'");
    }
  }
  return {};
}

// Owner before mode: a change of owner clears the set-user-id bit.
Status CopyMetadata(const struct stat& info, int from, int to, const std::string& shown) {
  if (::fchown(to, info.st_uid, info.st_gid) != 0) {
    return FailErrno("cannot set the owner of '" + shown + "'");
  }
  SKIFF_TRY(CopyAttributes(from, to, shown));
  if (::fchmod(to, info.st_mode & 07777) != 0) {
    return FailErrno("cannot set the mode of '" + shown + "'");
  }
  const timespec times[] = {info.st_atim, info.st_mtim};
  if (::futimens(to, times) != 0) return FailErrno("cannot set the times of '" + shown + "'");
  return {};
}

Status CopyBytes(int from, int to, const std::string& shown) {
  while (true) {
    const ssize_t copied = ::copy_file_range(from, nullptr, to, nullptr, 1u << 30, 0);
    if (copied == 0) return {};
    if (copied > 0) continue;
    if (errno == EINTR) continue;
    if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS) {
      return FailErrno("cannot copy '" + shown + "'");
    }
    break;
  }
  // Different file systems: through memory, from where the kernel's copy stopped.
  std::string buffer(1 << 18, '\0');
  while (true) {
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read '" + shown + "'");
    if (got == 0) return {};
    SKIFF_TRY(WriteAll(to, {buffer.data(), static_cast<size_t>(got)}, shown));
  }
}

Status CopyFile(int from_dir, int to_dir, const std::string& name, const struct stat& info,
                const std::string& shown) {
  SKIFF_ASSIGN(const Fd from, OpenFileAt(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  SKIFF_ASSIGN(const Fd to,
               OpenFileAt(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  SKIFF_TRY(CopyBytes(from.get(), to.get(), shown));
  return CopyMetadata(info, from.get(), to.get(), shown);
}

Status CopyLink(int from_dir, int to_dir, const std::string& name, const struct stat& info,
                const std::string& shown) {
  std::string target(4096, '\0');
  const ssize_t length = ::readlinkat(from_dir, name.c_str(), target.data(), target.size());
  if (length < 0) return FailErrno("cannot read the link '" + shown + "'");
  target.resize(static_cast<size_t>(length));
  if (::symlinkat(target.c_str(), to_dir, name.c_str()) != 0) {
    return FailErrno("cannot make the link '" + shown + "'");
  }
  if (::fchownat(to_dir, name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("cannot set the owner of '" + shown + "'");
  }
  const timespec times[] = {info.st_atim, info.st_mtim};
  if (::utimensat(to_dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("cannot set the times of '" + shown + "'");
  }
  return {};
}

Status CopySpecial(int to_dir, const std::string& name, const struct stat& info,
                   const std::string& shown) {
  if (::mknodat(to_dir, name.c_str(), info.st_mode & (S_IFMT | 07777), info.st_rdev) != 0) {
    return FailErrno("cannot make the node '" + shown + "'");
  }
  if (::fchownat(to_dir, name.c_str(), info.st_uid, info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("cannot set the owner of '" + shown + "'");
  }
  if (::fchmodat(to_dir, name.c_str(), info.st_mode & 07777, 0) != 0) {
    return FailErrno("cannot set the mode of '" + shown + "'");
  }
  return {};
}

Status CopyFolder(Copier& copier, int from, int to, const std::string& prefix);

Status CopyEntry(Copier& copier, int from, int to, const std::string& name,
                 const std::string& path) {
  struct stat info {};
  if (::fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("cannot read '" + path + "'");
  }
  if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
    const auto [first, fresh] = copier.linked.emplace(std::pair(info.st_dev, info.st_ino), path);
    if (!fresh) {
      if (::linkat(copier.top, first->second.c_str(), to, name.c_str(), 0) == 0) return {};
      return FailErrno("cannot link '" + path + "'");
    }
  }
  switch (info.st_mode & S_IFMT) {
    case S_IFREG:
      return CopyFile(from, to, name, info, path);
    case S_IFLNK:
      return CopyLink(from, to, name, info, path);
    case S_IFSOCK:
      return {};
    case S_IFDIR:
      break;
    default:
      return CopySpecial(to, name, info, path);
  }
  if (::mkdirat(to, name.c_str(), 0700) != 0) return FailErrno("cannot make '" + path + "'");
  SKIFF_ASSIGN(const Fd inner_from, OpenFileAt(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  SKIFF_ASSIGN(const Fd inner_to, OpenFileAt(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return CopyFolder(copier, inner_from.get(), inner_to.get(), path + "/");
}

Status CopyFolder(Copier& copier, int from, int to, const std::string& prefix) {
  if (++copier.depth > kMaximumDepth) {
    return Fail(Code::kExhausted, "folders are nested too deeply at '" + prefix + "'");
  }
  struct stat info {};
  if (::fstat(from, &info) != 0) return FailErrno("cannot read '" + prefix + "'");
  SKIFF_ASSIGN(Fd listing, OpenFileAt(from, ".", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(listing.get()), ::closedir);
  if (!folder) return FailErrno("cannot read '" + prefix + "'");
  listing.Release();
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") SKIFF_TRY(CopyEntry(copier, from, to, name, prefix + name));
    errno = 0;
  }
  if (errno != 0) return FailErrno("cannot read '" + prefix + "'");
  --copier.depth;
  // Last, because making entries changes the times.
  return CopyMetadata(info, from, to, prefix.empty() ? "." : prefix);
}

}  // namespace

Status CopyFolderMetadata(int from, int to) {
  struct stat info {};
  if (::fstat(from, &info) != 0) return FailErrno("cannot read a folder");
  return CopyMetadata(info, from, to, ".");
}

Status CopyTree(int from, int to) {
  Copier copier;
  copier.top = to;
  return CopyFolder(copier, from, to, "");
}

}  // namespace skiff::volumes
