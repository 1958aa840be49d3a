#pragma once

#include <memory>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace skiff::cli {

// Turns signals into bytes that can be polled: while it lives, each of its signals writes its
// number to a pipe. The last router of a signal wins; destroying it brings back the one before.
// Made and destroyed on the main thread.
class SignalRouter {
 public:
  static Result<std::unique_ptr<SignalRouter>> Create(std::vector<int> signals);
  ~SignalRouter();
  SignalRouter(const SignalRouter&) = delete;
  SignalRouter& operator=(const SignalRouter&) = delete;

  // Non-blocking.
  int fd() const { return pipe_.read.get(); }
  // The next signal that has arrived, 0: none.
  int Take();

 private:
  struct Previous;
  SignalRouter(Pipe pipe, std::vector<int> signals);

  Pipe pipe_;
  std::vector<int> signals_;
  std::unique_ptr<Previous> previous_;
};

// Writing to a pipe that nobody reads becomes an error instead of death.
void IgnoreBrokenPipes();

}  // namespace skiff::cli
