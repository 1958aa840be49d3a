#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/runtime_spec.h"

namespace skiff::engine {

// Starts monitors. One per command: it holds a read-only detached clone of the monitor's program
// (DESIGN 3), so that no container can write to a program of the host through /proc/<pid>/exe.
class Launcher {
 public:
  // `program`: path of skiff-monitor.
  static Result<std::unique_ptr<Launcher>> Create(std::string program);

  struct Request {
    std::string spec;       // EncodeRuntimeSpec().
    int network_namespace = -1;  // -1: the host's.
    int dns_udp = -1;       // Sockets made inside that namespace, or -1.
    int dns_tcp = -1;
    // Standard streams of the first attached client (docker run), or -1.
    int attach_input = -1;
    int attach_output = -1;
    int attach_error = -1;
  };
  // A monitor that has been cloned as PID 1 of its own PID namespace, in a normal context (signal
  // mask, umask, nice, affinity, groups, limits, cwd, session, cgroup outside the container's).
  struct Launched {
    pid_t pid = -1;
    Fd pidfd;
    Fd channel;  // SOCK_SEQPACKET: the monitor's start report comes from here.
  };
  Result<Launched> Launch(const Request& request) const;

  // Blocks until the container has been executed (its host pid), or failed to (the error; exit code
  // 126 to 128 is in `exit_code`).
  struct StartReport {
    int64_t host_pid = 0;
    int exit_code = 0;
    std::string error;  // Empty: it runs.
  };
  static Result<StartReport> AwaitStart(const Launched& launched);

 private:
  Launcher(std::string program, Fd image) : program_(std::move(program)), image_(std::move(image)) {}
  std::string program_;
  Fd image_;
};

}  // namespace skiff::engine
