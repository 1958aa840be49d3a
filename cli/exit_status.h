#pragma once

#include "base/error.h"

namespace skiff::cli {

// The statuses are documented in docs/exit-codes.md and stay as they are.
inline constexpr int kExitFailure = 1;
// docker run, create, exec, ...: the command line is wrong or the engine failed, not the container.
inline constexpr int kExitEngine = 125;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;
inline constexpr int kExitInterrupted = 130;
inline constexpr int kExitBug = 70;  // sysexits.h: EX_SOFTWARE

// Status of a command that failed with an error of this kind. Commands that pass on the exit code
// of a container return it without an error.
constexpr int ExitStatus(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kAlreadyExists:
    case Code::kFailedPrecondition:
    case Code::kPermissionDenied:
    case Code::kUnsupported:
    case Code::kExhausted:
    case Code::kUnavailable:
    case Code::kTimeout:
    case Code::kCorrupted:
    case Code::kSystem:
      return kExitFailure;
    case Code::kCancelled:
      return kExitInterrupted;
    case Code::kInternal:
      return kExitBug;
  }
  return kExitBug;
}

// Status of a process that could not be executed in its container, `otherwise` for other errors.
// docker's clients look at the same words.
int StartFailureStatus(const Error& error, int otherwise);

}  // namespace skiff::cli
