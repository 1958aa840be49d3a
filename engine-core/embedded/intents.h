#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/layout.h"

namespace skiff::engine::embedded {

// What a command is about to do, said before it does it: to other commands (names and addresses
// that are taken though no row says so yet) and to whoever comes after a crash.
struct Intent {
  enum class Kind {
    kCreateContainer = 1,
    kRemoveContainer,
    kCreateNetwork,
    kRemoveNetwork,
    kLayer,
    kPorts,
    kBlob,
    kRemoveVolume = 16,
    kCreateVolume
  };
  Kind kind = Kind::kCreateContainer;
  std::string id;
  std::string name;                    // Taken by it, "" for none.
  std::vector<std::string> addresses;  // "<network id>/<address>"
  std::string subnet;                  // Of kCreateNetwork.
  bool operator==(const Intent&) const = default;
};

// One file per process in <run>/intents, with a lock held while the process lives, and with its pid
// and the moment of its start: a file without an owner tells of a command that died. Appended without a sync, because a power cut removes what
// it speaks of as well. Callers hold the state lock for every call but SomebodyDied().
class IntentLog {
 public:
  explicit IntentLog(const Layout& layout) : layout_(layout) {}
  ~IntentLog();

  Status Append(const Intent& intent);
  // After a commit: only `kept` still holds.
  Status Replace(const std::vector<Intent>& kept);
  const std::vector<Intent>& own() const { return own_; }

  // Of other commands that live.
  Result<std::vector<Intent>> Others() const;
  struct Leftover {
    std::string path;
    std::vector<Intent> intents;
  };
  // Of commands that died. The caller repairs, then calls Forget().
  Result<std::vector<Leftover>> Leftovers() const;
  // True when there may be leftovers; needs no lock.
  Result<bool> SomebodyDied() const;
  static Status Forget(const Leftover& leftover);

 private:
  Status OpenOwn();

  Layout layout_;
  std::string path_;
  Fd file_;
  std::vector<Intent> own_;
};

}  // namespace skiff::engine::embedded
