#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/runtime_spec.h"

// The code that runs between clone and exec, and the parent's side of it. Used by the monitor only.
// Everything below child/inside/ runs in the new process: no allocation, no locks, no exceptions,
// only the symbols listed in tests/architecture/child_symbols.txt.
namespace skiff::engine::child {

// What the new process says over `status` (SOCK_SEQPACKET). Then either the socket closes by the
// exec (close-on-exec), or kFailed came before.
enum class Stage : uint8_t {
  kReady = 1,     // Root file system and mounts stand; the process waits for Release().
  kFailed = 2,    // The message carries errno, an exit code (126, 127, 128) and a text.
  kTerminal = 3,  // One descriptor: the master side of the container's terminal.
};

struct Report {
  Stage stage = Stage::kFailed;
  int sys_errno = 0;
  int exit_code = 128;
  std::string text;  // "exec: \"foo\": executable file not found in $PATH"
  Fd terminal;
};

// A process that has been cloned and is being set up.
struct Starting {
  pid_t pid = -1;  // As seen by the monitor.
  Fd pidfd;
  Fd status;  // Poll it, then ReadReport().
};

struct Stdio {
  int input = -1;  // -1: /dev/null. Ignored with a terminal.
  int output = -1;
  int error = -1;
};

// Clones the container's init into its new namespaces and cgroups. `network_namespace` is -1 with
// host networking. Returns at once; the child mounts meanwhile and then waits.
Result<Starting> StartInit(const RuntimeSpec& spec, int network_namespace, const Stdio& stdio);

// Lets a process that reported kReady go on to exec.
Status Release(const Starting& process);

// Next report of the process; no value: the socket closed, so the exec has happened.
Result<std::unique_ptr<Report>> ReadReport(const Starting& process);

struct ExecSpec {
  std::vector<std::string> args;
  std::vector<std::string> environment;  // Complete.
  std::string cwd;
  std::string user;
  bool tty = false;
  bool privileged = false;
};

// A further process in the container of `init_pidfd`, child of the caller, with the container's
// cgroups, capabilities, seccomp filter and namespaces. Needs no Release().
Result<Starting> StartExec(const RuntimeSpec& spec, int init_pidfd, const ExecSpec& exec,
                           const Stdio& stdio);

}  // namespace skiff::engine::child
