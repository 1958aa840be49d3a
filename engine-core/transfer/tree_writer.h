#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/transfer.h"

namespace skiff::engine::transfer {

enum class EntryKind { kFile, kFolder, kSymlink, kHardlink, kCharacter, kBlock, kFifo };

// One entry of an archive, as read: nothing about it is trusted.
struct Entry {
  EntryKind kind = EntryKind::kFile;
  std::string path;
  std::string link;  // Of symlinks and hard links.
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  int64_t size = 0;
  timespec mtime = {};
  dev_t device = 0;
  std::vector<std::pair<std::string, std::string>> attributes;
};

// The path of an entry relative to the root without "." and doubled slashes; "" is the root.
// kInvalidArgument for "..", NUL, and names or depths past the limits.
Result<std::string> CleanEntryPath(std::string_view path);

// Writes the entries of one layer below a folder. Parents are looked up inside that folder as a
// root (base/root_path.h); the last name is never followed. Later entries replace earlier ones.
// With `target` the entries go into a tree in use (UnpackInto).
class TreeWriter {
 public:
  explicit TreeWriter(int root, const std::optional<UnpackTarget>& target = {})
      : root_(root), is_layer_(!target), folder_(target ? target->folder : "") {}

  // Makes the entry. For a file, the returned descriptor takes the content (invalid otherwise);
  // call FinishFile() with it afterwards.
  Result<Fd> Begin(const Entry& entry);
  Status FinishFile(const Entry& entry, const Fd& file);
  // Times of folders, last of all.
  Status Finish();

  const std::vector<std::string>& opaque() const { return opaque_; }

 private:
  struct FolderTime {
    std::string path;
    timespec mtime;
  };

  // Of an entry's path, where it goes: below the target's folder, where there is one.
  std::string Place(const std::string& path) const {
    return folder_.empty() ? path : folder_ + "/" + path;
  }
  Result<int> Parent(const std::string& path);
  Status Whiteout(const std::string& path, const std::string& parent, const std::string& name);
  Status MakeFolder(const Entry& entry, const std::string& path, int parent,
                    const std::string& name);
  Status MakeLink(const Entry& entry, int parent, const std::string& name);
  Status UpdateLinked(const Entry& entry, int parent, const std::string& name);
  Status MakeNode(const Entry& entry, int parent, const std::string& name);
  Status ClearPlace(int parent, const std::string& name, bool folder);

  int root_;
  bool is_layer_;
  std::string folder_;
  std::string cached_path_;
  Fd cached_;
  std::vector<FolderTime> folders_;
  std::vector<std::string> opaque_;
};

}  // namespace skiff::engine::transfer
