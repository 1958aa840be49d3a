#include "base/tree_size.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <utility>

#include "base/fd.h"

namespace skiff {
namespace {

class TreeMeter {
 public:
  // `folder` is taken over.
  Status Add(Fd folder, const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(folder.get()), ::closedir);
    if (!entries) return FailErrno("cannot read '" + path + "'");
    folder.Release();
    while (const dirent* entry = ::readdir(entries.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") SKIFF_TRY(AddEntry(::dirfd(entries.get()), name, path));
    }
    return {};
  }
  int64_t bytes() const { return bytes_; }

 private:
  Status AddEntry(int folder, const std::string& name, const std::string& path) {
    struct stat info {};
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return {};
      return FailErrno("cannot read '" + path + "/" + name + "'");
    }
    if (S_ISREG(info.st_mode)) {
      const bool counts = info.st_nlink < 2 || seen_.emplace(info.st_dev, info.st_ino).second;
      if (counts) bytes_ += info.st_size;
    }
    if (!S_ISDIR(info.st_mode)) return {};
    auto inner = OpenFileAt(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (inner) return Add(std::move(*inner), path + "/" + name);
    return inner.error().sys_errno == ENOENT ? Status() : Fail(inner.error());
  }

  std::set<std::pair<dev_t, ino_t>> seen_;
  int64_t bytes_ = 0;
};

}  // namespace

Result<int64_t> TreeSize(const std::string& path) {
  auto folder = OpenFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!folder && folder.error().sys_errno == ENOENT) return 0;
  if (!folder) return Fail(folder.error());
  TreeMeter meter;
  SKIFF_TRY(meter.Add(std::move(*folder), path));
  return meter.bytes();
}

}  // namespace skiff
