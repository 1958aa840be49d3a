#include "engine-core/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/json_text.h"

namespace skiff::engine {
namespace {

constexpr mode_t kJournalMode = 0600;

Status Rotate(const std::string& folder, const std::string& path) {
  const Result<FileLock> lock =
      FileLock::TryAcquire(folder + "/events.lock", FileLock::Mode::kExclusive);
  if (!lock) {
    if (lock.error().code == Code::kFailedPrecondition) return {};  // Somebody else does it.
    return tl::unexpected(lock.error());
  }
  struct stat info = {};
  // Looked at again under the lock: it may have been done a moment ago.
  if (::stat(path.c_str(), &info) != 0 || info.st_size < kJournalLimit) return {};
  SKIFF_TRY(Failpoint("journal.rotate"));
  if (::rename(path.c_str(), (path + ".1").c_str()) != 0) {
    return FailErrno("cannot rotate '" + path + "'");
  }
  return {};
}

}  // namespace

std::string JournalPath(const std::string& folder) {
  return folder + "/events.jsonl";
}

std::string FormatJournalEntry(int64_t time_ns, std::string_view type, std::string_view action,
                               std::string_view actor, const JournalAttributes& attributes) {
  std::string out = "{\"time\":" + std::to_string(time_ns) + ",\"type\":";
  AppendJsonQuoted(out, type);
  out += ",\"action\":";
  AppendJsonQuoted(out, action);
  out += ",\"actor\":";
  AppendJsonQuoted(out, actor);
  out += ",\"attributes\":{";
  bool first = true;
  for (const auto& [key, value] : attributes) {
    if (!first) out += ',';
    first = false;
    AppendJsonQuoted(out, key);
    out += ':';
    AppendJsonQuoted(out, value);
  }
  out += "}}\n";
  return out;
}

Status AppendJournalEntry(const std::string& folder, std::string_view line) {
  const std::string path = JournalPath(folder);
  SKIFF_ASSIGN(const Fd file, OpenFile(path, O_WRONLY | O_APPEND | O_CREAT, kJournalMode));
  SKIFF_TRY(Failpoint("journal.append"));
  ssize_t n = 0;
  do {
    n = ::write(file.get(), line.data(), line.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) return FailErrno("cannot write '" + path + "'");
  struct stat info = {};
  if (::fstat(file.get(), &info) == 0 && info.st_size >= kJournalLimit) return Rotate(folder, path);
  return {};
}

}  // namespace skiff::engine
