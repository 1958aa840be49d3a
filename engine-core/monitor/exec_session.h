#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "engine-core/child/child.h"
#include "engine-core/engine.h"
#include "engine-core/monitor/stream.h"

namespace skiff::engine::monitor {

// One further process in the container: an exec of a client or a health probe. It outlives its
// client; what it still writes then is read and dropped.
class ExecSession {
 public:
  struct Request {
    child::ExecSpec spec;
    Fd input;  // Invalid: /dev/null.
    Fd output;
    Fd error;
    TerminalSize size;
    bool capture = false;  // A probe: output and error are kept, see captured().
  };
  // Called from the loop, at most once each and in this order; none destroys the session.
  struct Listener {
    // It has been executed. `terminal`: the master side, borrowed, or -1.
    std::function<void(int terminal)> started;
    // It could not be executed (126, 127, 128); no other call follows.
    std::function<void(int exit_code, const std::string& text)> failed;
    // It has ended and all its output has been handed on.
    std::function<void(int exit_code)> ended;
  };

  ExecSession(EventLoop* loop, Scratch* scratch, Listener listener);
  ~ExecSession();
  ExecSession(const ExecSession&) = delete;
  ExecSession& operator=(const ExecSession&) = delete;

  Status Start(const RuntimeSpec& spec, int init_pidfd, Request request);

  pid_t pid() const { return process_.pid; }
  bool finished() const { return finished_; }
  bool exited() const { return exited_; }
  int exit_code() const { return exit_code_; }
  const std::string& captured() const { return captured_; }
  void Signal(int signal_number) const;
  Status Resize(TerminalSize size);
  // The process has been reaped.
  void OnExit(int exit_code);
  // Nobody reads the terminal any more, nobody writes to its input.
  void OnClientGone();

 private:
  // Descriptors of the process while it is being started.
  struct Ends {
    Fd input;
    Fd output;
    Fd error;
  };
  Result<Ends> Connect(Request* request);
  Status CopyInput(Fd source, Fd* end);
  Status CopyOutput(Fd sink, Fd* end);
  Status Capture(Fd* output, Fd* error);
  void ReadReport();
  void ReadCaptured();
  void DrainTerminal();
  void TryFinish();

  EventLoop* loop_;
  Scratch* scratch_;
  Listener listener_;
  child::Starting process_;
  TerminalSize size_;
  Fd terminal_;
  bool terminal_watched_ = false;
  bool status_watched_ = false;
  bool reported_ = false;  // Started or failed.
  bool exited_ = false;
  bool client_gone_ = false;
  bool finished_ = false;
  int exit_code_ = 0;
  std::unique_ptr<StreamCopy> input_;
  std::vector<std::unique_ptr<StreamCopy>> outputs_;
  std::optional<Stream> capture_;
  bool capture_watched_ = false;
  bool capture_truncated_ = false;
  std::string captured_;
};

// True when a client's descriptor may be given to a process of the container: a pipe, a socket or
// /dev/null. A file could be opened anew for writing through /proc/self/fd, a terminal takes
// TIOCSTI: those are copied by the monitor.
bool MayPassOn(int fd);

Status SetTerminalSize(int terminal, TerminalSize size);

}  // namespace skiff::engine::monitor
