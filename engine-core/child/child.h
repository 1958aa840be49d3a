#pragma once

#include <sys/types.h>

#include <cstdint>
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

// What the new process says over `status` (SOCK_SEQPACKET): any number of kWarning, kTerminal with
// a terminal, kReady, and, after Release(), either the socket closes by the exec or kFailed comes.
enum class Stage : uint8_t {
  kReady = 1,     // Root file system and mounts stand; the process waits for Release().
  kFailed = 2,    // The message carries errno, an exit code (126, 127, 128) and a text.
  kTerminal = 3,  // One descriptor: the master side of the container's terminal.
  kWarning = 4,   // A text for the user; the start goes on.
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
// host networking. Returns at once; the child mounts meanwhile and then waits. Descriptors are
// borrowed for the call only. SIGCHLD is the exit signal; the caller reaps by pidfd.
Result<Starting> StartInit(const RuntimeSpec& spec, int network_namespace, const Stdio& stdio);

// Lets a process that reported kReady go on to exec.
Status Release(const Starting& process);

// Next report of the process; null: its program has been executed. A process that died before that
// gives kFailed. Blocks when nothing is there yet.
Result<std::unique_ptr<Report>> ReadReport(const Starting& process);

struct ExecSpec {
  std::vector<std::string> args;
  std::vector<std::string> environment;  // Complete.
  std::string cwd;
  std::string user;
  bool tty = false;
  bool privileged = false;
  // Of the terminal when the program starts; 0: unknown.
  uint16_t rows = 0;
  uint16_t columns = 0;
};

// A further process in the container of `init_pidfd`, child of the caller, with the container's
// cgroups, capabilities, seccomp filter and namespaces. Reports kWarning, kTerminal and kFailed,
// never kReady; needs no Release(). Lowers nothing of the caller: its own namespaces are as before.
Result<Starting> StartExec(const RuntimeSpec& spec, int init_pidfd, const ExecSpec& exec,
                           const Stdio& stdio);

// With use_init PID 1 stays in this program: lets it write its own command line ("/sbin/docker-init
// -- ...") over this program's, as ps shows it. Call it in main() with main's arguments; optional.
void UseArgumentArea(int argc, char** argv);

// How the layers are mounted. kAutomatic: fsconfig with lowerdir+, else mount(2).
enum class OverlayMethod : uint8_t { kAutomatic, kFsconfig, kMount };
void ForceOverlayMethodForTesting(OverlayMethod method);

}  // namespace skiff::engine::child
