#pragma once

#include <optional>
#include <string>

#include "base/error.h"

namespace skiff::schema {

// The file system a load reads from; paths are absolute, except in what a file with no resolved
// paths names. The default is the machine's; tests give one that is in memory.
class Files {
 public:
  enum class Kind { kAbsent, kFile, kFolder };

  virtual ~Files() = default;
  // Follows symbolic links. Anything that cannot be looked at is absent.
  virtual Kind KindOf(const std::string& path) const = 0;
  // kNotFound, kPermissionDenied and so on with the path; kExhausted above 64 MiB.
  virtual Result<std::string> Read(const std::string& path) const = 0;
  // Without symbolic links; nothing when something of it is absent.
  virtual std::optional<std::string> RealPath(const std::string& path) const = 0;
};

// The machine's own. Lives as long as the program.
const Files& MachineFiles();

}  // namespace skiff::schema
