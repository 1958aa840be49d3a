#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/launch_protocol.h"
#include "engine-core/runtime_spec.h"

namespace skiff::engine {

// What of the caller's context a container would inherit and nobody can undo: no_new_privs, a
// seccomp filter, a foreign mount namespace. Each entry is a complete sentence for the user. The
// engine shows them once per command; under --strict they are errors.
std::vector<std::string> CheckCallerContext();

// Starts monitors. One per command: it holds a read-only detached clone of the monitor's program
// (DESIGN 3), so that no container can write to a program of the host through /proc/<pid>/exe.
// Launch() may be called from several threads at once.
class Launcher {
 public:
  struct Options {
    std::string program;  // Path of skiff-monitor.
    // Folders monitors move to (CgroupManager::MonitorCgroups()); empty: they stay where the caller
    // is. One that cannot be entered is left out silently: a monitor works anywhere.
    std::vector<std::string> cgroups;
  };
  static Result<std::unique_ptr<Launcher>> Create(Options options);
  // With no cgroups.
  static Result<std::unique_ptr<Launcher>> Create(std::string program);

  struct Request {
    std::string spec;            // EncodeRuntimeSpec().
    int network_namespace = -1;  // -1: the host's.
    int dns_udp = -1;            // Sockets made inside that namespace, or -1.
    int dns_tcp = -1;
    // Standard streams of the first attached client (docker run), or -1.
    int attach_input = -1;
    int attach_output = -1;
    int attach_error = -1;
    std::vector<int> ports;  // Sockets that reserve published ports, as RuntimeSpec::ports.
  };
  // A monitor that has been cloned as PID 1 of its own PID namespace (not with pid: host or
  // container:, DESIGN 3), in a normal context (signal mask and dispositions, umask, nice,
  // affinity, groups, limits, keyring, cwd, session, cgroup outside the container's).
  struct Launched {
    pid_t pid = -1;
    Fd pidfd;
    Fd channel;  // SOCK_SEQPACKET: the monitor's start report comes from here.
  };
  // Returns when the monitor has been executed.
  Result<Launched> Launch(const Request& request) const;

  using StartReport = engine::StartReport;
  // Blocks until the container has been executed (its host pid), or failed to (the error; exit code
  // 126 to 128 is in `exit_code`). A monitor that died without a word is an error.
  static Result<StartReport> AwaitStart(const Launched& launched);

 private:
  Launcher(std::string program, Fd image, std::vector<Fd> cgroups)
      : program_(std::move(program)), image_(std::move(image)), cgroups_(std::move(cgroups)) {}
  std::string program_;
  Fd image_;
  std::vector<Fd> cgroups_;  // OpenCgroupEntry of each.
};

}  // namespace skiff::engine
