#include "base/trace.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/event_loop.h"

namespace skiff {
namespace trace_internal {

std::atomic<int> g_fd = -1;

int64_t Begin() {
  return Now().count();
}

void End(std::string_view name, int64_t begin) {
  char line[256];
  const int length = std::snprintf(
      line, sizeof line, "%d %d %lld %lld %.*s\n", static_cast<int>(::getpid()),
      static_cast<int>(::gettid()), static_cast<long long>(begin),
      static_cast<long long>(Now().count()), static_cast<int>(name.size()), name.data());
  if (length <= 0 || static_cast<size_t>(length) >= sizeof line) return;
  // One write, so that lines of several processes do not mix. A trace that cannot be written (a
  // full disk) is not worth failing the work it describes: tracing ends.
  if (::write(g_fd.load(std::memory_order_relaxed), line, static_cast<size_t>(length)) < 0) {
    g_fd.store(-1, std::memory_order_relaxed);
  }
}

}  // namespace trace_internal

void StartTracingTo(int fd) {
  trace_internal::g_fd.store(fd, std::memory_order_relaxed);
}

Status StartTracing(const char* path) {
  if (path == nullptr || *path == '\0') return {};
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return FailErrno("cannot open '" + std::string(path) + "'");
  StartTracingTo(fd);  // Open until the process ends.
  return {};
}

}  // namespace skiff
