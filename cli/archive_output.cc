#include "cli/archive_output.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/identity.h"
#include "cli/terminal.h"

namespace skiff::cli {

Result<ArchiveOutput> ArchiveOutput::Open(Context& context, const std::string& path) {
  ArchiveOutput out;
  if (path.empty()) {
    out.descriptor_ = context.around().out;
    if (IsTerminal(out.descriptor_)) {
      return Fail(Code::kInvalidArgument,
                  "cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    return out;
  }
  struct stat present{};
  if (::stat(path.c_str(), &present) == 0 && !S_ISREG(present.st_mode)) {
    SKIFF_ASSIGN(out.file_, OpenFile(path, O_WRONLY, 0));  // A device or a pipe isn't replaced.
    out.descriptor_ = out.file_.get();
    return out;
  }
  out.path_ = path;
  out.temporary_ = path + ".tmp-" + RandomHex(4);
  SKIFF_ASSIGN(out.file_, OpenFile(out.temporary_, O_WRONLY | O_CREAT | O_EXCL, 0600));
  out.descriptor_ = out.file_.get();
  return out;
}

ArchiveOutput::ArchiveOutput(ArchiveOutput&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      file_(std::move(other.file_)),
      descriptor_(other.descriptor_) {}

ArchiveOutput::~ArchiveOutput() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status ArchiveOutput::Finish() {
  if (temporary_.empty()) return {};
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return FailErrno("cannot write '" + path_ + "'");
  }
  temporary_.clear();
  return {};
}

}  // namespace skiff::cli
