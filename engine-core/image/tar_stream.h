#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::engine::image {

using ByteSink = std::function<Status(std::string_view)>;
// Takes the next `size` bytes of an open file, from its offset on. kFailedPrecondition: it has fewer.
using FileSink = std::function<Status(int fd, int64_t size)>;

// One header of a tar stream. `path` without a leading slash; folders end with one.
struct TarEntry {
  std::string path;
  std::string link;
  char type = '0';  // 0 file, 1 hard link, 2 symbolic link, 3 and 4 devices, 5 folder, 6 fifo.
  mode_t mode = 0;
  uint64_t uid = 0;
  uint64_t gid = 0;
  int64_t size = 0;
  int64_t mtime = 0;  // Seconds.
  uint32_t major = 0;
  uint32_t minor = 0;
  std::vector<std::pair<std::string, std::string>> attributes;  // Sorted by name.
};

// Writes POSIX tar: ustar headers, and pax records only for what does not fit. The same entries
// give the same bytes.
class TarStream {
 public:
  explicit TarStream(ByteSink sink) : sink_(std::move(sink)) {}

  // The content of a file has to follow: exactly `entry.size` bytes by Content().
  Status Header(const TarEntry& entry);
  Status Content(std::string_view data);
  // The same of a file, past the stream's own sink: `sink` writes to the same place.
  Status Content(const FileSink& sink, int fd, int64_t size);
  // Pads what Content() wrote to whole blocks.
  Status EndContent();
  Status File(const std::string& path, std::string_view content, int64_t mtime);
  // Two empty blocks.
  Status Finish();

 private:
  Status Block(const TarEntry& entry, std::string_view path);
  Status Records(const TarEntry& entry, const std::string& records);

  ByteSink sink_;
  int64_t written_ = 0;  // Of the current content.
};

}  // namespace skiff::engine::image
