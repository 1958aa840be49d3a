#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace skiff {

// A program of the machine (a credential helper, git) that is run to its end.
struct ProgramCall {
  // The first is looked up in PATH of `environment`, unless it has a "/".
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;
  std::string folder;         // Working directory; "": the caller's.
  std::string input;          // At most 64 KiB, what a pipe holds.
  size_t limit = 16u << 20;   // Bytes of output of each kind; more is kExhausted.
  int cancel_fd = -1;         // Readable: the program is killed, kCancelled.
};
struct ProgramOutcome {
  int exit_code = 0;  // 128 and the signal's number when one ended it.
  std::string out;
  std::string err;
};
// kNotFound when there is no such program. What it exits with is no error here.
Result<ProgramOutcome> RunProgram(const ProgramCall& call);

// One that runs beside its maker, who talks to it by its standard input and output (its errors go
// where the maker's go), and ends when its input does: with this object, or with the process.
class BackgroundProgram {
 public:
  // `input` and `limit` of the call have no meaning. kNotFound as above.
  static Result<BackgroundProgram> Start(const ProgramCall& call);
  BackgroundProgram(BackgroundProgram&& other) noexcept;
  BackgroundProgram& operator=(BackgroundProgram&&) = delete;
  // Waits for its end.
  ~BackgroundProgram();

  // Without the line end. kUnavailable when it ends before.
  Result<std::string> ReadLine(int cancel_fd);

 private:
  BackgroundProgram() = default;
  Fd in_, out_;
  pid_t pid_ = -1;
  std::string name_;
};

}  // namespace skiff
