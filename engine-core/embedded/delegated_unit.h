#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/cgroup.h"

// Under systemd, monitors and containers live below a unit of their own with Delegate=yes, never in
// the scope of the caller's session, which dies with it (DESIGN 3). Spoken is D-Bus, straight to
// systemd's private socket: no bus daemon, no library.
namespace skiff::engine::embedded {

// A transient scope "skiff-<hash>.scope" in system.slice. A scope needs a process to begin with and
// ends with its last one, so a small child of this command keeps it while the command works; then
// the monitors do. Not thread safe.
class DelegatedUnit {
 public:
  explicit DelegatedUnit(const std::string& root_hash);
  ~DelegatedUnit();
  DelegatedUnit(const DelegatedUnit&) = delete;
  DelegatedUnit& operator=(const DelegatedUnit&) = delete;

  // "/system.slice/skiff-<hash>.scope"; "" on a machine that systemd has not booted. The same for
  // every command, whether the unit stands or not.
  const std::string& cgroup() const { return cgroup_; }

  // Makes sure that the unit stands, before something is started in it; nothing to do without
  // systemd. True when it has been joined anew, that is at first and after somebody has stopped it.
  // After a failure the folder is used without a unit: containers outlive the caller's session all
  // the same, but systemd does not list them and takes no part in their end.
  Result<bool> Hold();

  // Takes away the unit's folders that nobody is in: systemd removes them in the hierarchies it
  // follows and only with a unit.
  Status RemoveFolders(const CgroupLayout& layout) const;

 private:
  bool HolderLives() const;
  bool LeafStands() const;
  bool Stands() const;
  Fd OpenLeaf() const;
  Status StartHolder(const Fd& leaf);
  void EndHolder();
  // kNotFound: the unit does not stand (any more).
  Status Join() const;

  std::string unit_;
  std::string cgroup_;
  pid_t holder_ = -1;
  Fd keep_;  // The holder ends when this is closed.
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
