#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "builder/execute/ownership.h"
#include "builder/execute/source_tree.h"

namespace skiff::builder {

struct WriteOptions {
  std::optional<Owner> owner;  // Absent: as the source says.
  std::string mode;                // --chmod; "": as the source says.
  bool owned_by_root = false;      // What the source says about owners does not count.
  // Nanoseconds since the epoch. The source is an unpacked archive: its folders replace links and
  // files, but those made since then were only implied by names of others; they change nothing that
  // is there, and a link to a folder will do.
  std::optional<int64_t> archive_since;
  // Where names of files must not be followed out of: --link replaces links in the destination.
  bool follow_destination = true;
};

// Copies selected files into a root file system. Every name is resolved inside the roots
// (base/root_path.h): neither links of the source nor of the destination lead outside.
class TreeWriter {
 public:
  // `written`: WritableLayer::OpenWritten() of the target, or -1.
  TreeWriter(int source_root, int target_root, WriteOptions options, int written = -1)
      : source_(source_root),
        target_(target_root),
        written_(written),
        options_(std::move(options)) {}

  // COPY of one selected item to `destination` (absolute; "/" at its end: a folder).
  Status Copy(const SourceItem& item, const std::string& destination);
  // A file of a here-document.
  Status WriteFile(const std::string& name, const std::string& content,
                   const std::string& destination);
  // mkdir -p: what is made belongs to the options' owner (root without one).
  Status MakeFolders(const std::string& path);

  // A file was not any more what its walk had found.
  bool source_changed() const { return source_changed_; }

 private:
  struct Place {
    Fd folder;
    std::string name;
    std::string path;  // From the root, for messages.
  };
  struct Entry {
    int from;  // Folder of the source.
    const TreeNode& node;
    int to;  // Folder of the destination.
    const std::string& name;
    const std::string& path;
    bool direct;  // `to` is a folder of what is written, not of the merged root.
  };
  // A folder whose children are copied.
  struct Folders {
    int from;
    const TreeNode& node;
    int to;
    const std::string& path;
    bool direct;
    bool split;  // Two threads may share the work.
  };

  Status CopyFolder(const SourceItem& item, const std::string& destination);
  Result<Place> PlaceOf(const std::string& name, const std::string& destination);
  Result<Place> Follow(std::string path);
  Status Children(const Folders& folders);
  Status ChildrenByTwo(const Folders& folders);
  Status OneChild(const Folders& folders, const TreeNode& child, bool split);
  Status Child(const Entry& entry, bool split = false);
  Status Folder(const Entry& entry, bool split);
  Result<Fd> Direct(Fd merged, const std::string& path, bool* direct) const;
  Result<Fd> MergeFolder(const Entry& entry, bool* keeps);
  Result<Fd> NewFile(const Entry& entry) const;
  Status File(const Entry& entry);
  Status OtherFile(const Entry& entry);
  Status ClearPlace(const Entry& entry) const;
  Result<bool> LinkAgain(const Entry& entry);
  Status Settle(const Entry& entry, int fd, int source_fd);

  int source_, target_, written_;
  WriteOptions options_;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;  // First copy of files with many names.
  std::atomic<bool> source_changed_ = false;
};

}  // namespace skiff::builder
