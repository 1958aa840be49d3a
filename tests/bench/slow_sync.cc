// Preloaded by tests/bench/run: every fsync and fdatasync takes SLOW_SYNC_MS milliseconds more, as
// on a slower disk, and adds one byte to the file SLOW_SYNC_COUNT.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

namespace {

void Delay() {
  if (const char* path = std::getenv("SLOW_SYNC_COUNT")) {
    const int file = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0 || ::write(file, "x", 1) != 1) std::abort();  // A wrong count is worse than none.
    ::close(file);
  }
  const char* text = std::getenv("SLOW_SYNC_MS");
  const double milliseconds = text == nullptr ? 0 : std::atof(text);
  const auto nanoseconds = static_cast<long>(milliseconds * 1e6);
  const timespec delay = {nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
  ::ppoll(nullptr, 0, &delay, nullptr);
}

using Sync = int (*)(int);

}  // namespace

extern "C" int fsync(int file) {
  static const Sync next = reinterpret_cast<Sync>(::dlsym(RTLD_NEXT, "fsync"));
  Delay();
  return next(file);
}

extern "C" int fdatasync(int file) {
  static const Sync next = reinterpret_cast<Sync>(::dlsym(RTLD_NEXT, "fdatasync"));
  Delay();
  return next(file);
}
