#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::engine {

struct PackedTree {
  int64_t content_size = 0;  // Bytes of regular files, hard links once.
  int64_t entries = 0;
};

// Writes what `path` (of a root file system as it is seen, links on the way followed inside it)
// names, as `docker cp` reads it: entries are called `name` and "name/...". The last link of a path is
// an entry itself, unless the path ends with "/" or "/.", which name a folder.
Result<PackedTree> PackPath(int root_fd, const std::string& path, const std::string& name,
                            const std::function<Status(std::string_view)>& sink);

struct PackedFile {
  std::string source;  // Absolute.
  std::string name;    // In the stream.
};
// Writes each of `files` as it is on this machine: folders without what is in them, links as they
// are. What is not there any more is left out.
Status PackFiles(const std::vector<PackedFile>& files,
                 const std::function<Status(std::string_view)>& sink);

// Whether the path says of itself that it names a folder: it ends with "/", "." or "..".
bool NamesFolder(std::string_view path);

}  // namespace skiff::engine
