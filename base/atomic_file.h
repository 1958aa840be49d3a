#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace skiff {

enum class Durability {
  kVolatile,  // Atomic for other processes only: nothing is synced.
  kDurable,   // The file, then its folder, are synced before the call returns.
};

// Replaces `path` by a file with `data`: readers see the old or the new content, never a part. The
// temporary file (".NAME.tmp-RANDOM" in the same folder) is removed on failure.
Status WriteFileAtomically(const std::string& path, std::string_view data, mode_t mode,
                           Durability durability);

// Removes what processes that died in WriteFileAtomically() have left in `folder`; one that is
// still writing loses nothing. A missing folder is no error.
Status RemoveTemporaries(const std::string& folder);

// mkdir -p; `mode` is that of the folders it makes (the umask does not apply).
Status MakeDirectories(const std::string& path, mode_t mode = 0700);
// fsync of a folder, so that names made in it survive a power cut.
Status SyncDirectory(const std::string& path);
// Removes a tree without following links and without crossing into other file systems. A missing
// path is not an error.
Status RemoveTree(const std::string& path);

// An advisory lock on a file (flock), released when destroyed. The file is made when missing.
class FileLock {
 public:
  enum class Mode { kShared, kExclusive };
  // Blocks until the lock is held.
  static Result<FileLock> Acquire(const std::string& path, Mode mode);
  // kFailedPrecondition when somebody else holds it.
  static Result<FileLock> TryAcquire(const std::string& path, Mode mode);

 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace skiff
