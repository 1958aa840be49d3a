#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/engine.h"

namespace skiff::engine {

struct EmbeddedOptions {
  std::string root = "/var/lib/skiff";  // Durable (DESIGN 5).
  std::string run = "/run/skiff";       // Volatile: discarded after a reboot.
  std::string monitor_program;          // skiff-monitor. "": beside the running program.
  std::string transfer_program;         // skiff-transfer. "": beside the running program.
  // Told of what was found and put right on the way (a monitor that had been killed, a reboot).
  // Called from any thread that calls the engine. Empty: nobody wants to know.
  std::function<void(const std::string&)> notice;
};

// The engine that runs containers itself, without a daemon. Opening it is cheap: the database is
// opened, and the volatile root checked against the boot id, by the first call that needs them.
// Programs that use it call no fork without exec and change no signal disposition of SIGCHLD.
Result<std::unique_ptr<Engine>> OpenEmbeddedEngine(const EmbeddedOptions& options);

// One broken invariant between rows, folders and the kernel.
struct SystemProblem {
  std::string kind;     // "container", "layer", "cgroup", "link", "firewall", "intent", ...
  std::string object;   // Id, name or path.
  std::string message;  // "layer 1234 has no row"
  bool repaired = false;
};
struct SystemReport {
  int checked = 0;  // Objects that were looked at.
  std::vector<SystemProblem> problems;
};
// Verifies every invariant; with `repair` puts right what is safe to put right.
Result<SystemReport> SystemCheck(const EmbeddedOptions& options, bool repair);

// A container that its restart policy brought back, or could not.
struct RestoredContainer {
  std::string name;
  std::optional<Error> error;
};
// What a machine does when it boots: starts the containers that do not run and whose restart policy
// wants them to (docker's rule at the start of its daemon: `always` in any case, `unless-stopped`
// unless stopped by hand, `on-failure` unless they had ended well). The first command that changes
// something after a boot does it too.
Result<std::vector<RestoredContainer>> RestoreContainers(const EmbeddedOptions& options);

// Takes away what a root holds in the kernel while nothing runs: the default bridge, the firewall's
// table, the parents of its cgroups. They come back when they are needed. kFailedPrecondition while
// a container runs.
Status RetireRoot(const EmbeddedOptions& options);

}  // namespace skiff::engine
