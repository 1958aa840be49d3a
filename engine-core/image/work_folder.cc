#include "engine-core/image/work_folder.h"

#include <dirent.h>
#include <unistd.h>

#include <memory>

#include "base/identity.h"

namespace skiff::engine::image {
namespace {

constexpr std::string_view kLockSuffix = ".lock";

}  // namespace

Result<WorkFolder> WorkFolder::Make(const Layout& layout) {
  // Between the lock file's appearance and its lock nobody may judge it.
  SKIFF_ASSIGN(const FileLock guard,
               FileLock::Acquire(layout.lock("tmp"), FileLock::Mode::kExclusive));
  const std::string path = layout.tmp() + "/" + RandomHex(8);
  SKIFF_ASSIGN(FileLock lock,
               FileLock::TryAcquire(path + std::string(kLockSuffix), FileLock::Mode::kExclusive));
  if (const Status made = MakeDirectories(path, 0700); !made) {
    ::unlink((path + std::string(kLockSuffix)).c_str());
    return Fail(made.error());
  }
  return WorkFolder(path, std::move(lock));
}

WorkFolder::~WorkFolder() {
  if (!lock_ || path_.empty()) return;
  // What is left for a failure's sake is removed by the next command.
  if (RemoveTree(path_)) ::unlink((path_ + std::string(kLockSuffix)).c_str());
}

Result<int> WorkFolder::RemoveAbandoned(const Layout& layout) {
  SKIFF_ASSIGN(const FileLock guard,
               FileLock::Acquire(layout.lock("tmp"), FileLock::Mode::kExclusive));
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(layout.tmp().c_str()), ::closedir);
  if (!folder) return FailErrno("cannot read '" + layout.tmp() + "'");
  int removed = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (!name.ends_with(kLockSuffix)) continue;
    const std::string lock_path = layout.tmp() + "/" + name;
    const auto lock = FileLock::TryAcquire(lock_path, FileLock::Mode::kExclusive);
    if (!lock) continue;
    SKIFF_TRY(RemoveTree(lock_path.substr(0, lock_path.size() - kLockSuffix.size())));
    if (::unlink(lock_path.c_str()) != 0) return FailErrno("cannot remove '" + lock_path + "'");
    ++removed;
  }
  return removed;
}

}  // namespace skiff::engine::image
