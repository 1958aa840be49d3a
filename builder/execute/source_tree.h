#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "builder/ignore_file.h"

namespace skiff::builder {

// One file as a walk found it.
struct TreeNode {
  std::string name;
  struct stat info {};
  std::string link;                // Target of a symbolic link.
  std::string digest;              // Of a regular file: 32 bytes over content and attributes.
  std::vector<TreeNode> children;  // Of a folder, sorted by name.

  bool is_folder() const { return S_ISDIR(info.st_mode); }
};

// What one word of COPY selects: a file, or a folder whose contents are meant.
struct SourceItem {
  std::string path;  // From the root, without a leading "/": "" is the root.
  TreeNode node;     // `name`: the last part of `path`.
};

// A tree that files are selected from.
struct SourceRoot {
  int fd = -1;
  const IgnoreMatcher* ignore = nullptr;  // By path from the root; null: nothing is ignored.
};

struct SourceQuery {
  std::string path;                   // Absolute; a path or a pattern.
  std::string include;                // Only what matches, by path below `path`; "": everything.
  std::vector<std::string> excludes;  // By path below `path`.
};

// Every file the query selects, links in `path` followed inside the root, others kept. A pattern
// that matches nothing gives no items; a path that does not exist (or is ignored) is kNotFound.
Result<std::vector<SourceItem>> SelectSources(const SourceRoot& root, const SourceQuery& query);

// The path of an existing file inside `root_fd`, with links followed: "a/b", "" for the root. Only
// of roots in this mount namespace.
Result<std::string> RealPathInRoot(int root_fd, const std::string& path);

// Names in a folder, sorted, without "." and "..".
Result<std::vector<std::string>> NamesIn(int folder_fd, const std::string& path);

}  // namespace skiff::builder
