#include "base/descriptor.h"

#include <unistd.h>

namespace skiff {

Result<std::string> PathOfDescriptor(int fd, std::string_view what) {
  std::string path(4096, '\0');
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), path.data(), path.size());
  if (length < 0) return FailErrno("cannot find " + std::string(what));
  path.resize(static_cast<size_t>(length));
  return path;
}

void RaiseEvent(const Fd& event) {
  const uint64_t one = 1;
  // A full counter is readable already.
  [[maybe_unused]] const Status written =
      WriteAll(event.get(), {reinterpret_cast<const char*>(&one), sizeof one}, "an event");
}

}  // namespace skiff
