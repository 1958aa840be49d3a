#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

// Under systemd, monitors and containers live below a unit of their own with Delegate=yes, never in
// the scope of the caller's session, which dies with it (DESIGN 3). Spoken is D-Bus, straight to
// systemd's private socket: no bus daemon, no library.
namespace skiff::engine::embedded {

// A transient scope "skiff-<hash>.scope" in system.slice. A scope needs a process to begin with and
// ends with its last one, so a small child of this command keeps it while the command works; then
// the monitors do.
class DelegatedUnit {
 public:
  // Null when the machine was not booted by systemd, or this process may not ask it (not root, or
  // no socket): then cgroups are made where they are without it.
  static Result<std::unique_ptr<DelegatedUnit>> Ensure(const std::string& root_hash);
  ~DelegatedUnit();

  // "/system.slice/skiff-<hash>.scope"
  const std::string& cgroup() const { return cgroup_; }

 private:
  explicit DelegatedUnit(std::string cgroup) : cgroup_(std::move(cgroup)) {}
  Status StartHolder();
  Status MoveHolderToLeaf();

  std::string cgroup_;
  pid_t holder_ = -1;
  Fd keep_;  // The holder ends when this is closed.
  std::string leaf_;
};

// ---- The messages, for tests -------------------------------------------------------------------

// The call Manager.StartTransientUnit(unit, "fail", properties, []) as bytes.
std::string StartScopeMessage(uint32_t serial, const std::string& unit, uint32_t pid);

struct BusMessage {
  uint8_t type = 0;  // 1 call, 2 reply, 3 error, 4 signal.
  uint32_t reply_serial = 0;
  std::string member;
  std::string error_name;
  std::string body;
};
// Bytes of the whole message, of which `header` has the first 16; 0 when malformed or too long.
size_t BusMessageSize(std::string_view header);
Result<BusMessage> ParseBusMessage(std::string_view bytes);

}  // namespace skiff::engine::embedded
