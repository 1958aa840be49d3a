#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "builder/execute/agents.h"
#include "builder/execute/session.h"

namespace skiff::builder {

// What a RUN step's mounts need while it runs.
struct BuildSession::RunMounts {
  std::vector<std::unique_ptr<engine::WritableLayer>> layers;  // Copies, secrets, scripts.
  std::vector<FileLock> locks;                                 // Of cache mounts.
  std::vector<std::string> secrets;                            // Files that go once it has started.
  std::vector<std::unique_ptr<AgentRelay>> relays;

  // The step holds its mounts itself now.
  Status Started();
};

}  // namespace skiff::builder
