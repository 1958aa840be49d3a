#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "builder/execute/source_tree.h"

namespace skiff::builder {

// Digests of the files of one folder, kept from build to build. A file whose inode, size and both
// times (change and modification, in nanoseconds) are those of the record has the same content:
// nothing sets the time of change back. What changed just before it was read is not recorded, as
// the clock of the file system is coarse.
class DigestStore {
 public:
  // `path`: the file it is kept in; missing or of another version: empty.
  explicit DigestStore(std::string path);

  // 32 bytes, or "" when it is not known.
  std::string Find(const struct stat& info);
  // `began`: real time before the file was read.
  void Put(const struct stat& info, const std::string& digest, int64_t began);
  // Writes it back when something was put.
  Status Save();

 private:
  struct Record {
    uint64_t device = 0, inode = 0;
    int64_t size = 0, modified = 0, changed = 0;
    char digest[32] = {};
    uint64_t used = 0;  // Not 0: looked up since it was loaded.
    bool Before(const Record& other) const;
  };
  static Record RecordOf(const struct stat& info);

  std::mutex mutex_;
  std::string path_;
  std::vector<Record> known_;  // Sorted by device and inode.
  std::vector<Record> added_;
};

// Fills the digests of all regular files below the items. `store` may be null.
Status DigestFiles(int root_fd, std::vector<SourceItem>& items, DigestStore* store);

// One digest over names, kinds, modes, owners, attributes and contents; times do not count.
// `owned_by_root`: owners do not count either.
Result<std::string> DigestItems(int root_fd, const std::vector<SourceItem>& items,
                                bool owned_by_root);

// Extended attributes that are copied, as name and value, sorted.
using AttributeList = std::vector<std::pair<std::string, std::string>>;
Result<AttributeList> ReadAttributes(int fd, const std::string& path);

}  // namespace skiff::builder
