#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "base/error.h"
#include "base/fd.h"

namespace skiff::engine::transfer {

// A running skiff-transfer and the channel to it. It is killed when the thread that started it
// ends: whoever starts it uses it.
class Process {
 public:
  static Result<Process> Start(const std::string& program);
  Process(Process&& other) noexcept
      : channel_(std::move(other.channel_)), pid_(std::exchange(other.pid_, -1)) {}
  Process& operator=(Process&&) = delete;
  ~Process();

  int channel() const { return channel_.get(); }
  // Closes the channel, which ends the program, and reaps it.
  Status End();

 private:
  Process(Fd channel, pid_t pid) : channel_(std::move(channel)), pid_(pid) {}
  Fd channel_;
  pid_t pid_;
};

}  // namespace skiff::engine::transfer
