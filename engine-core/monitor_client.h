#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/engine.h"
#include "engine-core/runtime_spec.h"

namespace skiff::engine {

// A command's side of a monitor's control socket (engine-core/monitor/README: protocol). Each call
// is one connection: a message with a version, answered by one or more messages.
// kUnavailable: no monitor lives there (the container is not running).
class MonitorClient {
 public:
  explicit MonitorClient(std::string run_dir) : run_dir_(std::move(run_dir)) {}

  // True while a monitor holds the lock of the run directory (an OFD lock on <run_dir>/lock: this
  // asks for its state without ever taking it, so nobody is disturbed).
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
  // SIGKILL to the monitor itself, which ends its container: for one that does not answer.
  Status KillMonitor() const;
  Status Pause() const;
  Status Unpause() const;
  // Later restarts, DNS and log entries use the new name.
  Status Rename(std::string_view name) const;
  Result<std::unique_ptr<Session>> Exec(const ExecConfig& config, const StandardStreams& streams,
                                        TerminalSize size) const;
  // A container with a terminal gives a session with terminal_fd() and ignores `streams`. Otherwise
  // the session holds copies of output and error: their end of file comes after its destruction.
  Result<std::unique_ptr<Session>> Attach(const StandardStreams& streams) const;
  // The network namespace the monitor holds, also while the container restarts.
  Result<Fd> NetworkNamespace() const;
  // The container is in other networks now: what its name service answers from.
  Status UpdateNames(const DnsSpec& dns) const;

 private:
  std::string run_dir_;
};

// The session of the client that came with the launch (Launcher::Request::attach_*): `channel` is
// the launcher's channel after the start report. `terminal` is the master side or the socket that
// stands for it, or invalid; `streams` are the ones given to the launch.
std::unique_ptr<Session> SessionOfLaunch(Fd channel, const StandardStreams& streams, Fd terminal);

// Blocks until the monitor of `run_dir` has ended (its lock is free), or `cancel_fd` is readable
// (kCancelled).
Status AwaitMonitorExit(const std::string& run_dir, int cancel_fd);

// state.json <-> ContainerState. The monitor writes it without a JSON library.
std::string StateToJson(const ContainerState& state);
Result<ContainerState> StateFromJson(std::string_view text);

}  // namespace skiff::engine
