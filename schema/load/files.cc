#include "schema/files.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fd.h"

namespace skiff::schema {
namespace {

class Machine : public Files {
 public:
  Kind KindOf(const std::string& path) const override {
    struct stat status = {};
    if (::stat(path.c_str(), &status) != 0) return Kind::kAbsent;
    return S_ISDIR(status.st_mode) ? Kind::kFolder : Kind::kFile;
  }

  Result<std::string> Read(const std::string& path) const override {
    return ::skiff::ReadFile(path);
  }

  std::optional<std::string> RealPath(const std::string& path) const override {
    char real[PATH_MAX];
    if (::realpath(path.c_str(), real) == nullptr) return std::nullopt;
    return real;
  }
};

}  // namespace

bool IsRemoteAddress(std::string_view text) {
  for (const std::string_view prefix : {"oci://", "git@", "git://", "ssh://", "github.com/"}) {
    if (text.starts_with(prefix)) return true;
  }
  if (!text.starts_with("https://") && !text.starts_with("http://")) return false;
  return text.substr(0, text.find_first_of("#?")).ends_with(".git");
}

const Files& MachineFiles() {
  static const Machine machine;
  return machine;
}

}  // namespace skiff::schema
