#include "base/failpoint.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <mutex>

#include "base/text.h"

namespace skiff {
namespace failpoint_internal {

std::atomic<bool> g_active = false;

namespace {

enum class Action { kError, kKill, kDelay };

struct Point {
  std::string name;
  Action action = Action::kError;
  int value = EIO;  // errno of kError, milliseconds of kDelay.
  int only_pass = 0;
  int passes = 0;
};

std::mutex g_mutex;
std::vector<Point> g_points;  // Guarded by g_mutex.

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

}  // namespace

Status Evaluate(std::string_view name) {
  Action action = Action::kError;
  int value = 0;
  {
    const std::lock_guard lock(g_mutex);
    Point* hit = nullptr;
    for (Point& point : g_points) {
      if (point.name == name) hit = &point;
    }
    if (hit == nullptr) return {};
    ++hit->passes;
    if (hit->only_pass != 0 && hit->passes != hit->only_pass) return {};
    action = hit->action;
    value = hit->value;
  }
  switch (action) {
    case Action::kKill:
      ::kill(::getpid(), SIGKILL);
      break;
    case Action::kDelay:
      ::poll(nullptr, 0, value);
      break;
    case Action::kError:
      return FailErrno(value, "failpoint " + std::string(name));
  }
  return {};
}

}  // namespace failpoint_internal

Status ConfigureFailpoints(std::string_view spec) {
  using namespace failpoint_internal;
  std::vector<Point> points;
  for (const std::string_view entry : Split(spec, ',')) {
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
  const std::lock_guard lock(g_mutex);
  g_points = std::move(points);
  g_active.store(!g_points.empty(), std::memory_order_relaxed);
  return {};
}

}  // namespace skiff
