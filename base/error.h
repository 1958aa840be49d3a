#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace skiff {

// What kind of thing went wrong. The program's only error enum: exit status (cli/exit_status.h) and
// HTTP status (api/) are exhaustive switches over it.
enum class Code {
  kInvalidArgument,     // The caller's input is wrong: a flag, a reference, a key in a file.
  kNotFound,            // The named object does not exist.
  kAlreadyExists,       // A name, port, address or path is taken.
  kFailedPrecondition,  // The object exists but is in the wrong state for this.
  kPermissionDenied,    // The kernel or a policy said no.
  kUnsupported,         // This kernel, or this version of Skiff, cannot do it.
  kExhausted,           // Disk, memory, addresses, ports, processes ran out.
  kUnavailable,         // A peer (monitor, registry, engine) does not answer.
  kTimeout,             // A deadline passed.
  kCancelled,           // The user or a sibling's failure stopped it.
  kCorrupted,           // State on disk breaks an invariant.
  kSystem,              // Any other failed system call.
  kInternal,            // A bug in Skiff.
};

std::string_view CodeName(Code code);

// A range of bytes in one source file. `file` indexes a SourceMap (base/source.h) that the loader
// owns; kNoFile means "no place". Line, column and excerpt are computed when printing.
struct SourceSpan {
  static constexpr uint32_t kNoFile = 0xffffffff;

  uint32_t file = kNoFile;
  uint32_t offset = 0;
  uint32_t length = 0;

  bool valid() const { return file != kNoFile; }
  bool operator==(const SourceSpan&) const = default;
};

// A further remark below an error: where it came from, what is valid, what to do.
struct Note {
  std::string message;
  SourceSpan span;
};

// One failure. `message` is lower case, "cannot <verb> <object> '<value>'", without the cause of a
// failed system call: that is `sys_errno` and is appended when printed.
struct Error {
  Code code = Code::kInternal;
  std::string message;
  int sys_errno = 0;
  SourceSpan span;
  std::vector<Note> notes;

  Error() = default;
  Error(Code c, std::string m, int e = 0) : code(c), message(std::move(m)), sys_errno(e) {}

  Error&& At(SourceSpan where) && {
    span = where;
    return std::move(*this);
  }
  Error&& With(std::string note, SourceSpan where = {}) && {
    notes.push_back({std::move(note), where});
    return std::move(*this);
  }

  // "cannot open '/x': Permission denied". Notes are not part of it.
  std::string Text() const;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> Fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}
inline tl::unexpected<Error> Fail(Code code, std::string message) {
  return tl::unexpected<Error>(Error(code, std::move(message)));
}

// The one map from errno to Code. `error_number` is errno, read once by the caller.
Code CodeOfErrno(int error_number);

// Error of a failed system call. Call it in the statement after the call: it reads errno.
tl::unexpected<Error> FailErrno(std::string message);
tl::unexpected<Error> FailErrno(int error_number, std::string message);

}  // namespace skiff

#define SKIFF_CONCAT_INNER(a, b) a##b
#define SKIFF_CONCAT(a, b) SKIFF_CONCAT_INNER(a, b)

// Returns the error of `expr` (a Status or Result) from the calling function.
#define SKIFF_TRY(expr)                                                 \
  do {                                                                  \
    if (auto skiff_try_result = (expr); !skiff_try_result) [[unlikely]] \
      return ::tl::unexpected(std::move(skiff_try_result).error());     \
  } while (false)

// SKIFF_ASSIGN(auto fd, Open(path)): declares or assigns the value, or returns the error.
#define SKIFF_ASSIGN(lhs, expr) SKIFF_ASSIGN_INNER(lhs, expr, SKIFF_CONCAT(skiff_result_, __LINE__))
#define SKIFF_ASSIGN_INNER(lhs, expr, result)           \
  auto result = (expr);                                 \
  if (!result) [[unlikely]]                             \
    return ::tl::unexpected(std::move(result).error()); \
  lhs = std::move(*result)
