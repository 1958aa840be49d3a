#include "builder/execute/copy_data.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"

namespace skiff::builder {
namespace {

constexpr int64_t kSmall = 1 << 16;  // Read and written at once.
constexpr size_t kBuffer = 1 << 16;

Status ReadAndWrite(int from, int to, const std::string& path) {
  char buffer[kBuffer];
  for (;;) {
    const ssize_t got = ::read(from, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read '" + path + "'");
    if (got == 0) return {};
    SKIFF_TRY(WriteAll(to, {buffer, static_cast<size_t>(got)}, path));
  }
}

// True when the kernel copied it all.
Result<bool> CopyRange(int from, int to, int64_t offset, int64_t length, const std::string& path) {
  off_t in = offset;
  off_t out = offset;
  while (length > 0) {
    const ssize_t done = ::copy_file_range(from, &in, to, &out, static_cast<size_t>(length), 0);
    if (done > 0) {
      length -= done;
      continue;
    }
    if (done == 0) return true;  // It became shorter.
    if (errno == EINTR) continue;
    const bool cannot = errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
    if (cannot && in == offset) return false;
    return FailErrno("cannot copy '" + path + "'");
  }
  return true;
}

// Only what holds data; the rest stays a hole.
Result<bool> CopySparse(int from, int to, int64_t size, const std::string& path) {
  for (int64_t at = 0; at < size;) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // Nothing but a hole.
    if (data < 0) return false;
    const off_t end = ::lseek(from, data, SEEK_HOLE);
    if (end < 0) return FailErrno("cannot read '" + path + "'");
    SKIFF_ASSIGN(const bool copied, CopyRange(from, to, data, end - data, path));
    if (!copied) return false;
    at = end;
  }
  if (::ftruncate(to, size) != 0) return FailErrno("cannot write '" + path + "'");
  return true;
}

}  // namespace

Status CopyData(int from, int to, int64_t size, int64_t blocks, const std::string& path) {
  if (size > kSmall) {
    if (::ioctl(to, FICLONE, from) == 0) return {};
    const bool sparse = blocks * 512 < size;
    auto copied = sparse ? CopySparse(from, to, size, path) : CopyRange(from, to, 0, size, path);
    if (!copied) return Fail(std::move(copied.error()));
    if (*copied) return {};
    if (::lseek(from, 0, SEEK_SET) < 0 || ::lseek(to, 0, SEEK_SET) < 0) {
      return FailErrno("cannot copy '" + path + "'");
    }
  }
  return ReadAndWrite(from, to, path);
}

}  // namespace skiff::builder
