#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace skiff::compose {

// Tells which files and folders of this machine change (inotify). Links are not followed below a
// root. Used by one thread.
class TreeWatch {
 public:
  // Whether a folder below a root is left alone, with all that is in it.
  using Skip = std::function<bool(const std::string& folder)>;
  // `roots`: absolute and clean; a file, a folder, or nothing yet. kExhausted: the kernel watches no
  // more folders.
  static Result<std::unique_ptr<TreeWatch>> Open(std::vector<std::string> roots, Skip skip);

  // Readable when there are changes.
  int fd() const { return inotify_.get(); }
  // Paths that were made, written, moved or removed since the last call; of a folder that came, also
  // what is in it. When the kernel has lost count, all there is.
  Result<std::set<std::string>> Read();

 private:
  struct Folder {
    std::string path;
    bool whole = false;  // All that is in it counts, not only what leads to a root.
  };
  struct Change {
    int folder = -1;  // Of inotify.
    uint32_t mask = 0;
    std::string name;
  };

  TreeWatch(std::vector<std::string> roots, Skip skip, Fd inotify)
      : roots_(std::move(roots)), skip_(std::move(skip)), inotify_(std::move(inotify)) {}
  Status Attach(const std::string& root);
  // False: it is not a folder, or not any more.
  Result<bool> Add(const std::string& folder, bool whole);
  Status AddTree(const std::string& folder);
  void Forget(const std::string& folder);
  Status Take(const Change& change);

  const std::vector<std::string> roots_;
  const Skip skip_;
  Fd inotify_;
  std::map<int, Folder> folders_;
  std::set<std::string> changed_;
};

// Whether `path` is `folder` or below it; both absolute and clean.
bool IsWithin(const std::string& folder, const std::string& path);

}  // namespace skiff::compose
