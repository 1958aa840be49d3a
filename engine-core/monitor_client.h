#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/engine.h"

namespace skiff::engine {

// A command's side of a monitor's control socket (engine-core/monitor/README: protocol). Each call
// is one connection: a message with a version, answered by one or more messages.
// kUnavailable: no monitor lives there (the container is not running).
class MonitorClient {
 public:
  explicit MonitorClient(std::string run_dir) : run_dir_(std::move(run_dir)) {}

  // True while a monitor holds the lock of the run directory.
  bool Alive() const;
  // The state its monitor wrote last (state.json); kNotFound without one.
  Result<ContainerState> ReadState() const;

  // Stop signal, deadline, SIGKILL; returns when the container has ended and no restart follows.
  // `signal` 0 and `timeout` absent: the container's own.
  Status Stop(int signal_number, std::optional<Nanoseconds> timeout) const;
  // Sends a signal; SIGKILL and the stop signal suppress the restart policy.
  Status Kill(int signal_number) const;
  // Ends the process and starts it anew in the same monitor, network and cgroup.
  Status Restart(int signal_number, std::optional<Nanoseconds> timeout) const;
  Status Pause() const;
  Status Unpause() const;
  // Later restarts, DNS and log entries use the new name.
  Status Rename(std::string_view name) const;
  Result<std::unique_ptr<Session>> Exec(const ExecConfig& config, const StandardStreams& streams,
                                        TerminalSize size) const;
  Result<std::unique_ptr<Session>> Attach(const StandardStreams& streams) const;

 private:
  std::string run_dir_;
};

// Blocks until the monitor of `run_dir` has ended (its lock is free), or `cancel_fd` is readable
// (kCancelled).
Status AwaitMonitorExit(const std::string& run_dir, int cancel_fd);

// state.json <-> ContainerState. The monitor writes it without a JSON library.
std::string StateToJson(const ContainerState& state);
Result<ContainerState> StateFromJson(std::string_view text);

}  // namespace skiff::engine
