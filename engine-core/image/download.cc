#include "engine-core/image/download.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <memory>

#include "base/atomic_file.h"
#include "base/failpoint.h"

namespace skiff::engine::image {
namespace {

Status LockWhole(const Fd& file, const std::string& path) {
  while (::flock(file.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return FailErrno("cannot lock '" + path + "'");
  }
  return {};
}

}  // namespace

Result<Download> Download::Open(const Layout& layout, const std::string& hex) {
  SKIFF_TRY(MakeDirectories(layout.downloads(), 0700));
  SKIFF_TRY(Failpoint("image.download"));
  const std::string path = layout.downloads() + "/" + hex;
  while (true) {
    SKIFF_ASSIGN(Fd file, OpenFile(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
    SKIFF_TRY(LockWhole(file, path));
    // Whoever held it may have given the file its name as a blob, or removed it.
    struct stat held {};
    struct stat named {};
    if (::fstat(file.get(), &held) != 0) return FailErrno("cannot read '" + path + "'");
    if (::stat(path.c_str(), &named) != 0) {
      if (errno != ENOENT) return FailErrno("cannot read '" + path + "'");
      continue;
    }
    if (held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
      return Download(path, std::move(file));
    }
  }
}

Status Download::Drop() const {
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) {
    return FailErrno("cannot remove '" + path_ + "'");
  }
  return {};
}

Result<int64_t> RemoveDownloads(const Layout& layout, int64_t age) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(layout.downloads().c_str()),
                                                   ::closedir);
  if (!folder) {
    if (errno == ENOENT) return int64_t{0};
    return FailErrno("cannot read '" + layout.downloads() + "'");
  }
  int64_t bytes = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    if (entry->d_name[0] == '.') continue;
    const std::string path = layout.downloads() + "/" + entry->d_name;
    const Fd file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!file) continue;  // Gone, or none of ours.
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;
    struct stat info {};
    if (::fstat(file.get(), &info) != 0) return FailErrno("cannot read '" + path + "'");
    if (info.st_mtime > ::time(nullptr) - age) continue;
    if (::unlink(path.c_str()) != 0) return FailErrno("cannot remove '" + path + "'");
    bytes += info.st_size;
  }
  return bytes;
}

}  // namespace skiff::engine::image
