#include "engine-core/project_lock.h"

namespace skiff::engine {

Result<FileLock> LockProject(const std::string& run, const std::string& project,
                             const std::function<void()>& waiting) {
  const std::string folder = run + "/locks";
  SKIFF_TRY(MakeDirectories(folder, 0700));
  const std::string path = folder + "/project-" + project;
  auto lock = FileLock::TryAcquire(path, FileLock::Mode::kExclusive);
  if (lock || lock.error().code != Code::kFailedPrecondition) return lock;
  if (waiting) waiting();
  return FileLock::Acquire(path, FileLock::Mode::kExclusive);
}

}  // namespace skiff::engine
