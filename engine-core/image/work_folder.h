#pragma once

#include <optional>
#include <string>

#include "base/atomic_file.h"
#include "base/error.h"
#include "engine-core/layout.h"

namespace skiff::engine::image {

// A folder in <root>/tmp that is removed with this object, and by whoever comes next when the
// process dies: its lock says whether somebody is still at it.
class WorkFolder {
 public:
  static Result<WorkFolder> Make(const Layout& layout);
  // Removes the folders of processes that died; returns how many.
  static Result<int> RemoveAbandoned(const Layout& layout);

  WorkFolder(WorkFolder&&) = default;
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder();

  const std::string& path() const { return path_; }

 private:
  WorkFolder(std::string path, FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  std::optional<FileLock> lock_;
};

}  // namespace skiff::engine::image
