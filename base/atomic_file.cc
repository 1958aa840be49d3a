#include "base/atomic_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/failpoint.h"
#include "base/identity.h"

namespace skiff {
namespace {

constexpr std::string_view kTemporaryMark = ".tmp-";

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string TemporaryName(const std::string& path) {
  const size_t slash = path.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(0, name) + "." + path.substr(name) + std::string(kTemporaryMark) +
         RandomHex(8);
}

// Locked until it has its name, so that RemoveTemporaries() can tell it from one of a dead process.
// A temporary that was swept between its making and its lock is made anew.
Result<Fd> MakeTemporary(const std::string& path, mode_t mode, std::string* temporary) {
  for (;;) {
    *temporary = TemporaryName(path);
    SKIFF_ASSIGN(Fd fd, OpenFile(*temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
    const bool locked = ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
    struct stat info = {};
    if ((!locked && errno != EWOULDBLOCK) || ::fstat(fd.get(), &info) != 0) {
      const int error = errno;
      ::unlink(temporary->c_str());
      return FailErrno(error, "cannot lock '" + *temporary + "'");
    }
    if (locked && info.st_nlink > 0) return fd;
  }
}

Status Fill(const Fd& fd, const std::string& temporary, std::string_view data, mode_t mode,
            Durability durability) {
  if (::fchmod(fd.get(), mode) != 0) return FailErrno("cannot set the mode of '" + temporary + "'");
  SKIFF_TRY(WriteAll(fd.get(), data, "'" + temporary + "'"));
  if (durability == Durability::kDurable && ::fsync(fd.get()) != 0) {
    return FailErrno("cannot sync '" + temporary + "'");
  }
  return {};
}

Status RemoveEntry(int dir_fd, const char* name, dev_t device, const std::string& shown);

Status RemoveChildren(Fd dir, dev_t device, const std::string& shown) {
  DIR* stream = ::fdopendir(dir.get());
  if (stream == nullptr) return FailErrno("cannot list '" + shown + "'");
  const int fd = dir.Release();
  Status status;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream);
    if (entry == nullptr) {
      if (errno != 0) status = FailErrno("cannot list '" + shown + "'");
      break;
    }
    if (std::strcmp(entry->d_name, ".") == 0 || std::strcmp(entry->d_name, "..") == 0) continue;
    status = RemoveEntry(fd, entry->d_name, device, shown + "/" + entry->d_name);
    if (!status) break;
  }
  ::closedir(stream);
  return status;
}

Status RemoveEntry(int dir_fd, const char* name, dev_t device, const std::string& shown) {
  if (::unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return FailErrno("cannot remove '" + shown + "'");
  Fd dir(::openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir) return FailErrno("cannot open '" + shown + "'");
  struct stat info = {};
  if (::fstat(dir.get(), &info) != 0) return FailErrno("cannot stat '" + shown + "'");
  if (info.st_dev != device) {
    return FailErrno(EXDEV, "cannot remove '" + shown + "': it is a mount point");
  }
  SKIFF_TRY(RemoveChildren(std::move(dir), device, shown));
  if (::unlinkat(dir_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return FailErrno("cannot remove '" + shown + "'");
  }
  return {};
}

Result<Fd> Flock(const std::string& path, FileLock::Mode mode, int extra) {
  for (;;) {
    SKIFF_ASSIGN(Fd fd, OpenFile(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
    const int operation = (mode == FileLock::Mode::kShared ? LOCK_SH : LOCK_EX) | extra;
    int result = 0;
    do {
      result = ::flock(fd.get(), operation);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EWOULDBLOCK) {
      return Fail(Code::kFailedPrecondition, "cannot lock '" + path + "': it is held");
    }
    if (result != 0) return FailErrno("cannot lock '" + path + "'");
    // The holder before us may have removed the file: then this lock protects nothing.
    struct stat ours = {};
    struct stat named = {};
    if (::fstat(fd.get(), &ours) != 0) return FailErrno("cannot stat '" + path + "'");
    if (::stat(path.c_str(), &named) == 0 && ours.st_ino == named.st_ino &&
        ours.st_dev == named.st_dev) {
      return fd;
    }
  }
}

}  // namespace

Status WriteFileAtomically(const std::string& path, std::string_view data, mode_t mode,
                           Durability durability) {
  std::string temporary;
  SKIFF_ASSIGN(const Fd file, MakeTemporary(path, mode, &temporary));
  Status status = Fill(file, temporary, data, mode, durability);
  if (status) status = Failpoint("base.atomic_file.before_rename");
  if (status && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = FailErrno("cannot replace '" + path + "'");
  }
  if (!status) {
    ::unlink(temporary.c_str());
    return status;
  }
  return durability == Durability::kDurable ? SyncDirectory(FolderOf(path)) : Status();
}

Status RemoveTemporaries(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), ::closedir);
  if (!listing) {
    if (errno == ENOENT) return {};
    return FailErrno("cannot list '" + folder + "'");
  }
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string name = entry->d_name;
    if (!name.starts_with('.') || name.find(kTemporaryMark) == std::string::npos) continue;
    const std::string path = folder + "/" + name;
    const Result<Fd> file = OpenFile(path, O_RDONLY | O_NOFOLLOW);
    if (!file || ::flock(file->get(), LOCK_EX | LOCK_NB) != 0) continue;  // Renamed, or in use.
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      return FailErrno("cannot remove '" + path + "'");
    }
  }
  return {};
}

Status MakeDirectories(const std::string& path, mode_t mode) {
  size_t end = 0;
  while (end != std::string::npos) {
    end = path.find('/', end + 1);
    const std::string part = path.substr(0, end);
    if (part.empty()) continue;
    if (::mkdir(part.c_str(), mode) == 0) {
      if (::chmod(part.c_str(), mode) != 0)
        return FailErrno("cannot set the mode of '" + part + "'");
    } else if (errno != EEXIST) {
      return FailErrno("cannot make folder '" + part + "'");
    }
  }
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return FailErrno("cannot stat '" + path + "'");
  if (!S_ISDIR(info.st_mode)) return FailErrno(ENOTDIR, "cannot make folder '" + path + "'");
  return {};
}

Status SyncDirectory(const std::string& path) {
  SKIFF_ASSIGN(const Fd dir, OpenFile(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(dir.get()) != 0) return FailErrno("cannot sync folder '" + path + "'");
  return {};
}

Status RemoveTree(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return FailErrno("cannot stat '" + path + "'");
  }
  return RemoveEntry(AT_FDCWD, path.c_str(), info.st_dev, path);
}

Result<FileLock> FileLock::Acquire(const std::string& path, Mode mode) {
  SKIFF_ASSIGN(Fd fd, Flock(path, mode, 0));
  return FileLock(std::move(fd));
}

Result<FileLock> FileLock::TryAcquire(const std::string& path, Mode mode) {
  SKIFF_ASSIGN(Fd fd, Flock(path, mode, LOCK_NB));
  return FileLock(std::move(fd));
}

}  // namespace skiff
