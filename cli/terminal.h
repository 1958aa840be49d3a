#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine-core/engine.h"

namespace skiff::cli {

bool IsTerminal(int fd);
// Zeros when `fd` is no terminal.
engine::TerminalSize SizeOf(int fd);

// The answer to a question with yes or no: a line from `fd`. `otherwise` when it is empty or when there
// is none; anything else is no, and so is that `interrupt_fd` (-1: none) becomes readable.
bool ReadYes(int fd, int interrupt_fd, bool otherwise = false);

// Raw mode for as long as it lives. The terminal is also put back when the process is ended by a
// signal it handles, since those only set a flag.
class RawMode {
 public:
  static Result<std::unique_ptr<RawMode>> Enter(int fd);
  ~RawMode();
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

 private:
  struct Saved;
  explicit RawMode(int fd);
  int fd_;
  std::unique_ptr<Saved> saved_;
};

// "ctrl-p,ctrl-q" to the bytes it stands for; "" for "" (no detaching).
Result<std::string> ParseDetachKeys(std::string_view text);
inline constexpr std::string_view kDefaultDetachKeys = "ctrl-p,ctrl-q";

// Finds the detach keys in what a person types. Bytes that might begin them are held back until
// the next ones decide.
class DetachFilter {
 public:
  explicit DetachFilter(std::string keys) : keys_(std::move(keys)) {}
  // What to pass on of `input`. After the keys were seen, `detached()` holds.
  std::string Pass(std::string_view input);
  bool detached() const { return detached_; }

 private:
  std::string keys_;
  size_t matched_ = 0;
  bool detached_ = false;
};

}  // namespace skiff::cli
