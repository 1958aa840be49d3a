#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "cli/context.h"

namespace skiff::cli {

// Where an archive goes: standard output, unless that is a terminal; a file that is there as a
// whole once Finish() has been called, and not before; or a device or pipe as it is.
class ArchiveOutput {
 public:
  // `path`: as given; "" is standard output.
  static Result<ArchiveOutput> Open(Context& context, const std::string& path);
  ArchiveOutput(ArchiveOutput&& other) noexcept;
  ArchiveOutput& operator=(ArchiveOutput&&) = delete;
  ~ArchiveOutput();

  int fd() const { return descriptor_; }
  Status Finish();

 private:
  ArchiveOutput() = default;
  std::string path_;
  std::string temporary_;
  Fd file_;
  int descriptor_ = -1;
};

}  // namespace skiff::cli
