#pragma once

#include <memory>
#include <string>

#include "cli/terminal.h"
#include "compose/use_cases.h"

namespace skiff::cli {

struct SessionOptions {
  bool tty = false;
  bool interactive = false;     // Pass on the standard input.
  bool forward_signals = true;  // SIGINT, SIGTERM, ... go to the process.
  std::string detach_keys = std::string(kDefaultDetachKeys);
  int in = 0, out = 1, err = 2;
};

// Joins the person's terminal, or pipes, to a process of a container until that ends or the person
// detaches. While it lives it owns the signals of the process.
class TerminalSession : public compose::SessionDriver {
 public:
  static Result<std::unique_ptr<TerminalSession>> Create(SessionOptions options);
  ~TerminalSession() override;

  engine::StandardStreams streams() const override;
  engine::TerminalSize size() const override;
  // The exit code; 0 after the detach keys.
  Result<int> Drive(engine::Session& session) override;
  bool detached() const { return detached_; }

 private:
  TerminalSession(SessionOptions options, std::string keys);
  Result<int> DriveTerminal(engine::Session& session);
  Result<int> DriveStreams(engine::Session& session);

  SessionOptions options_;
  std::string keys_;
  bool detached_ = false;
};

}  // namespace skiff::cli
