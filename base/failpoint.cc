#include "base/failpoint.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <mutex>

#include "base/fd.h"
#include "base/text.h"

namespace skiff {
namespace failpoint_internal {

std::atomic<bool> g_active = false;

namespace {

constexpr size_t kMaximumList = 64u << 10;

enum class Action { kError, kKill, kDelay, kTrace };

struct Point {
  std::string name;
  Action action = Action::kError;
  int value = EIO;   // errno of kError, milliseconds of kDelay.
  std::string path;  // Of kTrace.
  int only_pass = 0;
  int passes = 0;
};

std::mutex g_mutex;
// Guarded by g_mutex.
std::vector<Point> g_points;
std::string g_file;  // Where the list is read from at every pass, "" for a list that is fixed.
std::string g_list;  // As it was read the last time.

struct ErrnoName {
  std::string_view name;
  int value;
};
constexpr ErrnoName kErrnoNames[] = {
    {"EIO", EIO},     {"ENOSPC", ENOSPC}, {"ENOMEM", ENOMEM}, {"EACCES", EACCES},
    {"EPERM", EPERM}, {"EBUSY", EBUSY},   {"EMFILE", EMFILE}, {"EAGAIN", EAGAIN},
    {"EROFS", EROFS}, {"EDQUOT", EDQUOT}, {"ENOENT", ENOENT}, {"ETIMEDOUT", ETIMEDOUT},
};

bool ParseNumber(std::string_view text, int& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out >= 0;
}

bool ParseAction(std::string_view text, Point& point) {
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    if (!ParseNumber(text.substr(at + 1), point.only_pass)) return false;
    text = text.substr(0, at);
  }
  if (text.starts_with("trace:/")) {
    point.action = Action::kTrace;
    point.path = text.substr(6);
    return true;
  }
  if (text == "kill") {
    point.action = Action::kKill;
    return true;
  }
  if (text.starts_with("delay:")) {
    point.action = Action::kDelay;
    return ParseNumber(text.substr(6), point.value);
  }
  if (text == "error") return true;
  if (!text.starts_with("error:")) return false;
  for (const ErrnoName& row : kErrnoNames) {
    if (row.name == text.substr(6)) {
      point.value = row.value;
      return true;
    }
  }
  return false;
}

Result<std::vector<Point>> ParseList(std::string_view list) {
  std::vector<Point> points;
  for (const std::string_view entry : Split(list, ',')) {
    if (entry.empty()) continue;
    const size_t equals = entry.find('=');
    Point point;
    if (equals == std::string_view::npos || !ParseAction(entry.substr(equals + 1), point)) {
      return Fail(Code::kInvalidArgument,
                  "invalid SKIFF_FAILPOINTS entry '" + std::string(entry) + "'");
    }
    point.name = entry.substr(0, equals);
    points.push_back(std::move(point));
  }
  return points;
}

// A file that cannot be read any more (a process that has been confined) says what it said last.
Status ReadAgain() {
  const Result<Fd> file = OpenFile(g_file, O_RDONLY);
  if (!file) return {};
  SKIFF_ASSIGN(std::string list, ReadAll(file->get(), kMaximumList, g_file));
  if (list == g_list) return {};
  SKIFF_ASSIGN(g_points, ParseList(list));
  g_list = std::move(list);
  return {};
}

void Trace(const std::string& path, std::string_view name) {
  const Result<Fd> file = OpenFile(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  // Who reads the trace misses what could not be written, and says so.
  if (file) [[maybe_unused]]
    const Status written = WriteAll(file->get(), std::string(name) + "\n", path);
}

}  // namespace

Status Evaluate(std::string_view name) {
  Point hit;
  {
    const std::lock_guard lock(g_mutex);
    if (!g_file.empty()) SKIFF_TRY(ReadAgain());
    Point* found = nullptr;
    for (Point& point : g_points) {
      if (point.name == name || point.name == "*") found = &point;
    }
    if (found == nullptr) return {};
    ++found->passes;
    if (found->only_pass != 0 && found->passes != found->only_pass) return {};
    hit = *found;
  }
  switch (hit.action) {
    case Action::kTrace:
      Trace(hit.path, name);
      break;
    case Action::kKill:
      ::kill(::getpid(), SIGKILL);
      break;
    case Action::kDelay:
      ::poll(nullptr, 0, hit.value);
      break;
    case Action::kError:
      return FailErrno(hit.value, "failpoint " + std::string(name));
  }
  return {};
}

}  // namespace failpoint_internal

Status ConfigureFailpoints(std::string_view spec) {
  using namespace failpoint_internal;
  const std::lock_guard lock(g_mutex);
  g_points.clear();
  g_list.clear();
  g_file = spec.starts_with("@/") ? spec.substr(1) : "";
  if (g_file.empty()) {
    SKIFF_ASSIGN(g_points, ParseList(spec));
  } else {
    SKIFF_TRY(ReadAgain());
  }
  g_active.store(!g_file.empty() || !g_points.empty(), std::memory_order_relaxed);
  return {};
}

}  // namespace skiff
